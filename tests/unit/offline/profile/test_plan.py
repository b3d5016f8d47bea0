"""What is measured, from the words of a command line."""

import pytest

from sluice.loadgen import profile as load_profile
from sluice.offline.profile import plan
from sluice.offline.profile.model import AS_IT_SERVES, Batching, Setting
from sluice.offline.profile.plan import Plan

PLAN = Plan(
    settings=plan.settings(plan.parse_batching("0"), ()),
    concurrency=(1, 4),
    seconds=5,
    maximum_batch=32,
    ready_seconds=600,
    gateway=None,
)


@pytest.mark.parametrize(("text", "want"), [("1,2,4", (1, 2, 4)), ("8, 1,8", (1, 8)), ("256", (256,))])
def test_concurrency(text: str, want: tuple[int, ...]) -> None:
    assert plan.parse_concurrency(text) == want


@pytest.mark.parametrize("text", ["", "0", "257", "1;2", "one", "-1", "1.5", "²"])
def test_no_concurrency(text: str) -> None:
    with pytest.raises(ValueError, match="write whole numbers from 1 to 256"):
        plan.parse_concurrency(text)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", []),
        ("off", ["no batching"]),
        ("0,100us,2ms", ["batching 0", "batching 100us", "batching 2ms"]),
        ("1000us,1ms", ["batching 1ms"]),
    ],
)
def test_batching(text: str, want: list[str]) -> None:
    assert [setting.words for setting in plan.parse_batching(text)] == want


@pytest.mark.parametrize("text", ["on", "100", "1s", "2000ms", "-1us"])
def test_no_batching(text: str) -> None:
    with pytest.raises(ValueError, match="is no batching: write off, 0"):
        plan.parse_batching(text)


@pytest.mark.parametrize(
    ("setting", "want"),
    [
        (Setting(), "as it is"),
        (Setting(threads=1), "1 thread"),
        (Setting(Batching.ON, 100, instances=2, threads=4), "batching 100us, 2 instances, 4 threads"),
    ],
)
def test_a_setting_in_words(setting: Setting, want: str) -> None:
    assert setting.words == want


def test_what_serves_is_measured_first_and_nothing_twice() -> None:
    wanted = plan.settings((Setting(Batching.OFF), Setting(Batching.OFF)), (2,))
    assert wanted == (AS_IT_SERVES, Setting(Batching.OFF), Setting(instances=2))


def test_the_pod_outlives_the_longest_run() -> None:
    assert PLAN.expected_seconds == 2 * (2 * 8 + 10)
    assert PLAN.longest_seconds > PLAN.ready_seconds + PLAN.expected_seconds
    assert plan.LONGEST == load_profile.LONGEST


def test_the_generators_document() -> None:
    document = plan.document(PLAN, host="h", port=8000, model="m", path="/p", ready_path="/r", processes=0)
    assert document["settings"] == [
        {"batching": "as is", "delayMicros": 0, "instances": None},
        {"batching": "on", "delayMicros": 0, "instances": None},
    ]
    assert document["gateway"] is None
    assert plan.infer_path("a b") == "/v2/models/a%20b/infer"
