"""Views of the results of measurements and checks."""
