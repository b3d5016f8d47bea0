"""The observer: gets copies of requests, and counts their features by the bins of a reference. No value leaves it."""
