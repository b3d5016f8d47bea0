"""What observers have counted, of many models in few questions; and tenants who name bins as they like."""

import dataclasses

import pytest

from sluice_core.adapters.prometheus import query_of
from sluice_core.watch import features
from sluice_core.watch.binsources import FEATURES
from sluice_core.watch.features import FeatureInquest, FeatureMinute, TooMany
from sluice_core.watch.minutes import Place, Unseen
from sluice_core.watch.model import Drift, Watch
from sluice_judge.model import Answer, Answered, Failed, Question, Series
from sluice_judge.samples import joined
from tests.support.simulated import watches

COUNTED = "sluice_observed_total"
REFERENCE = "sluice_observer_reference_rows"
AGE = {"<18": 10.0, ">=18": 30.0, "(missing)": 0.0}


def answered(asked: FeatureInquest, series: list[Series]) -> dict[Place, FeatureMinute | Unseen]:
    """What is read when these are all series that there are."""
    answers: dict[Question, Answer] = {}
    for whole in asked.questions:
        name = whole.question.selector.partition("{")[0]
        found = [one for one in series if one.labels["of"] == name]
        answers.update(joined.parted(whole, Answered(tuple(found))))
    return of_features(asked, answers)


def of_features(asked: FeatureInquest, answers: dict[Question, Answer]) -> dict[Place, FeatureMinute | Unseen]:
    return {place: found for (place, name), found in asked.read(answers).items() if name == FEATURES}


def shown(
    of: str, by: float = 1.0, *, model: str = "digits", namespace: str = "shop", feature: str = "age"
) -> list[Series]:
    labels = {"of": of, "namespace": namespace, "model": model, "feature": feature}
    return [Series({**labels, "bin": name}, ((60.0, by * count),)) for name, count in AGE.items()]


def test_counters_and_reference_of_many_models_are_two_questions() -> None:
    versions = [
        watches.make_observed(),
        watches.make_observed("wine"),
        watches.make_observed("wine", namespace="cave"),
        watches.make_version("iris"),
    ]
    asked = features.inquest(versions, {}, 60.0)
    assert [query_of(whole.question) for whole in asked.questions] == [
        "sum by (namespace, model, feature, bin) (increase(sluice_observed_total"
        '{namespace=~"cave|shop",model=~"wine|digits"}[75s])) and on (namespace, model) (count by (namespace, model) '
        '(sluice_observed_total{namespace=~"cave|shop",model=~"wine|digits"}) <= 4096)',
        "max by (namespace, model, feature, bin) (sluice_observer_reference_rows"
        '{namespace=~"cave|shop",model=~"wine|digits"}) and on (namespace, model) (count by (namespace, model) '
        '(sluice_observer_reference_rows{namespace=~"cave|shop",model=~"wine|digits"}) <= 4096)',
    ]
    read = answered(
        asked,
        [
            *shown(COUNTED, 75 / 60),
            *shown(REFERENCE),
            *shown(COUNTED, model="wine", namespace="cave"),
            *shown(COUNTED, model="digits", namespace="cave"),
        ],
    )
    assert read["shop", "digits"] == FeatureMinute({"age": AGE}, {"age": AGE})
    assert isinstance(read["cave", "wine"], Unseen), "there is no reference"
    assert isinstance(read["shop", "wine"], Unseen)
    assert "no series sluice_observed_total" in read["shop", "wine"].why


def test_a_thousand_models_of_as_many_namespaces_are_a_question_for_forty_eight() -> None:
    versions = [watches.make_observed(namespace=f"team-{number:04}") for number in range(1000)]
    known = {each.place: Watch("a", drifts={FEATURES: Drift(reference={"age": AGE}, read=30.0)}) for each in versions}
    assert len(features.inquest(versions, known, 60.0).questions) == 21


def test_the_reference_is_read_four_times_an_hour_and_where_it_is_not_known() -> None:
    version = watches.make_observed()

    def is_asked(drift: Drift, end: float) -> bool:
        return bool(features.inquest([version], {version.place: Watch("a", drifts={FEATURES: drift})}, end).references)

    known = Drift(reference={"age": AGE}, read=60.0)
    assert [is_asked(known, end) for end in (120.0, 900.0, 960.0)] == [False, False, True]
    assert is_asked(Drift(), 60.0)
    assert answered(
        features.inquest([version], {version.place: Watch("a", drifts={FEATURES: known})}, 120.0), shown(COUNTED, 1.25)
    ) == {version.place: FeatureMinute({"age": AGE}, None)}


def test_without_a_label_of_namespaces_nothing_is_asked() -> None:
    version = watches.make_observed(label="")
    assert features.inquest([version], {}, 60.0).questions == ()


def test_whatever_the_label_of_namespaces_is_called_it_says_whose_series_are_looked_at() -> None:
    versions = [watches.make_observed(namespace=name, label="tenant") for name in ("shop", "cave")]
    known = {each.place: Watch("a", drifts={FEATURES: Drift(reference={"age": AGE}, read=30.0)}) for each in versions}
    asked = features.inquest(versions, known, 60.0)
    assert [whole.question.summed_by for whole in asked.questions] == [("tenant", "model", "feature", "bin")] * 2
    found = [dataclasses.replace(each, labels={**each.labels, "tenant": "shop"}) for each in shown(COUNTED, 1.25)]
    answers: dict[Question, Answer] = {
        part: Answered(tuple(found)) for whole in asked.questions for part in whole.parts
    }
    read = of_features(asked, answers)
    assert read["shop", "digits"] == FeatureMinute({"age": AGE}, None)
    assert isinstance(read["cave", "digits"], Unseen)


def test_whose_answer_is_refused_is_not_asked_for_until_later() -> None:
    version = watches.make_observed()
    asked = features.inquest([version], {}, 60.0)
    refused = of_features(
        asked, {question: Failed("8 MiB", refused=True) for whole in asked.questions for question in whole.parts}
    )
    assert refused == {version.place: TooMany("8 MiB")}
    away = of_features(asked, {question: Failed("away") for whole in asked.questions for question in whole.parts})
    assert away == {version.place: Unseen("away")}
    unknown = Answered((), ({"namespace": "shop"},))
    nan = of_features(asked, {question: unknown for whole in asked.questions for question in whole.parts})
    assert isinstance(unseen := nan[version.place], Unseen)
    assert "NaN" in unseen.why
    known = {version.place: Watch("a", drifts={FEATURES: Drift(refused_until=3660.0)})}
    assert features.inquest([version], known, 3660.0).counts == {}
    assert features.inquest([version], known, 3720.0).counts != {}


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "cave"},
        {"model": "digitsX"},
        {"feature": ""},
        {"feature": "x" * 201},
        {"bin": ""},
        {"bin": "x" * 201},
    ],
)
def test_what_is_not_of_the_model_or_not_the_observers_is_not_counted(changes: dict[str, str]) -> None:
    version = watches.make_observed("digits.x")
    asked = features.inquest(
        [version], {version.place: Watch("a", drifts={FEATURES: Drift(reference={"age": AGE}, read=1.0)})}, 60.0
    )
    other = Series({**shown(COUNTED, model="digits.x")[0].labels, **changes}, ((60.0, 1e6),))
    read = answered(asked, [*shown(COUNTED, 1.25, model="digits.x"), other])
    assert read == {version.place: FeatureMinute({"age": AGE}, None)}


@pytest.mark.parametrize(
    "forged",
    [
        [each for number in range(65) for each in shown(COUNTED, feature=f"x{number}")],
        [dataclasses.replace(each, labels={**each.labels, "bin": f"{number}"}) for number in range(33) for each in shown(COUNTED)],
    ],
    ids=["features", "bins"],
)  # fmt: skip
def test_more_than_an_observer_has_is_not_looked_at(forged: list[Series]) -> None:
    version = watches.make_observed()
    asked = features.inquest(
        [version], {version.place: Watch("a", drifts={FEATURES: Drift(reference={"age": AGE}, read=1.0)})}, 60.0
    )
    read = answered(asked, forged)[version.place]
    assert isinstance(read, Unseen)
    assert "more than 64 features" in read.why


def test_bins_are_in_the_order_of_their_numbers() -> None:
    names = ["(missing)", ">=65", "18 to 65", "-3 to 18", "<-3", "(not a number)", "fr", "de", "way to go"]
    assert list(features.ordered(dict.fromkeys(names, 0.0))) == [
        "<-3", "-3 to 18", "18 to 65", ">=65", "de", "fr", "way to go", "(not a number)", "(missing)",
    ]  # fmt: skip
