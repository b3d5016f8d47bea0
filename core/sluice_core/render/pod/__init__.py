"""The parts of a pod."""
