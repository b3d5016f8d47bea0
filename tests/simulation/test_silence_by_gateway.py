"""Silence needs a proof about this model, whatever gateway serves it."""

from typing import Any, Final

import pytest

from sluice_core.kernel.reasons import Reason
from sluice_core.situation.record import promoted_revision
from sluice_judge import timestamps
from sluice_judge.gateways import PRESETS
from sluice_judge.schema.verdict import Verdict
from tests.support.simulated import scenarios
from tests.support.simulated.dialects import SpeakingCluster
from tests.support.simulated.scenarios import DEAD, V1, V2
from tests.support.simulated.twins import made_once

IDLE_SECONDS = 60
STEPS = {"canary": {"steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}]}}

FIRST: Final = ("contour", "traefik")
"""A gateway that shows its backends before their first request, and one that does not."""
_OTHERS: Final = tuple(name for name in PRESETS if name not in FIRST)
every_gateway = pytest.mark.parametrize(
    "preset", [*FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in _OTHERS)]
)
counts_from_the_first_request_on = pytest.mark.parametrize(
    "preset",
    ["traefik", *(pytest.param(name, marks=pytest.mark.slow) for name in _OTHERS if not PRESETS[name].backend)],
)


@made_once
def serving(preset: str, **settings: Any) -> SpeakingCluster:
    """A model that serves behind a gateway; its release would have one objective."""
    cluster = SpeakingCluster(
        behaviours=dict(scenarios.BEHAVIOURS), preset=preset, **({"requests_per_second": 10.0} | settings)
    )
    policy = scenarios.policy(idleSeconds=IDLE_SECONDS, objectives=scenarios.OBJECTIVES[:1])
    for shared in (policy, scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    cluster.user_applies(scenarios.manifest(V1, rollout=STEPS))
    cluster.run(60)
    return cluster


def release(cluster: SpeakingCluster, uri: str = DEAD) -> None:
    cluster.user_applies(scenarios.manifest(uri, rollout=STEPS))


def assert_blind(cluster: SpeakingCluster, *, at: int = 200) -> str:
    """Checks the reason, as a person reads it."""
    status = cluster.newest().status
    assert (status.permille, status.verdict, status.outcome) == (at, Verdict.BLIND, None)
    told = cluster.condition("MetricsAvailable")
    assert (told["status"], told["reason"]) == ("False", Reason.METRICS_UNAVAILABLE)
    return str(told["message"])


@every_gateway
def test_a_model_of_which_the_gateway_shows_nothing_is_not_idle(preset: str) -> None:
    """Another instance serves, from the beginning; the scraped one has nothing of this model."""
    cluster = serving(preset, serves=False, knows=False)
    release(cluster)
    cluster.run(4 * IDLE_SECONDS)
    message = assert_blind(cluster)
    assert "config.gatewayPreset" in message
    assert cluster.sent[promoted_revision(cluster.newest())] > 300, "users have met it all the time"


@every_gateway
def test_counters_that_freeze_when_the_release_begins_are_not_silence(preset: str) -> None:
    cluster = serving(preset)
    release(cluster)
    cluster.run(60, until=lambda: cluster.newest().status.permille > 0)
    cluster.serves = False
    cluster.run(6 * IDLE_SECONDS)
    assert "Send the model one request" in assert_blind(cluster)
    cluster.serves = True
    cluster.run(60)
    assert cluster.newest().status.outcome is not None, "what is seen again is judged"


@every_gateway
def test_counters_that_freeze_when_a_step_begins_are_not_silence(preset: str) -> None:
    cluster = serving(preset)
    release(cluster, V2)
    cluster.run(1200, until=lambda: cluster.newest().status.permille == 500)
    cluster.serves = False
    cluster.run(6 * IDLE_SECONDS)
    assert_blind(cluster, at=500)


@every_gateway
def test_a_model_that_was_quiet_before_its_release_stays_idle(preset: str) -> None:
    cluster = serving(preset)
    cluster.requests_per_second = 0.0
    cluster.run(IDLE_SECONDS + 30)
    release(cluster)
    cluster.run(4 * IDLE_SECONDS, until=lambda: cluster.newest().status.permille == 1000)
    assert cluster.newest().status.permille == 1000


@every_gateway
def test_a_night_that_falls_in_the_middle_of_a_step_is_idle(preset: str) -> None:
    cluster = serving(preset)
    release(cluster, V2)
    cluster.run(
        120,
        until=lambda: (
            bool(cluster.newest().status.steps)
            and cluster.now > timestamps.seconds(cluster.newest().status.steps[-1].start_time) + 30
        ),
    )
    cluster.requests_per_second = 0.0
    cluster.run(4 * IDLE_SECONDS, until=lambda: cluster.newest().status.permille == 1000)
    assert cluster.newest().status.permille == 1000


@counts_from_the_first_request_on
def test_a_model_without_any_requests_waits_for_one(preset: str) -> None:
    cluster = serving(preset, requests_per_second=0.0)
    release(cluster)
    cluster.run(4 * IDLE_SECONDS)
    assert "send it one request" in assert_blind(cluster)

    cluster.requests_per_second = 1.0
    cluster.run(1)
    cluster.requests_per_second = 0.0
    cluster.run(4 * IDLE_SECONDS, until=lambda: cluster.newest().status.permille == 1000)
    assert cluster.newest().status.permille == 1000


@counts_from_the_first_request_on
def test_a_gateway_that_has_lost_its_series_proves_nothing(preset: str) -> None:
    """It was recreated in a quiet night: it is unknown whether the new one gets the requests."""
    cluster = serving(preset)
    cluster.requests_per_second = 0.0
    cluster.run(IDLE_SECONDS + 30)
    cluster.restart_gateway()
    cluster.run(60)
    release(cluster)
    cluster.run(IDLE_SECONDS + 1200)
    assert_blind(cluster)


@pytest.mark.parametrize("preset", PRESETS)
def test_failures_that_the_gateway_does_not_count_are_reported(preset: str) -> None:
    cluster = serving(preset)
    release(cluster, V2)
    cluster.run(60, until=lambda: cluster.condition("MetricsAvailable")["status"] == "True")
    told = cluster.condition("MetricsAvailable")
    assert (told["status"], told["reason"]) == ("True", Reason.MEASURED)
    uncounted = preset in {"traefik", "nginx-gateway-fabric"}
    assert (f"gateway {preset} does not tell answers that break off, so errors" in told["message"]) is uncounted


@made_once
def watched(preset: str, **settings: Any) -> SpeakingCluster:
    """A model that serves, and whose stable version is watched."""
    cluster = serving(preset, **settings)
    policy = cluster.shared["RolloutPolicy", "default"]["spec"]
    policy["objectives"] = [{**scenarios.OBJECTIVES[0], "failureRatio": WATCHED}]
    policy["watch"] = {"objectives": [scenarios.OBJECTIVES[0]["name"]]}
    return cluster


WATCHED = {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "1%", "maximum": "2%"}


@every_gateway
def test_a_version_that_the_gateway_does_not_count_is_not_steady(preset: str) -> None:
    """It answers every request with 500."""
    cluster = watched(preset, serves=False, knows=False)
    cluster.behaviours[V1] = cluster.behaviours[DEAD]
    cluster.run(900)
    told = cluster.condition("Healthy")
    assert (told["status"], told["reason"]) == ("Unknown", "WatchBlind")
    assert "config.gatewayPreset" in told["message"] or "does not know the model" in told["message"]


@counts_from_the_first_request_on
def test_a_watched_version_with_counts_is_quiet_without_requests(preset: str) -> None:
    cluster = watched(preset)
    cluster.run(900)
    assert cluster.condition("Healthy")["reason"] == "Steady"
    cluster.requests_per_second = 0.0
    cluster.restart_gateway()
    cluster.run(900)
    assert cluster.condition("Healthy")["reason"] == "Steady"


@pytest.mark.parametrize("lost", ["before the release", "in a step"])
@pytest.mark.parametrize("preset", [name for name, preset in PRESETS.items() if preset.backend])
def test_a_gateway_with_the_backends_proves_nothing_about_requests_elsewhere(preset: str, lost: str) -> None:
    """It is no longer scraped, but continues to serve."""
    cluster = serving(preset)
    if lost == "in a step":
        release(cluster)
        cluster.run(60, until=lambda: cluster.newest().status.permille > 0)
        cluster.run(9)
    cluster.prometheus.counters.pop("envoy-0")
    cluster.serves = False
    if lost == "before the release":
        cluster.run(2 * IDLE_SECONDS)
        release(cluster)
    cluster.run(6 * IDLE_SECONDS)
    assert "the gateway's pod that counted them is not scraped" in assert_blind(cluster)
    cluster.serves = True
    cluster.run(60)
    assert cluster.newest().status.outcome is not None, "what is seen again is judged"
