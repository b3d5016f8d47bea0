"""Which series are asked for, and what their samples say."""
