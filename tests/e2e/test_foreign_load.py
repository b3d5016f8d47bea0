"""Load that is not ours over a promotion and a roll-back: other clients, HTTP/1.1 and HTTP/2, large bodies, slow and
impatient people. Not one request is lost, and nobody who leaves speaks against a version.

The versions that are released answer each request; the bad one only answers it wrongly. So whatever is not answered with
200 is lost.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from demo.load import LoadClient, Target
from tests.support.live import bodies, unruly
from tests.support.live.scene import Object, Scene, wait_until
from tests.support.live.unruly import Clients, Message
from tests.support.live.vegeta import Attack, Results, Running

NAME: Final = "foreign"
GOOD, WRONG = "2", "3"
RATE: Final = 50
"""Requests a second of our own client, whose feedback says which answers are right."""
LARGE_BYTES: Final = 10_000_000
SMALL: Final = bodies.infer(1).encode()
LONG_ANSWER: Final = bodies.infer(4000, outputs=("probabilities",)).encode()
"""Of about a megabyte."""
BINARY: Final = bodies.binary(LARGE_BYTES // (bodies.PIXELS * bodies.PIXEL_BYTES))

H2C: Final = "-h2c"
ATTACKS: Final = (
    Attack("keepalive", "20/1s", SMALL),
    Attack("anew", "10/1s", SMALL, flags=("-keepalive=false",)),
    Attack("h2c", "20/1s", SMALL, flags=(H2C,)),
    Attack("large-json", "1/2s", bodies.infer(1, padding=LARGE_BYTES).encode(), flags=("-chunked",)),
    Attack("large-binary", "1/2s", BINARY[1], BINARY[0]),
    Attack("large-h2c", "1/4s", BINARY[1], BINARY[0], flags=(H2C,)),
)
IMPATIENT: Final = (
    Attack("impatient", "3/1s", LONG_ANSWER, flags=("-timeout=5ms",)),
    Attack("impatient-h2c", "3/1s", LONG_ANSWER, flags=("-timeout=5ms", H2C)),
)
"""They give up before most of their answers are there."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_request_is_lost")]


@dataclass(frozen=True, slots=True)
class Foreign:
    """All of them; `results` has what became of each attack, once they have stopped."""

    clients: Clients
    results: dict[str, Results]

    def lost(self) -> dict[str, dict[str, int]]:
        """Requests without a good answer, by client, without those that gave up."""
        impatient = {attack.name for attack in IMPATIENT}
        found = {name: _not_given_up(one) if name in impatient else one.lost for name, one in self.results.items()}
        return {name: lost for name, lost in {**found, "unruly": dict(self.clients.problems)}.items() if lost}

    def given_up(self) -> int:
        """Requests that clients cancelled."""
        return sum(sum(self.results[attack.name].errors.values()) for attack in IMPATIENT) + self.clients.sent["leave"]


def _not_given_up(results: Results) -> dict[str, int]:
    """Whoever has its time-out gave up; everything else was lost."""
    given_up = ("Client.Timeout", "deadline exceeded", "request canceled")
    return {what: number for what, number in results.lost.items() if not any(word in what for word in given_up)}


@contextmanager
def foreign_load(target: Target, folder: Path) -> Iterator[Foreign]:
    small, long = Message(target, SMALL), Message(target, LONG_ANSWER)
    slow = [(unruly.send_slowly, small), (unruly.send_slowly, long), (unruly.read_slowly, long)]
    with Clients(*slow, (unruly.read_slowly, long), (unruly.leave, long)) as clients, ExitStack() as ends:
        found = Foreign(clients, {})
        for attack in (*ATTACKS, *IMPATIENT):
            running = Running(attack, target, folder)
            ends.callback(lambda one: found.results.__setitem__(one.name, one.stop()), running)
        yield found


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    """Our own client, beside which all others come; v1 serves."""
    scene.deploy(NAME, "1")
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME, rate=RATE))
    wait_until(lambda: client.counts().total.right > 200, "v1 answers")
    return client


def released(scene: Scene, version: str, folder: Path) -> tuple[Object, Foreign, str, str]:
    """A release to its end, and until the version that leaves is gone: (status, load, stable before, candidate)."""
    before = scene.deployment(NAME)["status"]["stable"]["revision"]
    with foreign_load(scene.target(NAME), folder) as foreign:
        rollout = scene.release(NAME, version)
        status = scene.wait_outcome(rollout, seconds=300)
        wait_until(lambda: len(_deployments(scene)) == 1, "the other version is gone")
    return status, foreign, before, scene.rollout(rollout)["spec"]["to"]["revision"]


def _deployments(scene: Scene) -> list[str]:
    return [item["metadata"]["name"] for item in scene.tools.get("deployments.apps", scene.where)["items"]]


def check(foreign: Foreign, status: Object, stable: str, candidate: str) -> None:
    """Everybody was answered, by both versions; and nobody's failures are those of clients that left."""
    for name, results in foreign.results.items():
        print(f"\n{name}: {dict(results.answers)}, without an answer: {dict(results.errors)}", end="")
    print(f"\nslow, or gone: {dict(foreign.clients.sent)}; given up: {foreign.given_up()}")
    assert foreign.lost() == {}
    assert foreign.given_up() > 20
    for name in ("keepalive", "anew", "h2c"):
        assert foreign.results[name].by(stable) > 0
        assert foreign.results[name].by(candidate) > 0
    for name in ("large-json", "large-binary", "large-h2c"):
        assert foreign.results[name].by(stable) + foreign.results[name].by(candidate) > 2
    [errors] = [objective for objective in status["objectives"] if objective["name"] == "errors"]
    assert (errors["stable"].get("failures", 0), errors["candidate"].get("failures", 0)) == (0, 0)


def test_a_good_version_is_promoted(scene: Scene, traffic: LoadClient, tmp_path: Path) -> None:
    status, foreign, stable, candidate = released(scene, GOOD, tmp_path)
    assert (status["outcome"], status["reason"]) == ("Promoted", "Promoted"), status["message"]
    check(foreign, status, stable, candidate)


def test_a_wrong_version_is_rolled_back(scene: Scene, traffic: LoadClient, tmp_path: Path) -> None:
    status, foreign, stable, candidate = released(scene, WRONG, tmp_path)
    assert status["outcome"] == "RolledBack"
    assert status["message"].startswith("accuracy: "), status["message"]
    check(foreign, status, stable, candidate)
