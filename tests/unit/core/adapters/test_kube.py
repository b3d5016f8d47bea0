"""The Kubernetes adapter, against a server that records what it is asked and answers as told."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sluice_core import errors
from sluice_core.adapters import eventlog, kinds, kube
from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.kernel.news import RECENT_SECONDS
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Patch, Ref
from sluice_core.kernel.reasons import Reason
from sluice_judge import timestamps
from tests.support.cases.builders import make_event
from tests.unit.operator.shell.builders import FakeClock

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "digits-a", "namespace": "team"}}
ABOUT = Ref("sluice.dev/v1alpha1", "ModelDeployment", "digits", "team", "uid-1")


@dataclass
class Collection:
    """A list of objects of these sizes in bytes, from which pages are served; says how many bytes each page had."""

    sizes: list[int]
    pages: list[tuple[int, int]] = field(default_factory=list)
    """(objects, bytes) of each page."""

    async def handle(self, request: web.Request) -> web.Response:
        begin, limit = int(request.query.get("continue", 0)), int(request.query["limit"])
        end = min(begin + limit, len(self.sizes))
        items = [{"metadata": {"name": f"o{n}"}, "data": "x" * self.sizes[n]} for n in range(begin, end)]
        metadata = {"resourceVersion": "5", "continue": str(end) if end < len(self.sizes) else ""}
        text = json.dumps({"metadata": metadata, "items": items})
        self.pages.append((len(items), len(text)))
        return web.Response(text=text, content_type="application/json")


@dataclass
class Server:
    """Answers each request with the next of its answers; the last one stays."""

    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, {})])
    asked: list[dict[str, Any]] = field(default_factory=list)
    collection: Collection | None = None
    """Answers in their place."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.collection is not None:
            return await self.collection.handle(request)
        body = await request.read()
        self.asked.append(
            {
                "what": f"{request.method} {request.path}",
                "query": dict(request.query),
                "type": request.headers.get("Content-Type"),
                "token": request.headers.get("Authorization"),
                "body": json.loads(body) if body else None,
            }
        )
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            return web.Response(status=status, text=answer)
        return web.json_response(answer, status=status)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, kube.Kube]]:
    recorded = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorded.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    configuration.api_key["BearerToken"] = "Bearer secret-token"
    client = kube.Kube(configuration, clock=FakeClock(), identity="sluice-1")
    yield recorded, client
    await client.close()
    await runner.cleanup()


Serving = tuple[Server, kube.Kube]


async def test_apply_is_server_side_forced_and_returns_what_is_stored(server: Serving) -> None:
    recorded, client = server
    stored = {**DEPLOYMENT, "metadata": {**DEPLOYMENT["metadata"], "resourceVersion": "7"}}  # type: ignore[dict-item]
    recorded.answers = [(200, stored)]
    assert await client.write(Apply(DEPLOYMENT, "uid-7")) == stored
    assert recorded.asked == [
        {
            "what": "PATCH /apis/apps/v1/namespaces/team/deployments/digits-a",
            "query": {"fieldManager": "sluice", "force": "true"},
            "type": "application/apply-patch+yaml",
            "token": "Bearer secret-token",
            "body": {**DEPLOYMENT, "metadata": {**DEPLOYMENT["metadata"], "uid": "uid-7"}},  # type: ignore[dict-item]
        }
    ]


async def test_what_is_not_there_is_only_created(server: Serving) -> None:
    """With one request; a version that no object has makes the API server refuse to change one."""
    recorded, client = server
    await client.write(Apply(DEPLOYMENT))
    [asked] = recorded.asked
    assert asked["what"] == "PATCH /apis/apps/v1/namespaces/team/deployments/digits-a"
    assert asked["body"]["metadata"] == {"name": "digits-a", "namespace": "team", "resourceVersion": "1"}


WRONG_UID = {
    "kind": "Status",
    "reason": "Invalid",
    "message": 'Deployment "digits-a" is invalid: metadata.uid: Invalid value: "uid-7": field is immutable',
    "details": {"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]},
}


@pytest.mark.parametrize(
    "write",
    [Apply(DEPLOYMENT, "uid-7"), Patch(Ref("apps/v1", "Deployment", "digits-a", "team", "uid-7"), {"spec": {}})],
)
async def test_another_object_of_the_name_is_a_conflict(server: Serving, write: Apply | Patch) -> None:
    recorded, client = server
    recorded.answers = [(422, WRONG_UID)]
    with pytest.raises(errors.Conflict, match="another object has this name"):
        await client.write(write)


async def test_what_has_a_name_is_read_by_the_right_to_list(server: Serving) -> None:
    recorded, client = server
    unserved: list[tuple[int, Any]] = [(404, "404 page not found"), (200, {"resources": []})]
    recorded.answers = [(200, {"items": [{"spec": {}}]}), (200, {"items": []}), *unserved]
    ref = Ref("v1", "Service", "s", "team")
    service = {"apiVersion": "v1", "kind": "Service", "spec": {}}
    assert [await client.read(ref) for _ in range(3)] == [service, None, None]
    assert [(asked["what"], asked["query"]) for asked in recorded.asked[:3]] == [
        ("GET /api/v1/namespaces/team/services", {"fieldSelector": "metadata.name=s"})
    ] * 3


async def test_a_status_goes_to_the_subresource(server: Serving) -> None:
    recorded, client = server
    await client.write(ApplyStatus({"kind": "ModelRollout", "metadata": {"name": "r", "namespace": "team"}}))
    assert recorded.asked[0]["what"] == ("PATCH /apis/sluice.dev/v1alpha1/namespaces/team/modelrollouts/r/status")


async def test_a_deletion_is_in_the_background_and_bound_to_the_uid(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [(200, {"kind": "Status", "status": "Success"})]
    assert await client.write(Delete(Ref("v1", "Service", "s", "team", "uid-9"))) is None
    asked = recorded.asked[0]
    assert asked["what"] == "DELETE /api/v1/namespaces/team/services/s"
    assert asked["body"] == {"propagationPolicy": "Background", "preconditions": {"uid": "uid-9"}}


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (404, {"kind": "Status", "reason": "NotFound"}, None),
        (200, {"kind": "Service", "metadata": {"name": "s", "deletionTimestamp": "t"}}, "Service"),
    ],
)
async def test_a_deletion_of_what_is_gone_is_fine_and_what_lingers_is_returned(
    server: Serving, status: int, body: dict[str, Any], want: str | None
) -> None:
    recorded, client = server
    recorded.answers = [(status, body)]
    left = await client.write(Delete(Ref("v1", "Service", "s", "team")))
    assert (left["kind"] if left is not None else None) == want


TERMINATING = {"reason": "Forbidden", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (400, {}, errors.Refused),
        (401, {}, errors.Denied),
        (403, {}, errors.Denied),
        (403, TERMINATING, errors.Missing),
        (404, {}, errors.Missing),
        (409, {}, errors.Conflict),
        (422, {}, errors.Refused),
        (429, {}, errors.Unavailable),
        (500, {}, errors.Unavailable),
        (
            500,
            {
                "message": "failed to create typed patch object (team/digits-a; apps/v1, Kind=Deployment): .spec.x: "
                "field not declared in schema"
            },
            errors.Refused,
        ),
        (503, "<html>proxy</html>", errors.Unavailable),
    ],
)
async def test_errors_are_told_apart_and_name_object_and_reason(
    server: Serving, status: int, body: Any, want: type[errors.ApiError]
) -> None:
    recorded, client = server
    answer = {"kind": "Status", "message": "because of spec.x", **body} if isinstance(body, dict) else body
    recorded.answers = [(status, answer)]
    with pytest.raises(want) as caught:
        await client.write(Apply(DEPLOYMENT))
    assert type(caught.value) is want
    assert f"deployments/digits-a: {status}" in str(caught.value)
    assert ("spec.x" if isinstance(body, dict) else "proxy") in str(caught.value)
    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
@pytest.mark.parametrize("page", ["<html>proxy</html>", {"error": "denied"}])
async def test_a_proxy_says_nothing_of_the_cluster(server: Serving, status: int, page: Any) -> None:
    recorded, client = server
    recorded.answers = [(status, page)]
    with pytest.raises(errors.Unavailable, match=str(status)):
        await client.write(Apply(DEPLOYMENT))


async def test_what_is_too_large_for_a_proxy_is_refused(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [(413, "<html>nginx</html>")]
    with pytest.raises(errors.Refused):
        await client.write(Apply(DEPLOYMENT))


async def test_no_connection_is_unavailable() -> None:
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    client = kube.Kube(configuration, clock=FakeClock(), identity="x")
    with pytest.raises(errors.Unavailable, match="PATCH /apis/apps/v1"):
        await client.write(Apply(DEPLOYMENT))
    await client.close()


async def test_a_list_is_read_page_by_page_and_its_items_are_named(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [
        (200, {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": [{"metadata": {"name": "a"}}]}),
        (200, {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "b"}}]}),
    ]
    pages = [page async for page in client.pages(kinds.BY_KIND["Pod"])]
    assert [(page.resource_version, [item["metadata"]["name"] for item in page.items]) for page in pages] == [
        ("5", ["a"]),
        ("5", ["b"]),
    ]
    assert pages[0].items[0]["kind"] == "Pod"
    assert [asked["query"].get("continue") for asked in recorded.asked] == [None, "next"]
    assert {asked["query"]["labelSelector"] for asked in recorded.asked} == {"app.kubernetes.io/managed-by=sluice"}


async def test_a_page_of_large_objects_is_read_in_smaller_ones(server: Serving) -> None:
    """A hundred objects of 1.4 MB are as many as the operator's memory has."""
    recorded, client = server
    sizes = [1_000] * 250
    sizes[120:125] = [1_400_000] * 5
    collection = recorded.collection = Collection(sizes)
    found = [len(page.items) async for page in client.pages(kinds.BY_KIND["Pod"])]
    assert sum(found) == 250
    assert max(found) == kube.PAGE_SIZE
    assert len(collection.pages) < 40
    read = [size for objects, size in collection.pages if size <= kube.PAGE_BYTES or objects == 1]
    assert len(read) == len(found), "of a longer page the rest was not read"


async def test_an_object_that_is_longer_than_a_page_may_be_is_read_alone(server: Serving) -> None:
    recorded, client = server
    recorded.collection = Collection([10, kube.PAGE_BYTES + 1, 10])
    assert [len(page.items) async for page in client.pages(kinds.BY_KIND["Pod"])] == [1, 1, 1]


NOT_FOUND_PAGE = (404, "404 page not found\n")
"""What the API server says of a kind that it does not serve; proxies say the same of anything."""
GROUPS = {"kind": "APIGroupList", "groups": [{"versions": [{"groupVersion": "apps/v1"}]}]}
NO_ROUTES = {"kind": "APIResourceList", "resources": [{"name": "gateways"}]}
ROUTES = {"kind": "APIResourceList", "resources": [{"name": "httproutes"}]}


@pytest.mark.parametrize(
    ("discovery", "want"),
    [
        ([NOT_FOUND_PAGE, (200, GROUPS)], errors.Missing),
        ([(200, NO_ROUTES)], errors.Missing),
        ([(200, ROUTES)], errors.Unavailable),
        ([NOT_FOUND_PAGE], errors.Unavailable),
        ([NOT_FOUND_PAGE, (200, "<html>proxy</html>")], errors.Unavailable),
        ([(403, {"kind": "Status"})], errors.Unavailable),
        ([(503, "<html>proxy</html>")], errors.Unavailable),
    ],
)
@pytest.mark.parametrize("first", [NOT_FOUND_PAGE, (404, "<html>proxy</html>"), (404, {"kind": "Status"})])
async def test_a_kind_is_absent_only_if_the_api_server_says_what_it_serves(
    server: Serving, first: tuple[int, Any], discovery: list[tuple[int, Any]], want: type[errors.ApiError]
) -> None:
    recorded, client = server
    recorded.answers = [first, *discovery]
    with pytest.raises(errors.ApiError, match=r"httproutes|/apis") as caught:
        async for _ in client.pages(kinds.BY_KIND["HTTPRoute"]):
            pass
    assert type(caught.value) is want


async def test_the_core_is_never_absent(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [NOT_FOUND_PAGE, NOT_FOUND_PAGE, (200, GROUPS)]
    with pytest.raises(errors.Unavailable, match="answers in its place"):
        async for _ in client.pages(kinds.BY_KIND["Pod"]):
            pass


@pytest.mark.parametrize("page", ["<html>proxy</html>", {"items": []}])
async def test_a_page_in_place_of_a_list_is_no_empty_list(server: Serving, page: Any) -> None:
    recorded, client = server
    recorded.answers = [(200, page)]
    with pytest.raises(errors.Unavailable, match="/api/v1/pods"):
        async for _ in client.pages(kinds.BY_KIND["Pod"]):
            pass


async def test_a_page_of_a_proxy_deletes_nothing(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [(404, "<html>proxy</html>")]
    with pytest.raises(errors.Unavailable):
        await client.write(Delete(Ref("v1", "Service", "s", "team")))


async def test_a_write_of_a_kind_that_is_not_served_is_missing(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [NOT_FOUND_PAGE, (200, {"kind": "APIResourceList", "resources": []})]
    with pytest.raises(errors.Missing, match=r"does not serve deployments\.apps"):
        await client.write(Apply(DEPLOYMENT))


def test_namespaces_that_are_named_are_read_apart() -> None:
    config = OperatorConfig(watch_namespaces=["a", "b"])
    apart = {str(resource): resource for resource in kube.watched(config)}
    watched = {resource.kind for resource in kinds.WATCHED}
    shared = {"ServingRuntime", "RolloutPolicy"}
    assert set(apart) == shared | {f"{k} in {n}" for k in watched - shared for n in "ab"} | {"Gateway in gateway"}
    assert apart["Pod in a"].path() == "/api/v1/namespaces/a/pods"
    assert apart["ServingRuntime"].path() == kinds.BY_KIND["ServingRuntime"].path()
    assert not apart["Namespace in a"].can_be_watched
    by_service = config.model_copy(update={"routing": RoutingMode.SERVICE})
    assert "Gateway in gateway" not in {str(resource) for resource in kube.watched(by_service)}


async def test_a_kind_of_one_namespace_is_absent_as_one_of_all_is(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [NOT_FOUND_PAGE, (200, NO_ROUTES)]
    with pytest.raises(errors.Missing, match="httproutes"):
        async for _ in client.pages(replace(kinds.BY_KIND["HTTPRoute"], within="team")):
            pass
    path = "/apis/gateway.networking.k8s.io/v1"
    assert [each["what"] for each in recorded.asked] == [f"GET {path}/namespaces/team/httproutes", f"GET {path}"]


@pytest.mark.parametrize(
    ("answer", "names", "moment"),
    [
        ((200, {"kind": "Namespace", "metadata": {"name": "team", "resourceVersion": "7"}}), ["team"], "7"),
        ((404, {"kind": "Status"}), [], ""),
    ],
)
async def test_one_namespace_is_read_by_its_name(
    server: Serving, answer: tuple[int, Any], names: list[str], moment: str
) -> None:
    recorded, client = server
    recorded.answers = [answer]
    [page] = [page async for page in client.pages(replace(kinds.BY_KIND["Namespace"], within="team"))]
    assert ([item["metadata"]["name"] for item in page.items], page.resource_version) == (names, moment)
    assert recorded.asked[0]["what"] == "GET /api/v1/namespaces/team"


async def test_leases_are_created_replaced_and_absent(server: Serving) -> None:
    recorded, client = server
    recorded.answers = [(404, {"kind": "Status"}), (201, {}), (200, {})]
    assert await client.read_lease("ns", "l", seconds=5.0) is None
    await client.write_lease({"metadata": {"namespace": "ns", "name": "l"}}, seconds=5.0)
    await client.write_lease({"metadata": {"namespace": "ns", "name": "l", "resourceVersion": "3"}}, seconds=5.0)
    root = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
    assert [asked["what"] for asked in recorded.asked] == [f"GET {root}/l", f"POST {root}", f"PUT {root}/l"]


async def test_an_event_is_not_repeated(server: Serving) -> None:
    recorded, client = server
    for _ in range(3):
        await client.emit(ABOUT, make_event(Reason.PROMOTED, "v2 serves"))
    assert [asked["what"] for asked in recorded.asked] == ["POST /api/v1/namespaces/team/events"]
    body = recorded.asked[0]["body"]
    assert (body["type"], body["reason"], body["message"]) == ("Normal", "Promoted", "v2 serves")
    assert body["involvedObject"]["uid"] == "uid-1"


async def test_the_same_happening_has_the_same_name(server: Serving) -> None:
    """Whatever an operator that has just begun makes of it: the API server has it, and nothing is doubled."""
    recorded, client = server
    taken = {"kind": "Status", "code": 409, "reason": "AlreadyExists"}
    recorded.answers = [(201, {"kind": "Event"}), (409, taken)]
    for message in ("v2 serves", "v2 has served for a while"):
        await client.emit(ABOUT, make_event(Reason.PROMOTED, message, id="uid-1.Promoted.1"))
    names = [asked["body"]["metadata"]["name"] for asked in recorded.asked]
    assert names[0] == names[1]
    assert names[0].startswith(f"{ABOUT.name}.")


async def test_what_another_operator_has_told_is_not_sent_again(server: Serving) -> None:
    """Of the last minutes: the rest is not told again anyway."""
    recorded, client = server
    happened = [
        make_event(Reason.PROMOTED, f"v{n} serves", id=f"uid-1.Promoted.{n}", time=1000.0 - n) for n in range(3)
    ]
    log = eventlog.EventLog("sluice-1")
    there = [log.manifest(ABOUT, each, 1000.0) for each in happened]
    old = {
        "metadata": {"namespace": "team", "name": "old"},
        "firstTimestamp": timestamps.rfc3339(1000.0 - RECENT_SECONDS),
    }
    recorded.answers = [
        (200, {"items": [*there[:2], old, {"metadata": {}, "firstTimestamp": None}]}),
        (201, {"kind": "Event"}),
    ]
    await client.recall_events(["team"])
    for each in happened:
        await client.emit(ABOUT, each)
    assert [asked["what"].partition(" ")[0] for asked in recorded.asked] == ["GET", "POST"]
    assert recorded.asked[0]["query"]["fieldSelector"] == "reportingComponent=sluice.dev/operator"
    assert recorded.asked[1]["body"]["message"] == "v2 serves"


async def test_what_is_known_of_another_operators_events_is_bounded(server: Serving) -> None:
    recorded, client = server
    stamp = timestamps.rfc3339(1000.0)
    names = (f"o{n}" for n in range(2 * eventlog.KNOWN_LIMIT))
    whole = [{"metadata": {"namespace": "team", "name": name}, "firstTimestamp": stamp} for name in names]
    pages = [whole[at : at + 6000] for at in range(0, len(whole), 6000)]
    recorded.answers = [(200, {"metadata": {"continue": "more"}, "items": page}) for page in pages]
    await client.recall_events(["", "team"])
    assert len(recorded.asked) < len(pages)


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (503, "ServiceUnavailable", errors.Unavailable),
        (409, "Conflict", errors.Conflict),  # a quota of events that changes at the same time
    ],
)
async def test_an_event_that_was_not_taken_is_sent_again(
    server: Serving, status: int, reason: str, error: type[errors.ApiError]
) -> None:
    recorded, client = server
    recorded.answers = [(status, {"kind": "Status", "reason": reason}), (201, {"kind": "Event"})]
    with pytest.raises(error):
        await client.emit(ABOUT, make_event(Reason.PROMOTED, "v2 serves"))
    await client.emit(ABOUT, make_event(Reason.PROMOTED, "v2 serves"))
    assert len(recorded.asked) == 2


def test_the_same_may_be_said_again_later_but_never_too_much() -> None:
    log = eventlog.EventLog("sluice-1")

    def said(message: str, now: float) -> bool:
        event = make_event(Reason.DRIFT_CORRECTED, message)
        taken = log.manifest(ABOUT, event, now) is not None
        if taken:
            log.sent(ABOUT, event, now)
        return taken

    assert said("worse", 0.0)
    assert not said("worse", eventlog.REPEAT_SECONDS - 1)
    assert said("worse", eventlog.REPEAT_SECONDS + 1)
    assert sum(said(str(n), 5000.0) for n in range(100)) == eventlog.BURST


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("ServingRuntime", "/apis/sluice.dev/v1alpha1/servingruntimes/x"),
        ("Service", "/api/v1/namespaces/team/services/x"),
        ("HTTPRoute", "/apis/gateway.networking.k8s.io/v1/namespaces/team/httproutes/x"),
    ],
)
def test_paths(kind: str, path: str) -> None:
    assert kinds.BY_KIND[kind].path("team", "x") == path


async def test_a_patch_merges_and_is_bound_to_the_uid(server: Serving) -> None:
    recorded, client = server
    change = {"spec": {"suspend": True}, "metadata": {"annotations": {"a": "b"}}}
    await client.write(Patch(Ref("batch/v1", "Job", "churn-1", "team", "uid-9"), change))
    asked = recorded.asked[0]
    assert asked["what"] == "PATCH /apis/batch/v1/namespaces/team/jobs/churn-1"
    assert asked["type"] == "application/merge-patch+json"
    assert asked["body"] == {"spec": {"suspend": True}, "metadata": {"annotations": {"a": "b"}, "uid": "uid-9"}}
