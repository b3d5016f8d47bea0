"""Each URI is asked for once, each namespace by itself, and nothing where nothing is followed."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sluice.shell import registries as following
from sluice.shell.cache.keys import Key
from sluice.shell.registries import Following
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, ResolverPod, Unresolved
from sluice_core.kernel.snapshot import Snapshot
from tests.support.cases.builders import make_model_deployment, make_revision, make_rollout
from tests.support.cases.situations import make_situation
from tests.support.simulated import virtualloop
from tests.support.simulated.mlflow import version
from tests.support.simulated.virtualloop import LoopClock

CHAMPION = "models:/digits@champion"
DIGITS, WINE = Key("shop", "digits"), Key("shop", "wine")
OTHER = Key("bank", "digits")


class FakeResolvers:
    """Notes when who was asked for what."""

    def __init__(self) -> None:
        self.says: dict[str, Resolution] = {}
        self.silent: set[str] = set()
        self.hangs: set[str] = set()
        self.asked: list[tuple[float, str, tuple[str, ...]]] = []
        self.reports: list[tuple[float, str]] = []
        self.came: Reported | None = None

    async def resolve(self, pod: ResolverPod, uris: Sequence[str]) -> tuple[Resolution, ...] | None:
        self.asked.append((asyncio.get_running_loop().time(), pod.url, tuple(uris)))
        if pod.url in self.hangs:
            await asyncio.sleep(10)
        if pod.url in self.hangs | self.silent:
            return None
        return tuple(self.says[uri] for uri in uris)

    async def report(self, pod: ResolverPod, report: OutcomeReport) -> Reported | None:
        self.reports.append((asyncio.get_running_loop().time(), report.release))
        return self.came

    def times(self, namespace: str = "shop") -> list[float]:
        return [time for time, url, _ in self.asked if url == namespace]


Main = Callable[[Following, FakeResolvers, list[Key]], Coroutine[Any, Any, None]]


def find(namespace: str) -> ResolverPod | None:
    return ResolverPod(namespace, "token")


def run(main: Main, find: Callable[[str], ResolverPod | None] = find) -> None:
    async def whole() -> None:
        resolvers, woken = FakeResolvers(), list[Key]()
        resolvers.says[CHAMPION] = version(CHAMPION, 1)
        followed = Following(resolvers, find=find, wake=woken.append, clock=LoopClock())
        task = asyncio.create_task(followed.run())
        await main(followed, resolvers, woken)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtualloop.run(whole())


def test_without_anything_to_follow_nothing_is_asked() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        assert followed.note(DIGITS, ()) == ()
        await asyncio.sleep(600)
        assert (resolvers.asked, woken, followed.count()) == ([], [], 0)

    run(main)


def test_an_alias_is_asked_for_at_once_and_then_every_15_seconds_however_many_follow_it() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        begun = asyncio.get_running_loop().time()
        for number in range(1000):
            assert followed.note(Key("shop", f"model-{number}"), (CHAMPION,)) == ()
        await asyncio.sleep(100)
        assert [time - begun for time in resolvers.times()] == [0, 15, 30, 45, 60, 75, 90]
        assert {uris for *_, uris in resolvers.asked} == {(CHAMPION,)}
        assert len(woken) == 1000
        assert followed.count() == 1
        assert followed.note(Key("shop", "model-7"), (CHAMPION,)) == (version(CHAMPION, 1),)

    run(main)


def test_who_follows_is_woken_when_the_alias_moves_and_not_before() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.note(DIGITS, (CHAMPION,))
        followed.note(WINE, (CHAMPION,))
        await asyncio.sleep(40)
        assert sorted(woken) == [DIGITS, WINE]
        resolvers.says[CHAMPION] = version(CHAMPION, 2)
        await asyncio.sleep(following.POLL_SECONDS)
        assert sorted(woken) == [DIGITS, DIGITS, WINE, WINE]
        assert followed.note(DIGITS, (CHAMPION,)) == (version(CHAMPION, 2),)

    run(main)


def test_nobody_asks_for_what_nobody_follows_any_more() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(1)
        followed.note(DIGITS, ())
        followed.note(DIGITS, ())
        await asyncio.sleep(100)
        assert (len(resolvers.asked), followed.count()) == (1, 0)

    run(main)


def test_one_that_is_left_while_it_is_asked_for_is_forgotten() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        resolvers.hangs.add("shop")
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(1)
        followed.note(DIGITS, ("models:/wine@champion",))
        await asyncio.sleep(1)
        followed.note(DIGITS, ())
        await asyncio.sleep(200)
        assert (woken, followed.count()) == ([], 0)

    run(main)


def test_a_namespace_that_hangs_delays_no_other() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        resolvers.hangs |= {f"hung-{number}" for number in range(following.AT_ONCE - 1)}
        for namespace in (*resolvers.hangs, "bank"):
            followed.note(Key(namespace, "digits"), (CHAMPION,))
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(61)
        assert [time - begun for time in resolvers.times("bank")] == [0, 15, 30, 45, 60]
        resolvers.asked.clear()
        await asyncio.sleep(600)
        assert len(resolvers.times("hung-1")) <= 6
        assert len(resolvers.times("bank")) == 40

    run(main)


def test_many_are_asked_for_in_questions_of_some() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        for number in range(20):
            uri = f"models:/digits-{number}@champion"
            resolvers.says[uri] = version(uri, 1)
            followed.note(Key("shop", f"model-{number}"), (uri,))
        await asyncio.sleep(1)
        assert [len(uris) for *_, uris in resolvers.asked] == [8, 8, 4]
        assert len(woken) == 20

    run(main)


def test_a_resolver_that_is_away_is_said_after_a_minute_and_what_it_said_comes_back() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(1)
        resolvers.silent.add("shop")
        await asyncio.sleep(50)
        assert followed.note(DIGITS, (CHAMPION,)) == (version(CHAMPION, 1),)
        await asyncio.sleep(200)
        [said] = followed.note(DIGITS, (CHAMPION,))
        assert isinstance(said, Unresolved)
        assert said.reason is Reason.RESOLVER_NOT_READY
        assert len(woken) == 2
        resolvers.silent.clear()
        await asyncio.sleep(following.LONGEST_SECONDS)
        assert followed.note(DIGITS, (CHAMPION,)) == (version(CHAMPION, 1),)

    run(main)


def test_one_that_is_just_being_made_is_asked_again_soon() -> None:
    pods: list[ResolverPod] = []

    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(20)
        pods.append(ResolverPod("shop", "token"))
        await asyncio.sleep(following.BEGIN_SECONDS)
        assert woken == [DIGITS]

    run(main, lambda _: pods[0] if pods else None)


def test_another_pod_is_looked_for_when_one_is_silent() -> None:
    pods = [ResolverPod("gone", "old")]

    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        resolvers.silent.add("gone")
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(1)
        pods[0] = ResolverPod("shop", "new")
        await asyncio.sleep(following.BEGIN_SECONDS)
        assert woken == [DIGITS]

    run(main, lambda _: pods[0])


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [(Reason.NOT_IN_REGISTRY, 1), (Reason.REGISTRY_REFUSES, 1), (Reason.REGISTRY_UNREACHABLE, 61)],
)
def test_of_what_nothing_is_known_problems_are_said_unless_they_pass(reason: Reason, seconds: float) -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        resolvers.says[CHAMPION] = Unresolved(CHAMPION, reason, "why")
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(max(0.0, seconds - 16))
        assert woken == []
        await asyncio.sleep(16)
        assert woken == [DIGITS]

    run(main)


def test_an_alias_that_vanishes_for_a_moment_is_not_news() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.note(DIGITS, (CHAMPION,))
        await asyncio.sleep(1)
        resolvers.says[CHAMPION] = Unresolved(CHAMPION, Reason.NOT_IN_REGISTRY, "why")
        await asyncio.sleep(40)
        resolvers.says[CHAMPION] = version(CHAMPION, 1)
        await asyncio.sleep(300)
        assert woken == [DIGITS]

    run(main)


def test_a_defect_ends_no_others_questions(caplog: pytest.LogCaptureFixture) -> None:
    def broken(namespace: str) -> ResolverPod | None:
        if namespace == "shop":
            raise RuntimeError("a defect")
        return find(namespace)

    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.note(DIGITS, (CHAMPION,))
        followed.note(OTHER, (CHAMPION,))
        await asyncio.sleep(100)
        assert woken == [OTHER]
        assert len(resolvers.times("bank")) == 7

    run(main, broken)
    assert "unexpected error" in caplog.text


def ended(*, uri: str = CHAMPION, reported: bool = False) -> Snapshot:
    """A model whose release has ended."""
    status = {"outcome": "Promoted", "endTime": "2026-01-01T00:00:00Z", "reported": reported}
    target = replace(make_revision(), uri="models:/digits/1")
    seen = make_situation(make_rollout(target=target, status=status)).snapshot
    return replace(seen, deployment=make_model_deployment(namespace="shop", uri=uri))


RELEASE = ended().rollouts[0].metadata.name


def test_a_report_is_told_until_the_registry_has_it_and_then_no_more() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        assert followed.heard(DIGITS, ended()).reported is None
        await asyncio.sleep(200)
        begun = resolvers.reports[0][0]
        assert [round(time - begun) for time, _ in resolvers.reports] == [0, 15, 45, 105]
        assert woken == [DIGITS]  # of the alias
        resolvers.came = Reported(RELEASE)
        await asyncio.sleep(130)
        assert woken == [DIGITS, DIGITS]
        assert followed.heard(DIGITS, ended()).reported == Reported(RELEASE)
        told = len(resolvers.reports)
        await asyncio.sleep(300)
        assert len(resolvers.reports) == told
        assert followed.heard(DIGITS, ended(reported=True)).reported is None

    run(main)


def test_why_a_registry_does_not_take_it_is_said_after_a_minute() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        resolvers.came = Reported(RELEASE, "it refuses tags")
        followed.heard(DIGITS, ended())
        await asyncio.sleep(50)
        assert followed.heard(DIGITS, ended()).reported is None
        await asyncio.sleep(100)
        assert followed.heard(DIGITS, ended()).reported == Reported(RELEASE, "it refuses tags")
        assert woken == [DIGITS, DIGITS]

    run(main)


def test_what_is_left_is_not_told() -> None:
    async def main(followed: Following, resolvers: FakeResolvers, woken: list[Key]) -> None:
        followed.heard(DIGITS, ended())
        followed.note(WINE, (CHAMPION,))
        followed.heard(DIGITS, ended(uri="s3://models/digits/1"))
        await asyncio.sleep(100)
        assert resolvers.reports == []

    run(main)
