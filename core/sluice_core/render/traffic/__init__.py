"""Services, routes and their rules."""
