"""The plan/apply loop around the pure decisions, and everything that writes objects."""
