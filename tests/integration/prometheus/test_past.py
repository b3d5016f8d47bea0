"""`calibrate` and `record` against a real Prometheus that holds hours of a service's past."""

import functools
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli.evidence import calibrate
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.kube.metrics import PrometheusFromHere
from kubectl_sluice.offline import calibrate as tries
from kubectl_sluice.views.reports.calibration import CalibrationView
from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.model import OwnCounters
from sluice_judge.replay import record, replay
from sluice_judge.schema.policy import CanaryStep
from tests.integration.prometheus.conftest import running
from tests.support import patience
from tests.support.cases import builders
from tests.support.simulated import trials
from tests.support.simulated.prometheus import Prometheus

EVERY = 15
BATCH = 2000
ACCURACY = trials.ACCURACY.model_copy(
    update={"failure_ratio": trials.ACCURACY.failure_ratio.model_copy(update={"relative_tolerance": "25%"})}
    if trials.ACCURACY.failure_ratio is not None
    else {}
)
POLICY = RolloutPolicySpec(
    objectives=[ACCURACY, trials.ERRORS],
    scrape_interval_seconds=EVERY,
    bake_seconds=300,
    steps=[CanaryStep(weight=5), CanaryStep(weight=100)],
)
LENGTH = tries.LEARNING_SECONDS + tries.release_seconds(POLICY)
"""Room for one release."""
OWN = OwnCounters(requests="served_total", failures="failed_total")


@functools.cache
def past(*, bad_pod: bool) -> tuple[Prometheus, float]:
    """What a service has counted up to now, pod by pod; one of four is bad from 20 min into the release on."""
    dice, prometheus = random.Random(5), Prometheus()
    end = time.time() - calibrate.VISIBLE_SECONDS
    prometheus.scrape(end - LENGTH)
    for second in range(EVERY, LENGTH + 1, EVERY):
        prometheus.request(trials.STABLE, times=150)
        for pod in range(4):
            wrong = 0.4 if bad_pod and pod == 1 and second > tries.LEARNING_SECONDS + 1200 else 0.05
            bad = sum(dice.random() < wrong for _ in range(40))
            labels = {"revision": trials.STABLE, "pod": f"{trials.STABLE}-x{pod}"}
            prometheus.count("client", "feedback_total", bad, correct="false", **labels)
            prometheus.count("client", "feedback_total", 40 - bad, correct="true", **labels)
            prometheus.count("client", "served_total", 40, pod=labels["pod"])
            prometheus.count("client", "failed_total", bad, pod=labels["pod"])
        prometheus.scrape(end - LENGTH + second)
    return prometheus, end + calibrate.VISIBLE_SECONDS


@pytest.fixture
def prometheus_url(tmp_path: Path) -> Iterator[str]:
    """One that scrapes nobody: what it holds is pushed."""
    config = tmp_path / "prometheus.yml"
    config.write_text("otlp: {translation_strategy: NoTranslation}\n")
    with running(config, tmp_path / "data", "--web.enable-otlp-receiver") as url:
        yield url


def pushed(url: str, prometheus: Prometheus) -> None:
    """All samples, in the order of time, as OTLP in JSON: samples as they are, whatever they count."""
    every = sorted(
        ((time, labels, value) for labels, points in prometheus.samples.items() for time, value in points),
        key=lambda sample: sample[0],
    )
    for begin in range(0, len(every), BATCH):
        resources = [resource(dict(labels), time, value) for time, labels, value in every[begin : begin + BATCH]]
        post(f"{url}/api/v1/otlp/v1/metrics", json.dumps({"resourceMetrics": resources}).encode())


def resource(labels: dict[str, str], time: float, value: float) -> dict[str, object]:
    name, job, instance = (labels.pop(label) for label in ("__name__", "job", "instance"))
    point = {"timeUnixNano": str(round(time * 1e9)), "asDouble": value, "attributes": attributes(labels)}
    return {
        "resource": {"attributes": attributes({"service.name": job, "service.instance.id": instance})},
        "scopeMetrics": [{"metrics": [{"name": name, "gauge": {"dataPoints": [point]}}]}],
    }


def attributes(labels: dict[str, str]) -> list[dict[str, object]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in labels.items()]


def post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=patience.HANG_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


async def calibrated(url: str, *, bad_pod: bool) -> CalibrationView:
    prometheus, now = past(bad_pod=bad_pod)
    pushed(url, prometheus)
    subject = calibrate.Subject(
        release=cluster.FetchedRelease(builders.make_model_deployment(namespace="shop"), (), {}),
        stable=trials.STABLE,
        config=OperatorConfig(),
        grpc=frozenset(),
        policy=POLICY,
        policy_name="RolloutPolicy default",
        answer_seconds=30.0,
    )
    source = PrometheusFromHere(cast(kubectl.Kubectl, None), url, timeout_seconds=patience.HANG_SECONDS)
    try:
        return await calibrate.calibrated(subject, source, since=LENGTH + 120, now=now, say=lambda _: None)
    finally:
        source.close()


async def test_a_policy_is_tried_on_what_prometheus_holds(prometheus_url: str) -> None:
    view = await calibrated(prometheus_url, bad_pod=False)

    assert view.notes == tuple(note for note in view.notes if note.startswith("errors: its series name no pod"))
    assert (len(view.releases), view.rolled_back, view.probes) == (1, 0, 0)
    accuracy, errors = view.objectives
    assert (accuracy.name, accuracy.pods, accuracy.proven) == ("accuracy", 4, 1)
    assert accuracy.requests_per_hour == pytest.approx(160 * 240, rel=0.02)
    assert (errors.name, errors.pods, errors.proven) == ("errors", 0, 1)
    assert errors.requests_per_hour == pytest.approx(150 * 240, rel=0.02)


async def test_a_pod_that_went_wrong_is_told(prometheus_url: str) -> None:
    view = await calibrated(prometheus_url, bad_pod=True)

    assert view.rolled_back == 1
    assert view.releases[0].message.startswith("accuracy: candidate ")


async def test_what_pods_count_is_recorded_as_halves(prometheus_url: str) -> None:
    prometheus, now = past(bad_pod=False)
    pushed(prometheus_url, prometheus)
    trial = trials.make_trial(now=now, objectives=(trials.ERRORS,), scrape_interval_seconds=float(EVERY), own=OWN)
    metrics = PrometheusMetrics(prometheus_url, timeout_seconds=patience.HANG_SECONDS)
    seconds = LENGTH + 120
    try:
        answers = await metrics.answer(record.questions(trial, seconds=seconds))
    finally:
        metrics.close()
    weights = ((0.0, 0), (now - 3600, 50))
    file = replay.read(record.recorded(trial, answers, seconds=seconds, weights=weights))

    halves = file.lines[-1].stable.halves
    assert halves is not None
    assert [half.pod_count for half in halves] == [2, 2]
    assert sum(half.requests for half in halves) == pytest.approx(160 * LENGTH / EVERY, rel=0.02)
    assert list(replay.replay(file, POLICY.model_copy(update={"objectives": [trials.ERRORS]})))


def test_samples_keep_their_time_and_labels(prometheus_url: str) -> None:
    """The test's own means."""
    now = time.time()
    prometheus = Prometheus()
    prometheus.count("client", "feedback_total", 3, pod="a")
    prometheus.scrape(now - 60)
    pushed(prometheus_url, prometheus)
    with urllib.request.urlopen(
        f"{prometheus_url}/api/v1/query?query=feedback_total[2m]", timeout=patience.HANG_SECONDS
    ) as answer:
        (found,) = json.load(answer)["data"]["result"]
    labels = {"__name__": "feedback_total", "instance": "client", "job": "users", "namespace": "shop", "pod": "a"}
    assert found["metric"] == labels
    assert found["values"] == [[pytest.approx(now - 60, abs=0.002), "3"]]
