"""Questions to Prometheus, and the cost of their answers."""
