"""The published figures: measured on a real cluster, printed, and written to docs/benchmarks.md."""
