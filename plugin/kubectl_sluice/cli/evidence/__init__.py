"""Commands about the evidence for and against a version."""
