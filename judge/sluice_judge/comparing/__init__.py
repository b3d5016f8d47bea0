"""Whether a difference between two versions is one of the versions."""
