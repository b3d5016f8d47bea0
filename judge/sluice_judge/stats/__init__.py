"""The statistics of the judge: numbers in, numbers out.

The judge may be asked at every scrape, for days, and must keep its promised error rates all the same. Ordinary tests
lose that promise at the second look. An *e-process* does not: it is a nonnegative number that starts at 1 and, as long
as the null hypothesis holds, has an expectation of at most 1 *whenever* one stops to look. By Ville's inequality it
then ever reaches 1/alpha with a probability of at most alpha, so "decide when it reaches 1/alpha" is safe at every
scrape. Each process here accuses one null hypothesis: "the candidate is no worse" on the way to a rollback, "the
candidate is too bad" on the way to an advance.

Reading order:

- `logspace`    sums and means of numbers that are kept as logarithms
- `evidence`    F1, F3, F4, alone and together: what one scrape's counts say for and against a hypothesis
- `sampletest`  F6: the same where failures come in bursts, so that a scrape is one witness
- `eprocess`    F2: evidence carried from scrape to scrape, and its JSON state
- `usual`       what the stable version usually shows, and whether an incident is going on
- `combine`     several processes into one verdict: mean, the rollback budget
- `dispersion`  F5: how much burstier than Poisson this traffic is
- `planning`    how many requests a proof needs, and how small a first step has to be
- `split`       whether the traffic goes where the route says
- `pods`        whether the candidate is bad, or one of its pods
- `confidence`  A/B/n: how much arms differ, valid at every look
- `intervals`   confidence intervals for reports, and the limit of the bake
- `edetector`   has a version that stays become worse: how often there is a false alarm in years
- `baseline`     the reference for that: its own past
- `bins`        bins of numbers, and how far two counts by bin are apart, for readers
- `movement`    has a distribution moved away from a reference: how often there is a false alarm in years
- `referencebins`     its own first day as the reference if there is no other
- `special`     quantiles of the gamma and beta distributions

Nothing here has a clock, randomness or I/O, and nothing imports another room of Sluice. All logarithms are natural.
"""
