"""Views of a release."""
