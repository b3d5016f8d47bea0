"""What is not cached is made side by side, and the estimate follows the speed of the machine."""

import io
import threading
from collections.abc import Callable

import pytest

from lab import __main__ as command_line
from lab import coldstart, console, gotools, processes
from lab.coldstart import Step

HANDSHAKE_SECONDS = 10


def test_each_program_has_its_weight() -> None:
    assert set(coldstart.COMPILE_SECONDS) == set(gotools.TOOLS)


@pytest.mark.parametrize(
    ("planned", "finished", "running", "want"),
    [
        ([10, 30], [], 0, 40),
        ([10, 30], [], 4, 36),
        ([10, 30], [], 20, 60),
        ([10, 30], [20], 0, 60),
        ([10, 30], [20], 15, 45),
        ([10, 30], [5], 0, 15),
        ([10, 30], [10, 30], 0, 0),
    ],
    ids=["nothing yet", "as planned", "longer than planned", "twice as slow", "half way", "twice as fast", "done"],
)
def test_what_remains_is_the_plan_at_the_speed_seen_so_far(
    planned: list[float], finished: list[float], running: float, want: float
) -> None:
    assert coldstart.remaining_seconds(planned, finished, running) == pytest.approx(want)


def test_the_lanes_work_side_by_side_and_each_in_its_order() -> None:
    made: list[str] = []
    here, there = threading.Event(), threading.Event()

    def meet(name: str, mine: threading.Event, other: threading.Event) -> Callable[[], None]:
        def make() -> None:
            mine.set()
            assert other.wait(HANDSHAKE_SECONDS), "the other lane waits for this one"
            made.append(name)

        return make

    def note(name: str) -> Step:
        return Step(name, 1, lambda: made.append(name))

    coldstart.run((Step("a1", 1, meet("a1", here, there)), note("a2")), (Step("b1", 1, meet("b1", there, here)),))
    assert set(made) == {"a1", "a2", "b1"}
    assert made.index("a1") < made.index("a2")


def test_further_images_are_made_from_the_base_images_before_the_last_program_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    imaged = threading.Event()

    def compiled() -> None:
        assert imaged.wait(HANDSHAKE_SECONDS), "images are made while programs compile"
        made.append("kubelet")

    def image() -> None:
        made.append("operator")
        imaged.set()

    for lane in ("modules_lane", "_debian", "_rest"):
        monkeypatch.setattr(coldstart, lane, lambda *_: ())
    monkeypatch.setattr(coldstart, "compile_lane", lambda _: (Step("kubernetes", 1, compiled),))
    monkeypatch.setattr(coldstart.baseimages, "ensure_python", lambda: made.append("python"))
    monkeypatch.setattr(coldstart.baseimages, "ensure", lambda: made.append("all"))
    coldstart.setup(Step("operator", 1, image))
    assert made == ["python", "operator", "kubelet", "all"]


def fail() -> None:
    raise processes.LabError("no space left")


def test_a_failure_stops_the_other_lane_before_its_next_step() -> None:
    made: list[str] = []
    stop = threading.Event()
    with pytest.raises(processes.LabError):
        coldstart.Lane([Step("failing", 1, fail)]).work(stop, lambda: None)
    coldstart.Lane([Step("next", 1, lambda: made.append("next"))]).work(stop, lambda: None)
    assert made == []


def test_a_failure_is_told() -> None:
    with pytest.raises(processes.LabError, match="no space left"):
        coldstart.run((Step("fine", 1, lambda: None),), (Step("failing", 1, fail),))


def test_what_is_cached_is_not_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gotools, "is_built", lambda tool: tool.name in ("etcd", "helm"))
    programs = ("contour", "helm", "kubernetes", "etcd")
    assert [step.name for step in coldstart.compile_lane(programs)] == ["kubernetes", "contour"]
    fetched: list[str] = []
    monkeypatch.setattr(gotools, "fetch", lambda *names: fetched.extend(names))
    coldstart.run(coldstart.modules_lane(programs))
    assert fetched == ["contour"]


@pytest.mark.parametrize(
    ("named", "want"),
    [(("helm",), ("helm",)), (("keda", "etcd"), ("keda", "etcd")), (("all",), tuple(gotools.TOOLS))],
    ids=["one", "two", "all"],
)
def test_build_makes_the_named_programs_or_all(
    monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...], want: tuple[str, ...]
) -> None:
    built: list[str] = []
    monkeypatch.setattr(coldstart, "build", lambda *programs: built.extend(programs))
    assert command_line.main(["build", *named]) == 0
    assert tuple(built) == want


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_line_gives_way_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    console.live("about 5 min left; now: kubernetes, Debian packages, and more")
    console.say("done")
    live, said = terminal.getvalue().split("\r\x1b[K")[1:]
    assert "s] about 5 min left; now:" in live
    assert len(live) < 40
    assert said.endswith("s] done\n")


def test_without_a_terminal_there_is_no_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    console.live("about 5 min left")
    console.say("done")
    assert log.getvalue().count("\n") == 1
    assert "min left" not in log.getvalue()
