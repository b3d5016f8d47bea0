"""Processes side by side: who makes what they share, who takes it away, and who waits for whom."""

import threading
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support import patience
from tests.support.live.together import Place, used


def test_the_first_makes_it_and_the_last_takes_it_away(tmp_path: Path) -> None:
    said: list[str] = []

    def one() -> AbstractContextManager[None]:
        return used(tmp_path / "lab", first=lambda: said.append("made"), last=lambda: said.append("gone"))

    with one():
        with one():
            assert said == ["made"]
        assert said == ["made"], "somebody still uses it"
    assert said == ["made", "gone"]
    with one():
        assert said == ["made", "gone", "made"]


def test_who_wants_to_be_alone_waits_for_all_others(tmp_path: Path) -> None:
    one, two, alone = (Place(tmp_path / "lock") for _ in range(3))
    one.take("releases", alone=False)
    two.take("grpc", alone=False)
    has_it = threading.Event()
    waiting = threading.Thread(target=lambda: (alone.take("disturbs", alone=True), has_it.set()))
    waiting.start()
    one.leave()
    assert not has_it.wait(0.2), "the other is still there"
    two.leave()
    waiting.join(patience.HANG_SECONDS)
    assert has_it.is_set()
    alone.leave()
