"""Load on a model server, measured beside it: a program of the standard library alone, which imports nothing of Sluice.

`kubectl sluice profile` sends this package as one text (`carried`) to a container of the profiled pod (`python3 -c`),
so that generator and plugin are always of one version; where that is impossible, it runs on the user's machine through
a port-forward.

    plan ($SLUICE_PROFILE) ──> wait until ready ──> one request ──> for each setting: load ──> for each concurrency: point
                                                        │                        │                             │
    one JSON object a line on standard output:       server, failed        setting, skipped            point …, again, end

`kubectl sluice runtime check` sends it to a pod of its own, with a plan that names a stream:

    plan ──> wait until ready ──> one request ──> the metrics ──> requests at that rate, for so many seconds
                                       │              │                  │
                                server, failed     metrics       stream, once a second

It reads nothing from standard input and writes only these lines.
"""
