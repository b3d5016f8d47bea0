"""A profile for people: a row for each point of load, the bottleneck, and recommendations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubectl_sluice.offline.profile import advice
from kubectl_sluice.offline.profile.advice import Advice
from kubectl_sluice.offline.profile.bottleneck import Bottleneck, bottleneck
from kubectl_sluice.offline.profile.model import Measurements, Point, TextFigures
from sluice_core.kernel import commands

PAYLOAD: Final = "the payload"


@dataclass(frozen=True, slots=True)
class Row:
    """One point of load; times in ms, None where the server does not report them."""

    setting: str
    concurrency: int
    requests_per_second: float
    p50_millis: float
    p95_millis: float
    p99_millis: float
    queue_millis: float | None
    input_millis: float | None
    compute_millis: float | None
    output_millis: float | None
    outside_millis: float | None
    """Connection, HTTP, and bodies: the mean less the server's own times."""
    mean_batch: float | None
    cores: float | None
    failures: int
    tokens_per_second: float | None = None
    """Tokens a second of all answers together; this and the following fields only for streams of a language model."""
    first_p50_millis: float | None = None
    """From a request to its first token."""
    first_p95_millis: float | None = None
    token_millis: float | None = None
    """From one token to the next."""
    running: float | None = None
    """The most requests that the server computed together."""
    waiting: float | None = None
    kv_cache_percent: float | None = None
    """The peak fill level of its key-value cache."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """All that a profile says."""

    name: str
    namespace: str
    revision: str
    server: str
    cores: float
    rows: tuple[Row, ...]
    bottleneck: Bottleneck
    sentence: str
    """The bottleneck in one sentence."""
    advice: tuple[Advice, ...]
    gateway_millis: float | None
    """What the gateway adds to a single request; None where it was not measured."""
    notes: tuple[str, ...]
    """Remarks on the method, and on what could not be measured."""


@dataclass(frozen=True, slots=True)
class About:
    """The measured server."""

    name: str
    namespace: str
    revision: str
    notes: tuple[str, ...] = ()
    body: str = PAYLOAD
    """The payload's source, unless it was made from the model's metadata."""


def profile_view(
    about: About, found: Measurements, *, rate: float | None, environment: Sequence[Mapping[str, Any]]
) -> ProfileView:
    """The measurements with conclusions; needs at least one point."""
    finding = bottleneck(found)
    return ProfileView(
        name=about.name,
        namespace=about.namespace,
        revision=about.revision,
        server=found.server or "a server that does not say what it is",
        cores=found.cores,
        rows=_rows(found),
        bottleneck=finding.kind,
        sentence=finding.sentence,
        advice=advice.advise(found, finding.kind, rate=rate, environment=environment),
        gateway_millis=found.through.gateway_millis if found.through is not None else None,
        notes=(*about.notes, *_notes(found, about.body)),
    )


def recommended(view: ProfileView) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """(comments, manifest) for a file that `kubectl patch --type=merge --patch-file` takes."""
    comments = [
        f"Recommended by: {commands.sluice('profile', view.name, namespace=view.namespace)} (revision {view.revision})"
    ]
    comments += [one.sentence for one in view.advice]
    config = [line for one in view.advice for line in one.server_config]
    if config:
        comments += ["In the model's config.pbtxt:", *(f"  {line}" for line in config)]
    fields = advice.fields_of(view.advice)
    if not fields:
        comments.append("No field of the ModelDeployment needs to be changed.")
    return tuple(comments), {"spec": fields}


def _rows(found: Measurements) -> tuple[Row, ...]:
    rows = tuple(_row(point, setting.words) for setting in found.settings for point in found.of(setting))
    return rows if found.again is None else (*rows, _row(found.again, f"{found.again.setting.words}, again"))


def _row(point: Point, setting: str) -> Row:
    split = point.split
    return Row(
        setting=setting,
        concurrency=point.concurrency,
        requests_per_second=round(point.rate, 2),
        p50_millis=point.p50_millis,
        p95_millis=point.p95_millis,
        p99_millis=point.p99_millis,
        queue_millis=_rounded(split.queue_millis if split else None),
        input_millis=_rounded(split.input_millis if split else None),
        compute_millis=_rounded(split.infer_millis if split else None),
        output_millis=_rounded(split.output_millis if split else None),
        outside_millis=_rounded(point.outside_millis),
        mean_batch=_rounded(point.mean_batch),
        cores=point.server_cores,
        failures=point.failures,
        **(_text(point.text) if point.text is not None else {}),
    )


def _text(text: TextFigures) -> dict[str, float | None]:
    return {
        "tokens_per_second": _rounded(text.tokens_per_second),
        "first_p50_millis": text.first_p50_millis,
        "first_p95_millis": text.first_p95_millis,
        "token_millis": _rounded(text.token_millis),
        "running": text.running,
        "waiting": text.waiting,
        "kv_cache_percent": None if text.kv_cache is None else round(100 * text.kv_cache, 1),
    }


def _repeated(found: Measurements) -> str:
    if found.again is None:
        return ""
    percent = 100 * min(advice.spread(found), 9.99)
    return (
        f"measured again at the end, {found.again.setting.words} differs by {percent:.0f} % from the first "
        "measurement: smaller gains are not counted"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _notes(found: Measurements, given: str) -> tuple[str, ...]:
    texts = any(point.text is not None for point in found.points)
    body = "generated from the model's metadata (zeros)" if found.made_up else given
    told = texts or any(point.split is not None for point in found.points)
    return tuple(
        note
        for note in (
            f"requests: {body}, {found.body_bytes:,} bytes",
            _repeated(found),
            "" if told else "this server does not report queue and compute time: only the total is known",
            *(f"not measured: {skipped.setting.words}: {skipped.problem}" for skipped in found.skipped),
            f"gateway not measured: {found.gateway_problem}" if found.gateway_problem else "",
        )
        if note
    )
