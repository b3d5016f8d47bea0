"""Processes, traffic and clients of tests against real servers."""
