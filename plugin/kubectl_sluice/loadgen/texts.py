"""The speed of a language model from its answers, and the server's load meanwhile from its gauges."""

import math
import statistics
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kubectl_sluice.loadgen import chunks, connection, load

LOOK_SECONDS: Final = 0.5


def summary(answers: Sequence[chunks.StreamedAnswer], began: float, ended: float) -> dict[str, Any]:
    """Between two moments: tokens a second of all answers together, complete or not, and times in ms."""
    firsts = [each.first_seconds or 0.0 for each in answers if each.times and began <= each.times[0] < ended]
    whole = [each for each in answers if each.finished and each.times and began <= each.times[-1] < ended]
    paces = [1 / rate for answer in whole if (rate := answer.tokens_per_second)]
    pieces = sum(began <= time < ended for answer in answers for time in answer.times)
    tokens = pieces * _tokens_by_piece(answers)
    return {
        "tokens": round(tokens),
        "tokensPerSecond": round(tokens / (ended - began), 3),
        "counted": any(answer.counted for answer in answers),
        "first": load.summary(firsts),
        "tokenMillis": round(statistics.median(paces) * 1000, 3) if paces else None,
    }


def _tokens_by_piece(answers: Sequence[chunks.StreamedAnswer]) -> float:
    """A server may send several tokens at once, and reports their number only at the end."""
    counted = [answer for answer in answers if answer.counted and answer.pieces]
    return sum(answer.tokens for answer in counted) / sum(answer.pieces for answer in counted) if counted else 1.0


class Gauges:
    """Samples of the server's own gauges under load; one that is not exposed has no figure."""

    def __init__(self, host: str, plan: Mapping[str, Any] | None) -> None:
        self._plan = plan
        self._stopping = threading.Event()
        self.most: dict[str, float] = {}
        """The largest of each gauge, by what it counts."""
        self._thread = threading.Thread(target=self._look, args=(host,), daemon=True)
        self._thread.start()

    def _look(self, host: str) -> None:
        if self._plan is None:
            return
        server = connection.ServerConnection(host, int(self._plan["port"]))
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                _, text = server.ask("GET", self._plan["path"])
            except connection.ERRORS:
                continue  # a server under load; the next look may work
            for name, value in read(text.decode(errors="replace"), self._plan["names"]).items():
                self.most[name] = max(value, self.most.get(name, 0.0))
        server.close()

    def stop(self) -> dict[str, float]:
        self._stopping.set()
        self._thread.join(connection.TIMEOUT_SECONDS)
        return dict(self.most)


def read(text: str, names: Mapping[str, str]) -> dict[str, float]:
    """The sum of each requested metric in Prometheus' text format. names: each metric's name, by what it counts."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        metric = line.partition("{")[0].partition(" ")[0]
        for name in (name for name, wanted in names.items() if wanted == metric):
            value = _value(line)
            if value is not None:
                found[name] = found.get(name, 0.0) + value
    return found


def _value(line: str) -> float | None:
    """A line ends with its value, as ours do, or with a time after it."""
    words = line.rpartition("}")[2].split() if "}" in line else line.split()[1:]
    try:
        value = float(words[0])
    except (IndexError, ValueError):
        return None
    return value if math.isfinite(value) else None
