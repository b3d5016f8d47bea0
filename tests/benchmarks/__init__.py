"""The published figures: measured on a real cluster, printed, written to results, summed up on docs/benchmarks.md."""
