"""Whole minutes of many models in few questions, and how far off the increases may be."""

import dataclasses
import random
import re

import pytest

from sluice_core.watch import minutes
from sluice_core.watch.minutes import Minute, Unseen, WholeMinute
from sluice_judge.gateways import PRESETS
from sluice_judge.kinds import kind_of
from sluice_judge.model import Answer, Answered, Failed, Question, Series
from sluice_judge.samples import joined
from sluice_judge.schema.objectives import Objective
from tests.support import traefiknames
from tests.support.simulated import watches
from tests.support.simulated.prometheus import increase

CLUSTER, CODE = "envoy_cluster_name", "envoy_response_code"


def answered(asked: minutes.Inquest, series: list[Series]) -> dict[tuple[str, str], Minute]:
    """What is read when these are all series that there are."""
    answers: dict[Question, Answer] = {}
    for whole in asked.questions:
        wanted = set(whole.question.summed_by or ())
        found = [
            one for one in series if set(one.labels) - {"of"} == wanted and one.labels["of"] in whole.question.selector
        ]
        answers.update(joined.parted(whole, Answered(tuple(found))))
    return asked.read(answers)


def grown(model: str, code: str, by: float) -> Series:
    labels = {"of": "upstream_rq{", CLUSTER: f"shop_{model}-aaa_80", CODE: code}
    return Series(labels, ((60.0, by),))


ALIVE = Series({"of": "envoy_server_live"}, ((60.0, 0.0),))


def test_two_models_are_one_question_of_each_kind() -> None:
    asked = minutes.inquest([watches.make_version(), watches.make_version("wine")], ())
    selectors = [whole.question.selector for whole in asked.questions]
    assert len(selectors) == 3
    assert 'envoy_cluster_upstream_rq{envoy_cluster_name=~"shop_digits-aaa_80|shop_wine-aaa_80"}' in selectors
    assert {whole.question.window_seconds for whole in asked.questions} == {75}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_thousand_models_are_less_than_a_question_a_second(preset: str) -> None:
    versions = [watches.make_version(f"model-{number:04}", preset=preset) for number in range(1000)]
    assert len(minutes.inquest(versions, ()).questions) < 60


def test_each_gets_its_own_counts_scaled_to_the_minute() -> None:
    asked = minutes.inquest([watches.make_version(), watches.make_version("wine")], ())
    read = answered(
        asked, [grown("digits", "200", 75.0), grown("digits", "503", 5.0), grown("wine", "200", 10.0), ALIVE]
    )
    assert read["shop", "digits"] == WholeMinute({"requests": {"200": 60.0, "503": 4.0}})
    assert read["shop", "wine"] == WholeMinute({"requests": {"200": 8.0}})


def test_a_tenant_whose_names_are_joined_alike_is_not_counted() -> None:
    """Traefik joins namespace and name by the character that both may have."""
    preset = PRESETS["traefik"]
    ours, arm = traefiknames.model("team", "fraud-detector")
    theirs, _ = traefiknames.model("team-fraud", "detector")
    version = dataclasses.replace(
        watches.make_version(), namespace="team", model="fraud-detector", arm=arm, preset=preset
    )
    asked = minutes.inquest([version], ())
    series = [
        Series({"of": "requests_total{", "service": service, "code": code}, ((60.0, 75.0),))
        for service, code in ((ours, "200"), (theirs, "500"))
    ]
    read = answered(asked, [*series, Series({"of": preset.freshness}, ((60.0, 0.0),))])
    assert read[version.place] == WholeMinute({"requests": {"200": 60.0}})


def test_response_times_are_asked_for_where_they_are_watched() -> None:
    slow = kind_of(Objective.model_validate({"name": "slow", "latency": {"percentile": 95, "maximumMillis": 50}}))
    version = watches.make_version(kinds=(watches.ERRORS, slow))
    asked = minutes.inquest([version, watches.make_version("wine")], ())
    assert sum("_bucket{" in whole.question.selector for whole in asked.questions) == 1
    buckets = [
        Series({"of": "time_bucket{", CLUSTER: "shop_digits-aaa_80", "le": le}, ((60.0, by),))
        for le, by in {"50": 50.0, "+Inf": 75.0}.items()
    ]
    read = answered(asked, [grown("digits", "200", 75.0), *buckets, ALIVE])
    assert read[version.place] == WholeMinute({"requests": {"200": 60.0}, "latency": {"50": 40.0, "inf": 60.0}})


def test_calls_are_counted_beside_requests() -> None:
    arm = dataclasses.replace(watches.make_version().arm, grpc_port=81)
    slow = kind_of(Objective.model_validate({"name": "slow", "latency": {"percentile": 95, "maximumMillis": 50}}))
    asked = minutes.inquest([watches.make_version(arm=arm, kinds=(slow,))], ())
    assert sum("_81" in whole.question.selector for whole in asked.questions) == 3


def test_no_counter_is_no_request_as_long_as_the_gateway_knows_the_model() -> None:
    version = watches.make_version()
    assert answered(minutes.inquest([version], ()), [ALIVE]) == {
        version.place: WholeMinute({"requests": {}}, silent=True)
    }
    doubted = minutes.inquest([version], {version.place})
    known = Series({"of": "membership_total", CLUSTER: "shop_digits-aaa_80"}, ((60.0, 0.0),))
    assert answered(doubted, [ALIVE, known]) == {version.place: WholeMinute({"requests": {}}, silent=True)}
    read = answered(doubted, [ALIVE])[version.place]
    assert isinstance(read, Unseen)
    assert "does not know the model" in read.why


def test_a_gateway_that_is_not_scraped_is_said() -> None:
    version = watches.make_version()
    read = answered(minutes.inquest([version], ()), [grown("digits", "200", 75.0)])[version.place]
    assert isinstance(read, Unseen)
    assert "envoy_server_live in 75 s" in read.why


def test_a_counter_of_nan_is_unknown_and_not_0() -> None:
    versions = [watches.make_version(), watches.make_version("wine")]
    asked = minutes.inquest(versions, ())
    answers: dict[Question, Answer] = {}
    for whole in asked.questions:
        nan = {CLUSTER: "shop_digits-aaa_80", "envoy_response_code": "503"}
        unknown = (nan,) if "upstream_rq{" in whole.question.selector else ()
        answers.update(joined.parted(whole, Answered((ALIVE,), unknown)))
    read = asked.read(answers)
    assert isinstance(read["shop", "digits"], Unseen)
    assert re.fullmatch("every value of a series of .*upstream_rq{.* is NaN", read["shop", "digits"].why)
    assert isinstance(read["shop", "wine"], WholeMinute)


def test_an_answer_that_failed_is_about_its_own_models_alone() -> None:
    versions = [watches.make_version(), watches.make_version("wine", scrape_interval_seconds=30)]
    asked = minutes.inquest(versions, ())
    answers: dict[Question, Answer] = {}
    for whole in asked.questions:
        failed = Failed("too many samples")
        there = Answered((ALIVE,))
        answers.update(joined.parted(whole, there if whole.question.window_seconds == 75 else failed))
    read = asked.read(answers)
    assert read["shop", "digits"] == WholeMinute({"requests": {}}, silent=True)
    assert read["shop", "wine"] == Unseen("too many samples")


def counted(points: list[tuple[float, float]], end: float, interval: float) -> float:
    window = minutes.MINUTE + interval
    grown_by = increase([each for each in points if end - window < each[0] <= end], end - window, end)
    return (grown_by or 0.0) * minutes.MINUTE / window


@pytest.mark.parametrize("interval", [5, 10, 15, 30])
def test_regular_scrapes_are_counted_once_each(interval: int) -> None:
    """What one minute counts is what was counted between its scrapes, and all minutes together leave nothing out."""
    generator, value, points = random.Random(interval), 1000.0, []
    for number in range(3600 // interval):
        value += generator.randrange(50)
        points.append((number * interval + 3.2, value))
    found = [counted(points, end, interval) for end in range(120, 3600, 60)]
    true = [
        max(v for t, v in points if t <= end) - max(v for t, v in points if t <= end - 60)
        for end in range(120, 3600, 60)
    ]
    assert found == pytest.approx(true, rel=1e-9)
