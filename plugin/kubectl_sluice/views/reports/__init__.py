"""Views of what a command has measured or checked."""
