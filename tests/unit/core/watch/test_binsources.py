"""Whose counters by bins are watched, and which of them may be asked for together."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice_core.adapters.prometheus import query_of
from sluice_core.watch import binsources, features
from sluice_core.watch.binsources import BinSource
from sluice_core.watch.features import FeatureMinute
from sluice_core.watch.minutes import Place, Unseen
from sluice_core.watch.model import Drift, Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.model import Answer, Answered, Question, Series
from sluice_judge.samples import joined
from sluice_judge.schema import promql
from tests.support.simulated import watches

EXACT = 'predictions_total{revision="{{revision}}"}'


def own(
    model: str = "digits", selector: str = EXACT, *, namespace: str = "shop", label: str = "namespace"
) -> BinSource:
    place = namespace, model
    return binsources.of_objective("classes", selector, "bin", place, f"{model}-aaa", tolerance=0.025, label=label)


def watched(model: str = "digits", selector: str = EXACT, *, namespace: str = "shop") -> WatchedVersion:
    return watches.make_version(model, namespace=namespace, bins=(own(model, selector, namespace=namespace),))


def answering(model: str, *, namespace: str = "shop") -> WatchedVersion:
    source = binsources.of_answers(namespace, model, f"{model}-aaa", tolerance=0.025, label="namespace")
    return watches.make_version(model, namespace=namespace, bins=(source,))


def read(
    versions: list[WatchedVersion], shown: Callable[[Question], list[Series]]
) -> dict[Place, FeatureMinute | Unseen]:
    asked = features.inquest(versions, {}, 60.0)
    answers: dict[Question, Answer] = {}
    for whole in asked.questions:
        answers.update(joined.parted(whole, Answered(tuple(shown(whole.question)))))
    return {place: found for (place, _), found in asked.read(answers).items()}


def queries(versions: list[WatchedVersion]) -> list[str]:
    return [query_of(whole.question) for whole in features.inquest(versions, {}, 60.0).questions]


def series(value: float, **labels: str) -> Series:
    return Series(labels, ((60.0, value),))


def test_answers_of_many_models_are_two_questions_and_each_is_of_one_version() -> None:
    versions = [answering("digits"), answering("wine"), answering("wine", namespace="cave")]
    counted, reference = queries(versions)
    assert counted == (
        "sum by (namespace, revision, feature, bin) (increase(sluice_observed_answers_total"
        '{namespace=~"cave|shop",revision=~"wine-aaa|digits-aaa"}[75s])) and on (namespace, revision) (count by '
        '(namespace, revision) (sluice_observed_answers_total{namespace=~"cave|shop",revision=~"wine-aaa|digits-aaa"}) '
        "<= 4096)"
    )
    assert reference.startswith("max by (namespace, revision, feature, bin) (sluice_observer_reference_answer_rows{")

    def shown(_: Question) -> list[Series]:
        one = {"namespace": "shop", "revision": "digits-aaa", "feature": "class"}
        return [series(75.0, **one, bin="ham"), series(1e9, **{**one, "revision": "digitsXaaa"}, bin="ham")]

    found = read(versions, shown)
    assert found["shop", "digits"] == FeatureMinute({"class": {"ham": 60.0}}, {"class": {"ham": 75.0}})
    missing = found["cave", "wine"]
    assert isinstance(missing, Unseen)
    assert "whether its reference has answers (kubectl sluice reference --answers)" in missing.why


def test_a_thousand_models_with_answers_are_nine_questions() -> None:
    versions = [answering(f"m{number:03}") for number in range(1000)]
    known = {
        each.place: Watch("a", drifts={"answers": Drift(reference={"class": {"ham": 1.0}}, read=30.0)})
        for each in versions
    }
    assert len(features.inquest(versions, known, 60.0).questions) == 9


def test_what_one_policy_words_for_many_models_is_one_question() -> None:
    versions = [watched("digits"), watched("wine"), watched("wine", namespace="cave")]
    assert queries(versions) == [
        "sum by (namespace, revision, bin) (increase(predictions_total"
        '{namespace=~"cave|shop",revision=~"wine-aaa|digits-aaa"}[75s])) and on (namespace, revision) (count by '
        '(namespace, revision) (predictions_total{namespace=~"cave|shop",revision=~"wine-aaa|digits-aaa"}) <= 4096)'
    ]

    def shown(_: Question) -> list[Series]:
        one = {"namespace": "shop", "revision": "digits-aaa"}
        return [series(75.0, **one, bin="ham"), series(1e9, **{**one, "namespace": "evil"}, bin="ham")]

    found = read(versions, shown)
    assert found["shop", "digits"] == FeatureMinute({"classes": {"ham": 60.0}}, None)
    assert isinstance(found["shop", "wine"], Unseen)
    assert isinstance(found["cave", "wine"], Unseen)


@pytest.mark.parametrize(
    ("selector", "asked"),
    [
        (
            'said_total{job="x",revision="{{revision}}",name="{{name}}"}',
            'said_total{job="x",name="digits",namespace=~"shop",revision=~"digits-aaa"}',
        ),
        (
            '{__name__=~"a_total|b_total",revision="v-{{revision}}"}',
            '{__name__=~"a_total|b_total",namespace=~"shop",revision=~"v-digits-aaa"}',
        ),
        ('said_total{pod=~"{{revision}}-(.*"}', 'said_total{pod=~"digits-aaa-(.*",namespace="shop"}'),
        (
            'said_total{pod=~"{{revision}}-.*",revision="{{revision}}"}',
            'said_total{pod=~"digits-aaa-.*",namespace=~"shop",revision=~"digits-aaa"}',
        ),
    ],
)
def test_nothing_that_somebody_words_is_left_out(selector: str, asked: str) -> None:
    assert own(selector=selector).counters == asked


def test_a_pattern_is_asked_alone_and_matched_by_prometheus_alone() -> None:
    """It may be none for Python, or take it long."""
    selector = 'said_total{pod=~"{{revision}}-(.*"}'
    versions = [watched("digits", selector), watched("wine", selector)]
    asked = features.inquest(versions, {}, 60.0).questions
    assert [len(whole.parts) for whole in asked] == [1, 1]
    assert not any(whole.question.preset for whole in asked), "of which a shorter answer is read"

    def shown(question: Question) -> list[Series]:
        pods = ("digits-aaa-1", "digits-aaa-2") if "digits" in question.selector else ()
        return [series(75.0, namespace="shop", pod=pod, bin="ham") for pod in pods]

    found = read(versions, shown)
    assert found["shop", "digits"] == FeatureMinute({"classes": {"ham": 120.0}}, None)
    assert isinstance(found["shop", "wine"], Unseen)


def test_what_is_no_selector_is_refused() -> None:
    with pytest.raises(promql.InvalidSelector):
        own(selector="sum(said_total)")


@pytest.mark.parametrize(
    "source",
    [
        own(label=""),
        binsources.of_features("shop", "digits", tolerance=0.025, label=""),
        binsources.of_answers("shop", "digits", "digits-aaa", tolerance=0.025, label=""),
    ],
)
def test_counters_of_nobody_knows_whom_are_not_asked_for(source: BinSource) -> None:
    assert "queryNamespaceLabel" in source.problem
    assert features.inquest([watches.make_version(bins=(source,))], {}, 60.0).questions == ()


def test_tenants_with_many_questions_take_turns_and_cost_others_nothing() -> None:
    greedy = [
        watched(f"m{number:02}", f'predictions{number}_total{{revision="{{{{revision}}}}"}}', namespace="greedy")
        for number in range(60)
    ]
    modest = [watched("digits", namespace="shop")]
    looked: list[set[Place]] = []
    for number in range(20):
        asked = features.inquest([*greedy, *modest], {}, 60.0 * (number + 1))
        assert len(asked.questions) <= features.MOST_OWN
        assert {whole.parts[0] for whole in asked.questions} == set(asked.counts.values())
        looked.append({place for place, _ in asked.counts})
    assert all(("shop", "digits") in places for places in looked)
    assert len(set.union(*looked)) == 61, "each has its turn"


def test_more_namespaces_than_a_minute_has_room_for_take_turns() -> None:
    versions = [
        watched("digits", f'predictions{number}_total{{revision="{{{{revision}}}}"}}', namespace=f"team-{number:02}")
        for number in range(30)
    ]
    looked: list[set[Place]] = []
    for number in range(5):
        asked = features.inquest(versions, {}, 60.0 * (number + 1))
        assert len(asked.questions) == features.MOST_OWN
        looked.append({place for place, _ in asked.counts})
    assert len(set.union(*looked)) == 30


def test_the_reference_of_features_and_that_of_answers_are_of_their_own() -> None:
    """One that is missing blinds its own counters alone."""
    both = watches.make_version(bins=(*watches.make_observed().bins, *answering("digits").bins))

    def shown(question: Question) -> list[Series]:
        labels: dict[str, Any] = {"namespace": "shop", "feature": "age", "bin": "<18", "model": "digits"}
        return [] if "answer" in question.selector else [series(75.0, **labels)]

    asked = features.inquest([both], {}, 60.0)
    answers: dict[Question, Answer] = {
        part: Answered(tuple(shown(part))) for whole in asked.questions for part in whole.parts
    }
    found = asked.read(answers)
    assert isinstance(found[both.place, "features"], FeatureMinute)
    assert isinstance(found[both.place, "answers"], Unseen)
