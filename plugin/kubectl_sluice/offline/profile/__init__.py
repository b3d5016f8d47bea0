"""Where a model's time goes under load: measurements, the bottleneck, and remedies.

Reading order: `model` for the figures, `sweep` for the measurements to make, `pod` for the profiled pod, `reading` for
its log, `bottleneck` and `advice` for conclusions.
"""
