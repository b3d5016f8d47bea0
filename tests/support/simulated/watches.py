"""Stable versions that are watched."""

import dataclasses
from typing import Any, Final

from sluice_core.watch import binsources, progress
from sluice_core.watch.minutes import MINUTE, WholeMinute
from sluice_core.watch.model import Drift, Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.gateways import PRESETS
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.model import Arm
from sluice_judge.schema.objectives import Objective
from sluice_judge.stats import edetector

DAY: Final = 86_400.0


def make_kind(name: str = "errors", **ratio: Any) -> Kind:
    settings = {"source": "Gateway", "events": "ServerErrors", "relativeTolerance": "25%", **ratio}
    return kind_of(Objective.model_validate({"name": name, "required": False, "failureRatio": settings}))


ERRORS: Final = make_kind()


def make_version(model: str = "digits", *, preset: str = "contour", **changes: Any) -> WatchedVersion:
    """By default one objective, and one false alarm in 90 days."""
    version = WatchedVersion(
        namespace="shop",
        model=model,
        arm=Arm(f"{model}-aaa", f"{model}-aaa", 80),
        preset=PRESETS[preset],
        kinds=(ERRORS,),
        unwatched="",
        scrape_interval_seconds=15,
        threshold_log=edetector.log_threshold(90 * 1440),
        resting=False,
        begins=0.0,
    )
    return dataclasses.replace(version, **changes)


def make_observed(model: str = "digits", *, label: str = "namespace", **changes: Any) -> WatchedVersion:
    """A version whose requests an observer counts, too."""
    plain = make_version(model, **changes)
    source = binsources.of_features(plain.namespace, model, tolerance=0.025, label=label)
    return dataclasses.replace(plain, bins=(source,))


def drift_of(watch: Watch) -> Drift:
    """The watch's memory of its requests' features."""
    return watch.drift_of(binsources.FEATURES)


def with_drift(watch: Watch, **changes: Any) -> Watch:
    """The watch with another memory of them."""
    changed = dataclasses.replace(drift_of(watch), **changes)
    return dataclasses.replace(watch, drifts={**watch.drifts, binsources.FEATURES: changed})


def minute(errors: float, *, requests: float = 3000.0) -> WholeMinute:
    return WholeMinute({"requests": {"200": requests - errors, "500": errors}})


def seen(
    watch: Watch,
    version: WatchedVersion,
    minutes: int,
    *,
    errors: float,
    requests: float = 3000.0,
    begin: float | None = None,
) -> Watch:
    """The watch after this many identical minutes, from its present state."""
    start = (watch.time or DAY) if begin is None else begin
    for number in range(minutes):
        watch = progress.after(watch, version, minute(errors, requests=requests), start + number * MINUTE)
    return watch
