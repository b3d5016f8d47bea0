"""Turns: everything that waits for a scarce resource waits in a `line.FairLine`.

| scarce | who waits | module |
|---|---|---|
| workers that reconcile | keys that are due | `workqueue` |
| writes to the API server | reconciles that have something to write | `lane` |
| users' questions to Prometheus | a namespace's questions | `slots` |
| one batch of questions to Prometheus | looks | `sluice.shell.questions.asking` |
"""
