"""Sluice runs machine-learning models on Kubernetes and releases new versions of them safely."""
