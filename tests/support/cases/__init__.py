"""Objects, situations and tables that tests share."""
