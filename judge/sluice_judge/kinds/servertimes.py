"""latency, source Server: the share over a boundary of a model server's histogram.

    feed server/TimeToFirstToken    50, 100, inf              by le, milliseconds
                                    50~256, inf~256           if the histogram separates requests (computedLabel,
                                                              promptLabel)
                                    128~prompt, inf~prompt    lengths, if it does not (computedTokens, promptTokens)

Both versions' pods are queried as their ServingRuntimes say, and may be scraped less often than the gateway
(`Feed.every`). The time of a first token depends on how many tokens of the prompt the server had to compute, so the
versions are compared length by length (`stats.strata`), or as far as the lengths were certainly alike
(`stats.mixture`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluice_judge.kind import Counting, Kind, Mixture, OwnSeries, Recorded, Sampling, unseen
from sluice_judge.kinds.latency import OverBoundary, OwnBuckets, Slower, SlowTests, traits_of
from sluice_judge.model import Answers, OwnCounters, ServerTimes, Trial
from sluice_judge.samples import columns, scraped, series
from sluice_judge.samples.columns import CANDIDATE, STABLE, Amounts
from sluice_judge.schema.objectives import Latency, Objective, Source
from sluice_judge.stats import evidence, strata

MOST_SERIES: Final = 4000
"""Most series of both versions: a histogram has one for each boundary, pod and length of prompts."""
OF_PROMPTS: Final = frozenset({"TimeToFirstToken", "EndToEnd"})
"""Histograms whose times grow with the prompt."""
TIMES_AS_LONG: Final = 4
"""Prompts of one kind differ by a smaller factor."""
BETWEEN_TOKENS: Final = "InterTokenLatency"


def feed_of(measure: str) -> str:
    """The feed that objectives on a histogram share."""
    return f"server/{measure}"


def servers(trial: Trial) -> dict[str, OwnCounters]:
    """The arms' servers' own counters."""
    return {STABLE: trial.servers.own, CANDIDATE: trial.servers.candidate_own}


def of(objective: Objective) -> Kind | None:
    """Slower than a boundary, by a histogram of both versions' servers."""
    limits = objective.latency
    if limits is None or limits.source is not Source.SERVER:
        return None
    return judged(objective, limits, limits.measure or "")


def judged(objective: Objective, limits: Latency, measure: str) -> Kind:
    """An objective that is judged by the servers' histogram of a measure."""
    return Kind(
        objective,
        ServerHistogram(feed_of(measure), measure=measure),
        ByLength(),
        SlowTests(limits),
        Slower(unit="tokens" if measure == BETWEEN_TOKENS else "requests"),
        Recorded.BUCKETS,
        traits_of(limits, depends_on_caches=measure in OF_PROMPTS),
        MeasuredPods(measure),
        mixture=PromptLengths(),
    )


@dataclass(frozen=True, slots=True)
class ServerHistogram(Sampling):
    """Both versions' histograms of a measure."""

    measure: str = field(kw_only=True)

    @property
    def refused(self) -> str:
        """What is wrong; the API server refuses it, too."""
        return "" if self.measure else "latency.measure: source Server needs one, such as TimeToFirstToken"

    def histogram(self, own: OwnCounters) -> ServerTimes | None:
        """The histogram of a version's server; None if it has none."""
        return own.histogram(self.measure)

    def hidden(self, trial: Trial) -> str:
        lacking = next((own for own in servers(trial).values() if own.histogram(self.measure) is None), None)
        if lacking is None or self.refused:
            return self.refused
        known = ", ".join(found.name for found in lacking.histograms) or "none"
        return (
            f"{lacking.where} maps no histogram {self.measure} (it has {known}); name its series in "
            "spec.metrics.histograms, or judge with source Gateway"
        )

    def questions(self, trial: Trial) -> Mapping[str, str]:
        buckets = {self._key(arm): found.bucket for arm, found in self._found(trial).items()}
        return {**buckets, **{self._key(arm, columns.PROMPT): text for arm, text in self._prompts(trial).items()}}

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        """Only the sampling times if the versions' boundaries differ."""
        found = self._found(trial)
        labels = self._labels(trial)
        tracks = [
            track
            for arm, times in found.items()
            for track in _tracks(answers, self._key(arm), arm, times, gone, labels.get(arm, ""))
        ]
        if not _same_boundaries(tracks):
            return series.samples_of((), ((track.target, [time for time, _ in track.points]) for track in tracks))
        for arm in self._prompts(trial):
            lengths = ServerTimes(columns.PROMPT, "", 1.0)
            tracks += _tracks(answers, self._key(arm, columns.PROMPT), arm, lengths, gone, "", columns.PROMPT)
        return series.samples_of(tracks, ())

    def by_computed(self, trial: Trial) -> bool:
        found = self._found(trial).values()
        return len(found) == len(servers(trial)) and all(times.computed_label for times in found)

    def most_series(self, trial: Trial) -> float:
        return MOST_SERIES

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        hidden = self.hidden(trial)
        if hidden:
            return hidden
        selector = self._found(trial)[CANDIDATE].bucket
        if shown is None:
            return f"more than {MOST_SERIES} series match {selector} and that of the stable version; narrow them"
        if shown.newest is not None and not shown.tracks:
            return (
                f"the versions' histograms {self.measure} have different boundaries, so that they cannot be compared; give "
                "both servers the same, or judge with source Gateway"
            )
        return unseen(trial, shown, selector)

    def _found(self, trial: Trial) -> dict[str, ServerTimes]:
        """Both arms' histograms; without that of an arm that has none."""
        found = {arm: self.histogram(own) for arm, own in servers(trial).items()}
        return {arm: times for arm, times in found.items() if times is not None}

    def _labels(self, trial: Trial) -> dict[str, str]:
        """Each arm's label by which the histogram separates requests; empty: not both have such a label."""
        found = self._found(trial)
        computed = {arm: times.computed_label for arm, times in found.items()}
        prompts = {arm: times.prompt_label for arm, times in found.items()}
        return next((labels for labels in (computed, prompts) if all(labels.values())), {})

    def _prompts(self, trial: Trial) -> dict[str, str]:
        """The selectors of the lengths, if they matter and the histogram does not separate them."""
        if self.measure not in OF_PROMPTS or self._labels(trial):
            return {}
        computed = {arm: own.computed_tokens for arm, own in servers(trial).items()}
        prompts = {arm: own.prompt_tokens for arm, own in servers(trial).items()}
        return next((selectors for selectors in (computed, prompts) if all(selectors.values())), {})

    def _key(self, arm: str, what: str = "") -> str:
        return "/".join(part for part in (self.feed, arm, what) if part)


@dataclass(frozen=True, slots=True)
class ByLength(OverBoundary):
    """Counts in buckets, separated by length if the histogram separates them."""

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        counted = [
            OverBoundary.requests_and_events(self, each, boundary) for each in columns.times_apart(amounts).values()
        ]
        return math.fsum(requests for requests, _ in counted), math.fsum(events for _, events in counted)

    def counts(self, candidate: Amounts, stable: Amounts, boundary: str | None) -> evidence.Counts:
        ours, others = columns.times_apart(candidate), columns.times_apart(stable)
        return strata.together(
            [
                Counting.counts(self, ours.get(stratum, {}), others.get(stratum, {}), boundary)
                for stratum in sorted(ours.keys() | others.keys())
            ]
        )


@dataclass(frozen=True, slots=True)
class PromptLengths(Mixture):
    """Prompts by the power of four of their length."""

    def of(self, amounts: Amounts) -> Mapping[str, float]:
        """A cumulative bucket that did not grow is not among the columns."""
        buckets = columns.by_stratum(amounts).get(columns.PROMPT, {})
        found: dict[str, float] = {}
        below = 0.0
        for le in sorted(buckets, key=float):
            tokens = float(le)
            kind = le if math.isinf(tokens) else f"{math.floor(math.log(max(tokens, 1.0), TIMES_AS_LONG) + 1e-9)}"
            found[kind] = found.get(kind, 0.0) + max(0.0, buckets[le] - below)
            below = max(below, buckets[le])
        return {kind: amount for kind, amount in found.items() if amount > 0}


@dataclass(frozen=True, slots=True)
class MeasuredPods(OwnBuckets):
    """The same histogram: the pods count."""

    measure: str

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        times = trial.servers.own.histogram(self.measure)
        return () if times is None else (OwnSeries(feed_of(self.measure), times.bucket, "", times.unit_millis),)


def _tracks(
    answers: Answers, key: str, arm: str, times: ServerTimes, gone: tuple[str, ...], label: str, stratum: str = ""
) -> list[series.Track]:
    """The buckets of one arm. label: the label of its strata, without which series do not count: what is not told apart
    cannot be compared; empty: all belong to the given stratum."""
    return [
        series.Track(
            (arm, columns.in_stratum(le, found.labels.get(label, "") if label else stratum)),
            scraped.target(found.labels),
            found.points,
        )
        for found in scraped.series_of(answers, key)
        if (le := columns.boundary_millis(found.labels.get("le", ""), times.unit_millis))
        and found.labels.get("pod", "") not in gone
        and (not label or found.labels.get(label))
    ]


def _same_boundaries(tracks: list[series.Track]) -> bool:
    """Whether the arms' boundaries agree, once both are seen: otherwise all answers of one would exceed the other's."""
    known: dict[str, set[str]] = {}
    for track in tracks:
        arm, column = track.column
        known.setdefault(arm, set()).add(column.partition(columns.STRATUM)[0])
    return len(known) < 2 or known[STABLE] == known[CANDIDATE]
