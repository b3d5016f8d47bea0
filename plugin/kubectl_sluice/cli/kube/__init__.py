"""What commands read from the cluster and from Prometheus."""
