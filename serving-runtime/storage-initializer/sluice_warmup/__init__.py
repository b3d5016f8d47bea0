"""Warm-up: real requests to a model server of the same pod, before the pod is Ready."""
