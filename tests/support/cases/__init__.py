"""Objects, situations and tables shared by tests."""
