"""The entry point of pods with Spark's image."""
