"""Jobs: batch runs and validations."""
