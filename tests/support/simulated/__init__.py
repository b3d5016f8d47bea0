"""The simulated cluster and the laws that hold in it."""
