"""The gateway's own series: requests by code and grpc-status, answers that broke off, response times by `le`, and whether
it is scraped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sluice_judge.model import Answers, Trial
from sluice_judge.presets import Broken, GatewayPreset
from sluice_judge.samples import columns, scraped, selectors, series
from sluice_judge.samples.columns import CANDIDATE, STABLE

REQUESTS: Final = "requests"
LATENCY: Final = "latency"
FEEDS: Final = (REQUESTS, LATENCY)
FRESHNESS: Final = "freshness"
BACKEND: Final = "backend"
_NAME: Final = "__name__"


@dataclass(frozen=True, slots=True)
class GatewaySource:
    """One question about the gateway's series, and the names of their columns."""

    key: str
    selector: str
    """The selector, with placeholders."""
    sides: tuple[str, ...]
    """The arms whose series it matches."""
    label: str
    pattern: str = ""
    """The pattern of a grpc-status in the label; empty for HTTP codes and for buckets."""
    answers: tuple[tuple[str, str], ...] = ()
    """`Broken.answers`, matched with the label; empty if it does not count what broke off."""

    def column(self, preset: GatewayPreset, labels: Mapping[str, str]) -> str:
        """The column of a series with these labels; empty if it does not count."""
        text = labels.get(self.label, "")
        if self.label == "le":
            return columns.boundary_millis(text, preset.latency_unit_millis)
        if self.answers:
            return columns.broken_as(text, self.answers)
        return columns.grpc_status(text, self.pattern) if self.pattern else text


def counted_on_the_way(trial: Trial) -> bool:
    """Whether a gateway counts every request."""
    return bool(trial.gateway.preset.requests)


def histogram_missing(trial: Trial) -> bool:
    """Whether the gateway has no response times for one of the arms."""
    preset = trial.gateway.preset
    return not (preset.mirror_latency_bucket if _mirror_apart(trial) else preset.latency_bucket)


def requests(trial: Trial) -> Iterator[GatewaySource]:
    """Requests by code, by grpc-status, and those that broke off; a mirror's separately if the gateway counts it
    elsewhere."""
    preset = trial.gateway.preset
    yield from of_users(preset, _both(trial), calls=_grpc(trial))
    if _mirror_apart(trial):
        yield GatewaySource(f"{REQUESTS}/mirror", preset.mirror_requests, (CANDIDATE,), preset.code_label)
        yield from _broken(f"{REQUESTS}/mirror/broken", preset.mirror_broken, (CANDIDATE,))


def of_users(preset: GatewayPreset, sides: tuple[str, ...] = (STABLE,), *, calls: bool) -> Iterator[GatewaySource]:
    """The same without a mirror's, for a version that is not compared. calls: whether it also speaks gRPC."""
    yield GatewaySource(REQUESTS, preset.requests, sides, preset.code_label)
    yield from _broken(f"{REQUESTS}/broken", preset.broken, sides)
    if calls and preset.grpc_requests is not None:
        label, pattern = preset.grpc_status_label, preset.grpc_status_pattern
        yield GatewaySource(f"{REQUESTS}/grpc", preset.grpc_requests, sides, label, pattern)
        yield from _broken(f"{REQUESTS}/grpc/broken", preset.grpc_broken, sides)


def _broken(key: str, broken: Broken | None, sides: tuple[str, ...]) -> Iterator[GatewaySource]:
    if broken is not None:
        yield GatewaySource(key, broken.selector, sides, _NAME, answers=broken.answers)


def histogram(trial: Trial) -> Iterator[GatewaySource]:
    """Response times, likewise."""
    preset = trial.gateway.preset
    yield from histogram_of_users(preset, _both(trial), calls=_grpc(trial))
    if _mirror_apart(trial):
        yield GatewaySource(f"{LATENCY}/mirror", preset.mirror_latency_bucket, (CANDIDATE,), "le")


def histogram_of_users(
    preset: GatewayPreset, sides: tuple[str, ...] = (STABLE,), *, calls: bool
) -> Iterator[GatewaySource]:
    """Response times, as in `of_users`."""
    yield GatewaySource(LATENCY, preset.latency_bucket, sides, "le")
    if calls and preset.grpc_latency_bucket is not None:
        yield GatewaySource(f"{LATENCY}/grpc", preset.grpc_latency_bucket, sides, "le")


def freshness(trial: Trial) -> str:
    """The selector of a series that always exists."""
    return selectors.filled(trial, trial.gateway.preset.freshness, tuple(columns.sides(trial).values()))


def backend(trial: Trial) -> str:
    """The selector of series that the arms' backends have before their first request; empty: there are none."""
    return selectors.filled(trial, trial.gateway.preset.backend, tuple(columns.sides(trial).values()))


def knows_backends(trial: Trial, answers: Answers) -> bool:
    """Whether a scraped gateway has the arms' backends, with or without requests."""
    return bool(trial.gateway.preset.backend and scraped.series_of(answers, BACKEND))


def selectors_of(trial: Trial, sources: Iterator[GatewaySource]) -> dict[str, str]:
    """The selectors of questions, by key."""
    arms = columns.sides(trial)
    return {
        source.key: selectors.filled(trial, source.selector, [arms[side] for side in source.sides])
        for source in sources
    }


def samples(trial: Trial, answers: Answers, sources: Iterator[GatewaySource]) -> series.Samples:
    """The sources' samples of both arms."""
    tracks = [track for source in sources for track in _tracks(trial, answers, source)]
    witnesses = (
        (scraped.target(witness.labels), tuple(time for time, _ in witness.points))
        for witness in scraped.series_of(answers, FRESHNESS)
    )
    lost_seconds = series.STALE_INTERVALS * trial.gateway.scrape_interval_seconds
    return series.samples_of(tracks, witnesses, lost_seconds=lost_seconds)


def _tracks(trial: Trial, answers: Answers, source: GatewaySource) -> Iterator[series.Track]:
    arms = {side: selectors.matchers(trial, source.selector, columns.sides(trial)[side]) for side in source.sides}
    for one in scraped.series_of(answers, source.key):
        side = next((side for side, matchers in arms.items() if selectors.belongs(one.labels, matchers)), None)
        column = source.column(trial.gateway.preset, one.labels)
        if side is not None and column:
            yield series.Track((side, column), scraped.target(one.labels), one.points)


def _both(trial: Trial) -> tuple[str, ...]:
    return (STABLE,) if _mirror_apart(trial) else (STABLE, CANDIDATE)


def _grpc(trial: Trial) -> bool:
    both_speak_it = all(arm.grpc_port is not None for arm in columns.sides(trial).values())
    return both_speak_it and not _mirror_apart(trial)


def _mirror_apart(trial: Trial) -> bool:
    return trial.candidate.mirrored and bool(trial.gateway.preset.mirror_requests)
