"""Batch inference on Apache Spark: `score` in any session, and the driver of a BatchInference with engine Spark."""

from sluice_batch.spark.scoring import score

__all__ = ["score"]
