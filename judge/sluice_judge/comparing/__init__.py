"""Which differences between two versions are the versions'."""
