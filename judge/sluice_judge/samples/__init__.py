"""The queried series, and the meaning of their samples."""
