"""What is measured, from the words of a command line."""

import pytest

from kubectl_sluice.loadgen import profile as load_profile
from kubectl_sluice.offline.profile import sweep
from kubectl_sluice.offline.profile.model import AS_IT_SERVES, BatchingMode, Setting
from kubectl_sluice.offline.profile.sweep import Sweep

SWEEP = Sweep(
    settings=sweep.settings(sweep.parse_batching("0"), ()),
    concurrency=(1, 4),
    seconds=5,
    maximum_batch=32,
    ready_seconds=600,
    gateway=None,
)


@pytest.mark.parametrize(("text", "want"), [("1,2,4", (1, 2, 4)), ("8, 1,8", (1, 8)), ("256", (256,))])
def test_concurrency(text: str, want: tuple[int, ...]) -> None:
    assert sweep.parse_concurrency(text) == want


@pytest.mark.parametrize("text", ["", "0", "257", "1;2", "one", "-1", "1.5", "²"])
def test_no_concurrency(text: str) -> None:
    with pytest.raises(ValueError, match="write whole numbers from 1 to 256"):
        sweep.parse_concurrency(text)


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
    assert [setting.words for setting in sweep.parse_batching(text)] == want


@pytest.mark.parametrize("text", ["on", "100", "1s", "2000ms", "-1us"])
def test_no_batching(text: str) -> None:
    with pytest.raises(ValueError, match="is not a batching setting; use off, 0"):
        sweep.parse_batching(text)


@pytest.mark.parametrize(
    ("setting", "want"),
    [
        (Setting(), "as it is"),
        (Setting(threads=1), "1 thread"),
        (Setting(BatchingMode.ON, 100, instances=2, threads=4), "batching 100us, 2 instances, 4 threads"),
    ],
)
def test_a_setting_in_words(setting: Setting, want: str) -> None:
    assert setting.words == want


def test_what_serves_is_measured_first_and_nothing_twice() -> None:
    wanted = sweep.settings((Setting(BatchingMode.OFF), Setting(BatchingMode.OFF)), (2,))
    assert wanted == (AS_IT_SERVES, Setting(BatchingMode.OFF), Setting(instances=2))


def test_the_pod_outlives_the_longest_run() -> None:
    assert SWEEP.expected_seconds == 2 * (2 * 8 + 10)
    assert SWEEP.longest_seconds > SWEEP.ready_seconds + SWEEP.expected_seconds
    assert sweep.LONGEST == load_profile.LONGEST


def test_the_generators_document() -> None:
    document = sweep.document(SWEEP, host="h", port=8000, model="m", path="/p", ready_path="/r", processes=0)
    assert document["settings"] == [
        {"batching": "as is", "delayMicros": 0, "instances": None},
        {"batching": "on", "delayMicros": 0, "instances": None},
    ]
    assert document["gateway"] is None
    assert sweep.infer_path("a b") == "/v2/models/a%20b/infer"
