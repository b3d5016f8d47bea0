"""Batch inference where there is no operator: this package imports nothing else of Sluice."""
