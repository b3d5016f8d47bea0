"""Every model server against one list of checks."""
