"""The simulated cluster and its laws."""
