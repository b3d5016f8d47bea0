"""What the API server lists and sends: events, lists, and the parts of kopf that are replaced."""
