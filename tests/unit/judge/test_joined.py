"""Questions that are asked as one get the answers that they would have got alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.gateways import PRESETS
from sluice_judge.model import Answer, Answered, Arm, Failed, Question, Series
from sluice_judge.samples import joined, selectors
from tests.support.simulated.prometheus import Prometheus

MODELS = 6
NOW = 600.0


def asked(model: int, *, window: int = 20, preset: bool = True, metric: str = "envoy_cluster_upstream_rq") -> Question:
    """The requests of a model's two versions, as Contour's preset words them."""
    values = "|".join(f"shop_m{model}-{version}_80" for version in ("aaa", "bbb"))
    return Question(f"requests/{model}", f'{metric}{{envoy_cluster_name=~"({values})"}}', window, preset=preset)


def counted() -> Prometheus:
    """Every version of every model has requests on two gateway pods, each its own number of them."""
    prometheus = Prometheus()
    for second in range(0, int(NOW) + 1, 5):
        for model in range(MODELS):
            for number, version in enumerate(("aaa", "bbb")):
                for target in ("a", "b"):
                    prometheus.request(f"m{model}-{version}", target=target, times=1 + model + number)
        prometheus.scrape(float(second), ("a", "b"))
    return prometheus


PROMETHEUS = counted()


def alone(question: Question) -> Answer:
    return PROMETHEUS.answer([question], NOW)[question.key]


def together(questions: list[Question], most: int = joined.MOST) -> dict[Question, Answer]:
    wholes = joined.joined(questions, most=most)
    return {part: answer for whole in wholes for part, answer in joined.parted(whole, alone(whole.question)).items()}


@given(
    models=st.lists(st.integers(0, MODELS - 1), min_size=1, max_size=12),
    windows=st.lists(st.sampled_from([18, 20, 45, 100]), min_size=12, max_size=12),
    most=st.integers(1, 5),
)
def test_who_is_asked_together_gets_the_answer_of_who_asks_alone(
    models: list[int], windows: list[int], most: int
) -> None:
    questions = [joined.plain(asked(model, window=window)) for model, window in zip(models, windows, strict=False)]
    answers = together(questions, most)
    assert answers.keys() == set(questions)
    for question, answer in answers.items():
        assert answer == alone(question)
        assert isinstance(answer, Answered)
        assert len(answer.series) > 0


def test_what_cannot_be_read_is_unknown_to_whom_it_belongs_and_to_nobody_else() -> None:
    questions = [joined.plain(asked(model)) for model in range(3)]
    [whole] = joined.joined(questions)
    answer = alone(whole.question)
    assert isinstance(answer, Answered)
    nan = next(one for one in answer.series if "m1-bbb" in one.labels["envoy_cluster_name"])
    left = tuple(one for one in answer.series if one != nan)
    found = joined.parted(whole, Answered(left, (nan.labels,)))
    answers = [each for question in questions if isinstance(each := found[question], Answered)]
    assert [each.unreadable for each in answers] == [(), (nan.labels,), ()]
    assert [len(each.series) for each in answers] == [4, 3, 4]


def test_many_releases_are_one_question() -> None:
    questions = [joined.plain(asked(model, window=20 + model % 8)) for model in range(joined.MOST)]
    [whole] = joined.joined(questions)
    assert whole.parts == tuple(questions)
    assert whole.question.window_seconds == joined.WINDOWS[0]


def test_equal_questions_are_one_whoever_asks_and_a_second_sooner_or_later() -> None:
    one = Question("freshness", "envoy_server_live", 21, preset=True)
    other = Question("b/freshness", "envoy_server_live", 23, preset=True)
    assert joined.plain(one) == joined.plain(other)
    [whole] = joined.joined([joined.plain(one), joined.plain(other)])
    assert whole.parts == (joined.plain(one),)


def test_what_differs_in_more_than_one_value_is_asked_apart() -> None:
    questions = [
        joined.plain(question)
        for question in (
            asked(1),
            asked(2, metric="envoy_cluster_upstream_rq_time_bucket"),
            asked(3, window=200),
            replace(asked(4), step_seconds=300),
            asked(5, preset=False),
        )
    ]
    assert [whole.parts for whole in joined.joined(questions)] == [(question,) for question in questions]


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.requests])
def test_every_preset_can_be_joined(name: str) -> None:
    """Requests of two models of one namespace in one question, and each series back to its model."""
    preset = PRESETS[name]
    filled = [
        selectors.filled_for("shop", f"m{model}", preset.requests, [Arm(f"m{model}-a", f"m{model}-a", 80)])
        for model in (1, 2)
    ]
    questions = [joined.plain(Question("requests", selector, 20, preset=True)) for selector in filled]
    [whole] = joined.joined(questions)
    assert len(whole.parts) == 2
    assert whole.question.selector.count("m1") == filled[0].count("m1")
    assert whole.question.selector.count("m2") == filled[1].count("m2")


@pytest.mark.parametrize(
    ("question", "most_parts"),
    [
        (Question("", 'x{a=~"b"}', 20, preset=True), joined.MOST),
        (Question("", 'x{a=~"b"}', 900, preset=True), 10),
        (Question("", 'x{a=~"b"}', 3600, preset=True), 2),
        (Question("", 'x{a=~"b"}', 86_400, 300, preset=True), 6),
        (Question("", 'x{a=~"b"}', 86_400, preset=True), 1),
        (Question("", f'x{{a=~"{"b" * 1000}"}}', 20, preset=True), 5),
        (Question("", f'x{{a=~"{"b" * 9000}"}}', 20, preset=True), 1),
    ],
)
def test_large_answers_and_long_selectors_are_joined_less(question: Question, most_parts: int) -> None:
    questions = [
        joined.plain(replace(question, selector=question.selector.replace("b", "c", number % 5 + 1) + " " * number))
        for number in range(1)
    ] + [
        joined.plain(replace(question, selector=question.selector.replace('=~"', f'=~"{number:03}')))
        for number in range(60)
    ]
    assert max(len(whole.parts) for whole in joined.joined(questions)) == most_parts


def test_a_window_reaches_as_far_back_as_when_it_was_worded() -> None:
    question = asked(1, window=39)
    assert joined.plain(question).window_seconds == 40
    assert joined.plain(question, seconds_ago=0.2).window_seconds == 160
    assert joined.plain(replace(question, window_seconds=3600)).window_seconds == 3660


def test_a_failure_is_that_of_all_parts_until_they_are_asked_in_halves() -> None:
    questions = [joined.plain(asked(model)) for model in range(3)]
    [whole] = joined.joined(questions)
    assert joined.parted(whole, Failed("away")) == dict.fromkeys(questions, Failed("away"))
    one, other = joined.halves(whole)
    assert (one.parts, other.parts) == (tuple(questions[:1]), tuple(questions[1:]))
    assert one.question == questions[0]
    assert joined.parted(other, alone(other.question)) == {part: alone(part) for part in other.parts}


def test_a_series_without_the_label_is_nobodys() -> None:
    [whole] = joined.joined([joined.plain(asked(1)), joined.plain(asked(2))])
    stray = Series({"__name__": "envoy_cluster_upstream_rq"}, ((1.0, 1.0),))
    assert joined.parted(whole, Answered((stray,))) == dict.fromkeys(whole.parts, Answered(()))


def test_an_answer_that_is_too_large_is_asked_for_over_a_quarter_of_its_time_down_to_half_a_minute() -> None:
    (whole,) = joined.joined([joined.plain(Question("", "up", 3540))])
    windows = []
    while (shorter := joined.shorter(whole)) is not None:
        assert shorter.parts == whole.parts
        whole = shorter
        windows.append(shorter.question.window_seconds)
    assert windows == [900, 225, 56]


def test_models_of_several_namespaces_are_asked_together_and_told_apart_by_both_labels() -> None:
    places = [("shop", "digits"), ("cave", "digits"), ("shop", "wine")]
    questions = [
        Question("", f'rows{{namespace=~"{where}",model=~"{name}"}}', 75, preset=True) for where, name in places
    ]
    [whole] = joined.joined(questions)
    assert whole.question.selector == 'rows{namespace=~"shop|cave",model=~"digits|wine"}'
    assert whole.labels == joined.labels_of(questions[0]) == ("namespace", "model")
    named = [*places, ("cave", "wine")]
    series = [Series({"namespace": where, "model": name}, ((60.0, 1.0),)) for where, name in named]
    parts = joined.parted(whole, Answered(tuple(series)))
    assert [parts[question] for question in questions] == [Answered((one,)) for one in series[:3]]


def test_what_stands_between_the_namespace_and_the_last_value_joins_nothing() -> None:
    selector = 'rows{{namespace=~"{}",code="200",model=~"m"}}'
    questions = [Question("", selector.format(where), 75, preset=True) for where in ("shop", "cave")]
    assert [whole.parts for whole in joined.joined(questions)] == [(question,) for question in questions]


def worded(selector: str, *models: str) -> list[Question]:
    """What a user's wording comes to for the versions of models; `plain` as the shell makes it."""
    return [
        replace(
            joined.plain(Question("", selector.replace("REV", f"{model}-1a").replace("NAME", model), 20), model=model),
            key="shop",
        )
        for model in models
    ]


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        ('fb{revision="REV"}', 'fb{revision=~"m1-1a|m2-1a"}'),
        ('fb{revision="REV",correct="false"}', 'fb{revision=~"m1-1a|m2-1a",correct="false"}'),
        ('fb{name="NAME",revision="REV"}', 'fb{name=~"m1|m2",revision=~"m1-1a|m2-1a"}'),
        ('fb{pod=~"REV-.*",code!~"4.."}', 'fb{pod=~"m1-1a-.*|m2-1a-.*",code!~"4.."}'),
        ('fb{x="a,revision=",revision="REV",y="b"}', 'fb{x="a,revision=",revision=~"m1-1a|m2-1a",y="b"}'),
    ],
)
def test_what_users_have_worded_alike_is_joined_by_what_names_the_version(selector: str, want: str) -> None:
    questions = worded(selector, "m1", "m2")
    [whole] = joined.joined(questions)
    assert whole.question.selector == want
    assert whole.parts == tuple(questions)
    assert [each.question for each in joined.joined(questions, most=1)] == questions, "alone it is asked as it stands"


@pytest.mark.parametrize(
    "selector",
    [
        'fb{pod=~"REV-(.*)+x"}',  # nobody's own pattern is matched here
        'fb{revision="REV.x"}',
        'fb{shop="REV-1",shop=~"REV-.*"}',
        'fb{revision!="REV"}',
        'fb{revision="x-REV"}',
    ],
)
def test_what_is_worded_in_another_way_is_asked_alone(selector: str) -> None:
    questions = worded(selector, "m1", "m2")
    assert [whole.question for whole in joined.joined(questions)] == questions


def test_users_of_two_namespaces_are_never_asked_together() -> None:
    questions = [
        replace(question, key=namespace)
        for namespace in ("shop", "cave")
        for question in worded('fb{revision="REV"}', "m1", "m2")
    ]
    assert [len(whole.parts) for whole in joined.joined(questions)] == [2, 2]


def test_each_user_gets_the_answer_that_it_would_have_got_alone() -> None:
    prometheus = Prometheus()
    for second in range(0, 61, 5):
        for number, revision in enumerate(("m1-1a", "m1-1a-2b", "m2-1a", "m21-1a")):
            prometheus.request(revision, wrong=bool(second % 2), times=1 + number)
        prometheus.scrape(float(second))
    questions = worded('feedback_total{revision="REV",correct="true"}', "m1", "m2", "m3")
    [whole] = joined.joined(questions)
    answers = [prometheus.answer([each], 60.0)[each.key] for each in (whole.question, *questions)]
    assert joined.parted(whole, answers[0]) == dict(zip(questions, answers[1:], strict=True))
    assert [len(each.series) for each in answers if isinstance(each, Answered)] == [2, 1, 1, 0]


def test_who_is_told_by_a_pattern_gets_its_own_pods() -> None:
    questions = worded('fb{pod=~"REV-.*"}', "m1", "m2")
    [whole] = joined.joined(questions)
    pods = [Series({"pod": pod}, ((1.0, 1.0),)) for pod in ("m1-1a-x", "m2-1a-y", "m2-1ab-z")]
    assert joined.parted(whole, Answered(tuple(pods))) == {
        part: Answered((own,)) for part, own in zip(questions, pods, strict=False)
    }
