"""Explanations, in words for a person, of why nothing can be seen although Prometheus answers, and what to do."""

from collections.abc import Mapping
from typing import Final

from sluice_judge import timestamps
from sluice_judge.model import Trial
from sluice_judge.samples import gatewayseries, series
from sluice_judge.samples import questions as ask
from sluice_judge.state import State

NOBODY_COUNTS: Final = (
    "without a gateway nothing counts requests on the way, and no objective has source Query; add one that judges "
    "the model server's own counters, or promote by hand"
)


def grpc_not_counted(trial: Trial) -> str:
    """Why a server that gets no HTTP requests cannot be judged, and what to do."""
    return (
        f"no HTTP request of {trial.stable.revision} has been counted, and the gateway ({trial.gateway.preset.name}) has no "
        "series for gRPC requests that Sluice knows; use a gateway with grpc-status series (docs/gateways.md), or "
        "promote by hand"
    )


def not_counted(trial: Trial, state: State) -> str:
    """Why a scraped gateway shows nothing of this model, and what to do."""
    wanted = gatewayseries.backend(trial)
    if not wanted:
        return _never_asked(trial)
    if state.silence.moved is not None:
        return (
            f"requests were counted until {timestamps.rfc3339(state.silence.moved)}, and the gateway's pod that counted them "
            f"is not scraped any more; that another one has this model's backends ({wanted}) does not show that it gets its "
            "requests. Send the model one request through the gateway: once that is counted, the release goes on by itself; "
            "otherwise check in Prometheus, under Status > Targets, that all of the gateway's pods are scraped"
        )
    return (
        f"no gateway that Prometheus scrapes has this model's backends ({wanted}): either another gateway serves the "
        f"model than that of the preset {trial.gateway.preset.name} (Helm value config.gatewayPreset), or Prometheus does not "
        "scrape the one that does"
    )


def _never_asked(trial: Trial) -> str:
    (asked, *_) = gatewayseries.selectors_of(trial, gatewayseries.requests(trial)).values()
    return never_asked(trial.gateway.preset.name, asked)


def never_asked(preset: str, asked: str) -> str:
    """Why a gateway that shows a model only from its first request on says nothing about this one."""
    return (
        f"no gateway that Prometheus scrapes shows a request of this model ({asked}), and {preset} shows nothing of a "
        "model that nobody has asked: send it one request through the gateway. If that is not counted, either another "
        f"gateway serves the model than that of the preset {preset} (Helm value config.gatewayPreset), or Prometheus "
        "does not scrape the one that does"
    )


def stopped(state: State) -> str:
    """Why counters that stand still are not taken for silence, and what to do."""
    moved = state.silence.moved or 0.0
    return (
        f"requests were counted until {timestamps.rfc3339(moved)} and none since this step began, "
        f"{timestamps.rfc3339(state.silence.began)}: nobody asks any more, or an instance of the gateway serves that "
        "Prometheus does not scrape. Send the model one request through the gateway: once that is counted, the release goes on "
        "by itself; otherwise check in Prometheus, under Status > Targets, that all of the gateway's pods are scraped"
    )


def not_sampled(trial: Trial, samples: Mapping[str, series.Samples], newest: float | None) -> str:
    """Why nothing can be seen although Prometheus answers, and what to do."""
    if not gatewayseries.counted_on_the_way(trial):
        first = next(iter(ask.filled_by(trial).values()))
        return f"{first.name}: {first.sampling.note(trial, samples.get(first.feed))}"
    remedy = "check in Prometheus, under Status > Targets, that the gateway's metrics port is scraped"
    if trial.gateway.preset.own:
        remedy += f", and that its series have {trial.gateway.preset.own} (Helm value config.gatewaySeries)"
    if newest is None:
        return f"Prometheus has no sample of the gateway ({trial.gateway.preset.freshness}); {remedy}"
    return (
        f"the last sample of the gateway ({trial.gateway.preset.freshness}) is of {timestamps.rfc3339(newest)}, "
        f"with a scrape interval of {trial.gateway.scrape_interval_seconds:g} s; {remedy}"
    )
