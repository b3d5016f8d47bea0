"""Batch inference: one shard of a data set through a model, in a pod of its own. Imports nothing else of Sluice.

    shard 0 plans ──> plan.json ──> every shard:  split ─ read ─ columns ─ model ─ write ─> part-00007.parquet
                                                    ▲                                          │
                                                    └────────────── done/00007.json <──────────┘
    whoever finishes the last split ──> _SUCCESS

A split is the unit of work, done completely or repeated; see `checkpoint` for why nothing is lost or duplicated.
"""
