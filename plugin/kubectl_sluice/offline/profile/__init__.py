"""Where a model's time goes under load: what was measured, what holds it back, and what would help.

Reading order: `model` what is known, `sweep` what is to be measured, `pod` the pod that is measured, `reading` its log,
`bottleneck` and `advice` what follows.
"""
