"""Resolves a registry's name to a version of a model, with the credentials of its namespace."""
