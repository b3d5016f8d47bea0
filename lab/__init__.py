"""A real one-node Kubernetes on a bare Linux machine, without Docker."""
