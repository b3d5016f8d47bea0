"""One replica writes: the lease, its terms, and the takeover."""
