"""What Spark's own image does when one of its pods begins."""
