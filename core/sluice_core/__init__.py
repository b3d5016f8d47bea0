"""What the operator and the plugin share: the kinds, the decisions, and the adapters of API server and Prometheus."""
