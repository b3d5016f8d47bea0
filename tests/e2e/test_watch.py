"""After the promotion: requests are copied to an observer and counted by bins, and a version that begins to fail is noticed.

One model, v6 of the demo, under 100 requests a second. It knows the 17 grey levels of the images that are sent, and fails on
those of another scanner: nothing has to be done to it for it to become worse.
"""

import calendar
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from demo import aftermath, digits, setup
from demo.cluster import Cluster
from demo.load import DigitAsker, LoadClient
from kubectl_sluice.offline import reference
from tests.e2e.conftest import SCRAPE_SECONDS, bring_further_image
from tests.support.live.scene import Scene, wait_until

NAME: Final = setup.NAME
WATCHED: Final = "e2e-watch"
OBSERVER: Final = f"{NAME}-observer"
STUCK: Final = f"image[{digits.STUCK_PIXEL}]"
COPIES: Final = 1000
"""Enough for each bin of a pixel to be seen."""
WAITING_AT_MOST: Final = 200
"""Copies of earlier requests that the observer still counts: those in its queue. If each request were copied twice,
COPIES would be counted after half as many requests, and these."""
MINUTE_SECONDS: Final = 60
NOTICED_SECONDS: Final = 110
"""The minute's rest, the twenty seconds until it is looked at, and the reconcile that writes what was seen."""

nobody_is_lost = pytest.mark.usefixtures("no_request_is_lost")


@pytest.fixture(scope="module")
def policy(lab: Cluster) -> Iterator[str]:
    """With a maximum, as a version of a minute has no past to compare with."""
    errors: dict[str, Any] = {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "1%", "maximum": "5%"}
    spec = {
        "scrapeIntervalSeconds": SCRAPE_SECONDS,
        "bakeSeconds": 5,
        "objectives": [{"name": "errors", "failureRatio": errors}],
        "watch": {"objectives": ["errors"]},
    }
    lab.tools.apply(yaml.safe_dump({**_kind("RolloutPolicy"), "metadata": {"name": WATCHED}, "spec": spec}))
    yield WATCHED
    lab.tools.kubectl("delete", "rolloutpolicies.sluice.dev", WATCHED, "--ignore-not-found")


def _kind(kind: str) -> dict[str, str]:
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": kind}


@pytest.fixture(scope="module")
def traffic(scene: Scene, policy: str, connect: Callable[..., LoadClient]) -> LoadClient:
    """100 requests a second to v6, which serves."""
    scene.deploy(NAME, "6", rollout={"policyRef": {"name": policy}})
    scene.wait_ready(NAME)
    client = connect(NAME)
    wait_until(lambda: client.counts().total.right > 200, "v6 answers")
    return client


@pytest.fixture(scope="module")
def observed(lab: Cluster, scene: Scene, traffic: LoadClient) -> reference.Reference:
    """The requests are copied and counted by the bins of the training data."""
    bring_further_image(lab, "observer")
    lost = traffic.counts().total.lost
    made = yaml.safe_load(aftermath.made_reference(scene.tools))
    scene.apply(made)
    scene.patch(NAME, {"observer": {"reference": {"name": made["metadata"]["name"]}, "percent": 100}})
    wait_until(lambda: scene.condition(NAME, "Observed").get("status") == "True", "Observed")
    assert traffic.counts().total.lost == lost, "the copies begin without a request that is lost"
    return reference.parsed(made["data"][reference.KEY])


def copies(scene: Scene) -> dict[str, float]:
    """What became of them, by the observer's own count."""
    selector = f'sluice_observer_copies_total{{model="{NAME}",namespace="{scene.namespace}"}}'
    series = aftermath.asked(scene.cluster, f"sum by (outcome) ({selector})")
    return {one["metric"]["outcome"]: float(one["value"][1]) for one in series}


@nobody_is_lost
def test_all_requests_are_copied_and_counted_by_bins(
    scene: Scene, traffic: LoadClient, observed: reference.Reference
) -> None:
    sent, stale = traffic.counts().total.requests, copies(scene)
    before = wait_until(lambda: (now := copies(scene)) != stale and now, "a scrape after the count of requests")
    wait_until(lambda: copies(scene)["Counted"] - before["Counted"] > COPIES, "copies are counted")
    assert traffic.counts().total.requests - sent > (COPIES + WAITING_AT_MOST) / 2, "a request is copied once"
    told = copies(scene)
    assert told["Counted"] >= 0.99 * sum(told.values()), told
    assert {outcome for outcome, count in told.items() if count} <= {"Counted", "Overloaded", "Slow"}, told
    counted = aftermath.observed(scene.cluster, scene.namespace)
    assert counted.keys() == {feature.name for feature in observed.features}
    for feature in observed.features:
        assert counted[feature.name].keys() == feature.counts.keys(), feature.name
        assert counted[feature.name]["(missing)"] == 0
    farthest = max(aftermath.moves(observed, counted), default=(0.0, "", 0.0))
    assert farthest[0] < aftermath.MUCH, f"they are images as those of the reference: {farthest}"


@nobody_is_lost
def test_a_stable_version_that_begins_to_fail_is_noticed_with_the_moment(scene: Scene, traffic: LoadClient) -> None:
    assert scene.condition(NAME, "Healthy").get("status") != "False"
    began = time.time()
    images = digits.with_eight_bits(digits.split()[1].images, 0.3)
    traffic.ask(DigitAsker(traffic.target, images))

    def alarm() -> dict[str, Any] | None:
        found: dict[str, Any] | None = scene.deployment(NAME)["status"].get("watch", {}).get("alarm")
        return found

    told = wait_until(alarm, "it is noticed", seconds=NOTICED_SECONDS)
    healthy = scene.condition(NAME, "Healthy")
    assert (healthy["status"], healthy["reason"]) == ("False", "WorseThanBefore")
    assert told["objective"] == "errors"
    since = calendar.timegm(time.strptime(told["since"], "%Y-%m-%dT%H:%M:%SZ"))
    assert began - MINUTE_SECONDS <= since <= began + MINUTE_SECONDS, (told, began)
    assert told["since"] in healthy["message"]
    assert scene.condition(NAME, "Ready")["status"] == "True"
    wait_until(lambda: [each for each in scene.events(NAME) if each["reason"] == "WorseThanBefore"], "the event")
    assert "Healthy" in scene.plugin("status", NAME), "what is wrong is among its conditions"
    assert len(scene.rollouts(NAME)) == 1, "an alarm releases nothing unless it is asked to"


@pytest.mark.slow
@nobody_is_lost
def test_a_pixel_that_is_stuck_is_named(scene: Scene, traffic: LoadClient, observed: reference.Reference) -> None:
    images = digits.with_stuck_pixel(digits.split()[1].images, 0.5)
    traffic.ask(DigitAsker(traffic.target, images))

    def moved() -> str | None:
        found = max(aftermath.moves(observed, aftermath.observed(scene.cluster, scene.namespace)), default=None)
        return found[1] if found is not None and found[0] > aftermath.MUCH else None

    wait_until(lambda: moved() == STUCK, "the pixel is farthest from the reference")


@pytest.mark.slow
@nobody_is_lost
@pytest.mark.usefixtures("observed")
def test_an_observer_that_goes_down_and_comes_back_disturbs_nobody(scene: Scene, traffic: LoadClient) -> None:
    selector = f"--selector=sluice.dev/model-deployment={NAME}.observer"
    scene.tools.kubectl("delete", "pods", scene.where, selector, "--grace-period=0", "--force")
    wait_until(lambda: scene.condition(NAME, "Observed").get("status") == "True", "Observed again")
    sent = traffic.counts().total.requests
    wait_until(lambda: traffic.counts().total.requests - sent > 500, "requests go on")


@pytest.mark.slow
@nobody_is_lost
@pytest.mark.usefixtures("observed", "traffic")
def test_without_the_field_the_copies_end_and_nothing_is_left(scene: Scene) -> None:
    scene.patch(NAME, {"observer": None})

    def is_left() -> bool:
        found = scene.tools.get("deployments,services", scene.where)["items"]
        return any(one["metadata"]["name"] == OBSERVER for one in found)

    wait_until(lambda: not is_left(), "the observer is gone")
    rules = scene.tools.get("httproutes.gateway.networking.k8s.io", NAME, scene.where)["spec"]["rules"]
    assert all("filters" not in rule for rule in rules)
    assert not scene.condition(NAME, "Observed")
