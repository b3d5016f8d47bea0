"""Serves the predictor class of a model folder with KServe's model server."""
