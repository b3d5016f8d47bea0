"""Whole releases in a closed loop: the shipped judge and engine move the requests that they judge.

world      what a service, its gateway, its pods and a release are like
traffic    requests, and how each version answers them, second by second
gateway    counters and gauges, as Prometheus scrapes them
release    a release: looks, decisions, weights, pods
rows       the table: releases of equal and of bad versions
"""
