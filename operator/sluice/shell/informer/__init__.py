"""Lists and watches of the API server, and the parts of kopf that are replaced."""
