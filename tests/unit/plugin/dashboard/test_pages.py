"""What pages show: hostile words as words, filters, live news, and no more bytes than there may be."""

import asyncio
import gzip
import html
import json
from typing import Any

import pytest

from kubectl_sluice.dashboard import pages, sessions
from kubectl_sluice.views.fleet import PAGE
from tests.support import patience
from tests.unit.plugin.dashboard import objects
from tests.unit.plugin.dashboard.conftest import ALL, OF_A, World
from tests.unit.plugin.views import builders

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 1234*1000 }}\u202egnp\x1b[31m"
MODEL_PAGES = ("/", "/models/team-x/bad", "/models/team-x/bad/releases/bad-r1", "/batches", "/rules")


def hostile(world: World) -> None:
    world.api.put(objects.model("bad", "team-x", message=HOSTILE, url=f"javascript:{HOSTILE}"))
    status: dict[str, Any] = json.loads(json.dumps(builders.RUNNING)) | {"message": HOSTILE, "reason": HOSTILE[:60]}
    status["timeline"] = [{"time": "2026-03-01T12:00:05Z", "actor": HOSTILE, "what": HOSTILE[:60], "why": HOSTILE}]
    status["objectives"][0]["message"] = HOSTILE
    release = objects.release("bad", "team-x", **status)
    release["spec"]["to"]["uri"] = f"s3://{HOSTILE}"
    world.api.put(release)
    world.api.put(
        {
            "kind": "RolloutPolicy",
            "metadata": {"name": "default", "resourceVersion": "1"},
            "spec": {"note": HOSTILE},
        }
    )


@pytest.mark.parametrize("path", MODEL_PAGES)
async def test_hostile_words_are_words(world: World, path: str) -> None:
    hostile(world)
    async with world.client(ALL) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    for piece in ("<script>alert", "<img", "1234000", "\u202e", "\x1b", 'href="javascript'):
        assert piece not in answer.text, piece
    assert html.escape("<script>alert(1)") in answer.text or path == "/batches"


async def test_commands_are_quoted_for_a_shell(world: World) -> None:
    world.api.put(objects.model("a$(id)", "team-a"))
    async with world.client(ALL) as client:
        assert (await client.get("/models/team-a/a$(id)")).status_code == 404  # no object has such a name


async def test_the_fleet_shows_who_needs_a_person_first_and_filters(world: World) -> None:
    world.api.put(objects.model("aaa", "team-a"))
    paused = objects.release("waits", "team-a", **builders.RUNNING | {"paused": True, "reason": "Paused"})
    world.api.objects += [objects.model("waits", "team-a", conditions=builders.RELEASING), paused]
    async with world.client(ALL) as client:
        page = (await client.get("/")).text
        order = [page.index(f">{name}</a>") for name in ("hidden-model", "waits", "faces", "digits", "aaa")]
        assert order == sorted(order)
        rolled_back = (await client.get("/?outcome=RolledBack")).text
        assert ">faces</a>" in rolled_back
        assert ">digits</a>" not in rolled_back
        reason = (await client.get("/?reason=GatheringEvidence&namespace=team-a")).text
        assert ">digits</a>" in reason
        assert ">faces</a>" not in reason


async def test_a_page_of_a_thousand_models_is_small(world: World) -> None:
    long = "errors: 1,234 more candidate requests (about 8 s at 50.0/s); " * 5
    for number in range(1000):
        name = f"model-{number:04d}"
        world.api.objects += [
            objects.model(name, f"team-{number % 50}", conditions=builders.RELEASING),
            objects.release(name, f"team-{number % 50}", **builders.RUNNING | {"message": f"{number} {long}"}),
        ]
    sizes = []
    async with world.client(ALL, app=world.app()) as client:
        for page in ("/", "/?page=2", "/?page=21", "/?page=99999", "/?page=x"):
            answer = await client.get(page)
            assert answer.status_code == 200
            sizes.append(len(gzip.compress(answer.content, 5)))
            assert answer.text.count('scope="row"') <= PAGE
            assert answer.headers["Content-Encoding"] == "gzip"
    assert max(sizes) < 50 * 1024, sizes


def batch(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": objects.API,
        "kind": "BatchInference",
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {
            "modelDeploymentRef": {"name": "digits"},
            "input": {"uri": "s3://in/x.csv", "format": "CSV"},
            "output": {"uri": "s3://out/", "format": "CSV"},
            **spec,
        },
    }


async def test_batches_are_shown_and_one_that_cannot_be_read_is_its_own_problem(world: World) -> None:
    world.api.objects += [batch("nightly", "team-a"), batch("broken", "team-a", input=7), batch("foreign", "team-b")]
    async with world.client(OF_A) as client:
        assert (await client.get("/batches")).status_code == 403
        page = (await client.get("/batches?namespace=team-a")).text
        one = await client.get("/batches/team-a/nightly")
        broken = await client.get("/batches/team-a/broken")
    assert ">nightly</a>" in page
    assert "broken" not in page
    assert "foreign" not in page
    assert "kubectl sluice batch nightly -w -n team-a" in one.text
    assert "s3://in/x.csv" in one.text
    assert (broken.status_code, "does not understand" in broken.text) == (502, True)


async def test_news_come_as_server_sent_events(world: World) -> None:
    door_app = world.app()
    async with world.client(ALL, app=door_app) as client:
        await client.get("/")
    session = await world.doors[-1].sessions.of_token(ALL)
    watch = await session.fleets.of(())
    told = pages._news(session, (), watch, ("team-a", "digits"))
    assert await anext(told) == "retry: 5000\n\n"
    world.api.put(objects.model("digits", "team-a"))  # between the list and its watch
    assert (await asyncio.wait_for(anext(told), patience.HANG_SECONDS)).startswith("event: changed\n")
    await told.aclose()


async def test_a_session_has_so_many_streams_at_most(world: World) -> None:
    app = world.app()
    async with world.client(ALL, app=app) as client:
        await client.get("/")
        (await world.doors[-1].sessions.of_token(ALL)).streams = sessions.MOST_STREAMS
        assert (await client.get("/events")).status_code == 429


async def test_a_page_is_readable_without_scripts(world: World) -> None:
    async with world.client(ALL) as client:
        page = (await client.get("/models/team-a/digits/releases/digits-r1")).text
    assert 'href="/models/team-a/digits/releases/digits-r1/verdict"' in page
    assert '<html lang="en">' in page
    assert page.count("<h1") == 1
    assert '"allowEval":false' in page
    assert '"includeIndicatorStyles":false' in page


ARM = {"revision": "digits-3333333333", "inputHash": "h3", "uri": "s3://models/digits/3"}
AB_TEST = {
    "strategy": "ABTest",
    "steps": [{"weight": 100}],
    "abTest": {
        "arms": [{"name": "b", "weight": 40, "to": ARM}],
        "assignment": {"type": "Cookie", "name": "sluice-arm"},
        "metric": "conversion",
        "maximumSeconds": 1209600,
        "onWinner": "Report",
    },
}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "It has not been judged yet."),
        ({"first": True}, "first version"),
        ({"rules": AB_TEST, "step": 1, "arms": [{"name": "b", "revision": ARM["revision"]}]}, "arm b"),
        ({"rules": {"rollback": True, "analysed": False}}, "rollback"),
        ({"rules": {"steps": [{"preview": True}, {"mirrorPercent": 20}, {"weight": 100}]}, "step": 2}, "mirror 20 %"),
        ({"step": 4, "permille": 500, "bakeEndTime": "2099-03-01T12:00:40Z", "probe": builders.PROBE}, "probe at 50 %"),
        ({"step": 4, "permille": 1000, "bakeEndTime": "2099-03-01T12:00:40Z"}, "It is promoted when the bake ends"),
        ({"reason": "Validating", "validation": {"message": "40 of 80 rows"}}, "40 of 80 rows"),
        ({"outcome": "Inconclusive", "reason": "NoSeparation"}, "Nothing: it ended Inconclusive"),
        ({"outcome": "Superseded", "reason": "Superseded"}, "Nothing: the release has ended."),
        ({"reason": "SomethingOfANewerOperator", "message": "new"}, "SomethingOfANewerOperator"),
        ({"intent": {"action": "Abort", "requestedBy": "bea", "requestTime": "2026-03-01T12:00:40Z"}}, "bea"),
    ],
)
async def test_releases_of_every_kind_are_shown(world: World, status: dict[str, Any], words: str) -> None:
    world.api.objects = [
        objects.model("digits", "team-a", conditions=builders.RELEASING),
        objects.release("digits", "team-a", **status),
    ]
    async with world.client(ALL) as client:
        page = await client.get("/models/team-a/digits/releases/digits-r1")
        assert page.status_code == 200, page.text
        assert words in page.text
        assert (await client.get("/models/team-a/digits")).status_code == 200
        assert ">digits</a>" in (await client.get("/")).text


async def test_a_model_without_anything_is_shown(world: World) -> None:
    raw = objects.model("bare", "team-a")
    del raw["status"]
    world.api.objects = [raw]
    async with world.client(ALL) as client:
        assert ">bare</a>" in (await client.get("/")).text
        assert "None yet." in (await client.get("/models/team-a/bare")).text


async def test_features_that_have_moved_are_a_picture(world: World) -> None:
    world.api.put(objects.model("digits", "team-a", watch=builders.MOVED))
    async with world.client(ALL) as client:
        page = (await client.get("/models/team-a/digits")).text
    assert "age: since 2026-03-01T11:50:00Z, stability index 0.27 over 1200 rows" in page
    assert page.count('<rect class="now"') == 3


async def test_what_this_reader_may_not_see_is_said(world: World) -> None:
    world.api.readers[OF_A] = world.api.readers[OF_A].__class__("ann", frozenset({"team-a"}), hidden=frozenset({"Pod"}))
    async with world.client(OF_A) as client:
        page = (await client.get("/models/team-a/digits/releases/digits-r1")).text
        rules = (await client.get("/rules")).text
    assert "Pods cannot be read with your rights, or not now." in page
    assert rules.count("They cannot be read with your rights") == 2


@pytest.mark.parametrize("path", ["/models/team-a/nothing", "/models/team-a/digits/releases/nothing", "/nowhere"])
async def test_what_is_not_there_is_not_found(world: World, path: str) -> None:
    async with world.client(ALL) as client:
        assert (await client.get(path)).status_code == 404


async def test_an_api_server_that_is_away_is_said(world: World) -> None:
    app = world.app()
    async with world.client(ALL, app=app) as client:
        await client.get("/rules")
        session = await world.doors[-1].sessions.of_token(ALL)
        session.cluster._api.configuration.host = session.cluster._api.configuration._base_path = "http://127.0.0.1:1"
        assert (await client.get("/models/team-a/digits")).status_code == 503


async def test_a_first_version_has_no_verdict_to_prove(world: World) -> None:
    world.api.put(objects.release("faces", "team-a", first=True, sequence=5))
    async with world.client(ALL) as client:
        page = (await client.get("/models/team-a/faces/releases/faces-r5/verdict")).text
    assert "It is the first version" in page


@pytest.mark.parametrize("revision", ["digits-1|secret_.*", "a.b", "A"])
async def test_prometheus_is_not_asked_by_names_that_are_patterns(world: World, revision: str) -> None:
    forged = objects.release("digits", "team-a", sequence=9)
    forged["spec"]["from"]["revision"] = revision
    world.api.put(forged)

    class Silent:
        async def answer(self, questions: Any, moment: float | None = None) -> Any:
            raise AssertionError(questions)

    async with world.client(ALL, app=world.app(Silent())) as client:
        page = (await client.get("/models/team-a/digits/releases/digits-r9/verdict")).text
    assert "names that no operator gives" in page


async def test_a_replay_that_is_kept_is_not_for_who_may_not_read_the_release(world: World) -> None:
    asked = []

    class Failing:
        async def answer(self, questions: Any, moment: float | None = None) -> Any:
            asked.append(questions)
            return {}

    app = world.app(Failing())
    async with world.client(OF_A, app=app) as client:
        assert (await client.get("/models/team-b/hidden-model/releases/hidden-model-r1/verdict")).status_code == 403
    assert asked == []
