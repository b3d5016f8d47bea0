"""The plan/apply loop around the pure decisions."""
