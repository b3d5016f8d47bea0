"""Says which version of a model a registry names, with the credentials of its namespace."""
