"""What a real Prometheus makes of the selectors that keep others' series out."""

import asyncio
import dataclasses
import time
from collections.abc import Iterator

import pytest

from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_judge.gateways import PRESETS, binding
from sluice_judge.model import Answered, Question
from sluice_judge.presets import Broken, GatewayPreset
from sluice_judge.samples import selectors
from tests.integration.prometheus.exporter import Exporter
from tests.support import patience
from tests.support.simulated import trials

OWN = {"job": "gateway"}


@pytest.fixture
def jobs() -> tuple[str, ...]:
    return ("gateway", "pods")


def questions(preset: GatewayPreset) -> Iterator[Question]:
    """One for every selector that the preset has."""
    trial = trials.make_trial(preset=preset)
    arms = [dataclasses.replace(arm, grpc_port=81) for arm in (trial.stable, trial.candidate)]
    for field in dataclasses.fields(preset):
        value = getattr(preset, field.name)
        text = value.selector if isinstance(value, Broken) else value
        if field.name not in binding.NO_SELECTORS and isinstance(text, str) and text:
            yield Question(f"{preset.name}/{field.name}", selectors.filled(trial, text, arms), 60)


async def test_it_takes_every_bound_selector_and_shows_the_gateways_series_alone(
    prometheus_url: str, exporter: Exporter
) -> None:
    exporter.request(trials.STABLE, code="200", times=95)
    metrics = PrometheusMetrics(prometheus_url, timeout_seconds=patience.HANG_SECONDS)
    wanted = [question for preset in PRESETS.values() for question in questions(binding.bound(preset, OWN))]
    asked = Question("sources", binding.sources(PRESETS["contour"], OWN), 60, step_seconds=10)
    deadline, seen = time.monotonic() + patience.HANG_SECONDS, set[str]()
    try:
        while time.monotonic() < deadline and seen != {"gateway", "pods"}:
            await asyncio.sleep(1)
            sources = (await metrics.answer([asked]))["sources"]
            assert isinstance(sources, Answered), sources
            seen = {series.labels["job"] for series in sources.series}
        answers = await metrics.answer(wanted)
    finally:
        metrics.close()

    assert seen == {"gateway", "pods"}
    assert {key: answer for key, answer in answers.items() if not isinstance(answer, Answered)} == {}
    found = answers["contour/requests"]
    assert isinstance(found, Answered)
    assert {series.labels["job"] for series in found.series} == {"gateway"}
