"""What a person's connection asks of the API server, and how its answers are put in words."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.views.serviceaddress import ServiceAddress
from sluice_core import errors
from sluice_core.adapters import exchange, kinds
from tests.unit.plugin.views.builders import make_rollout


@dataclass
class Server:
    """Answers every request in the same way, and remembers the last one."""

    status: int = 200
    answer: Any = field(default_factory=dict)
    asked: str = ""
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked, self.query = f"{request.method} {request.path}", dict(request.query)
        self.body = json.loads(text) if text else None
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, kubectl.Kubectl]]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with client.ApiClient(configuration) as api:
        yield server, kubectl.Kubectl(api, "default")
    await runner.cleanup()


Served = tuple[Server, kubectl.Kubectl]
PODS, NODES = kinds.BY_KIND["Pod"], kinds.Resource("v1", "Node", "nodes", namespaced=False)


async def test_lists_name_apiversion_and_kind_of_each_object(served: Served) -> None:
    server, cluster = served
    server.answer = {"items": [{"metadata": {"name": "a"}}]}
    assert await cluster.fetch_all(PODS, namespace="team", selector="a=b") == (
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
    )
    assert (server.asked, server.query) == ("GET /api/v1/namespaces/team/pods", {"labelSelector": "a=b"})
    await cluster.fetch_all(NODES, namespace="team")
    assert server.asked == "GET /api/v1/nodes"


def raw_rollout(sequence: int, **changes: Any) -> dict[str, Any]:
    raw = make_rollout(sequence=sequence, attempt=sequence).to_wire()
    return {**raw, "metadata": {**raw["metadata"], "name": f"r{sequence}"}, **changes}


async def test_a_release_of_another_version_hides_no_other(served: Served) -> None:
    """What cannot be read of a status is left out, and a release of which nothing can; nobody steers it any more."""
    server, cluster = served
    older = raw_rollout(1, spec={"modelDeployment": "digits", "sequence": 1})
    odd = raw_rollout(2, status={"outcome": "Promoted", "reason": "Promoted", "steps": "three"})
    server.answer = {"items": [raw_rollout(3), older, odd]}
    found = await cluster.fetch_rollouts("default", "digits")
    assert [rollout.metadata.name for rollout in found] == ["r3", "r2"]
    assert (str(found[1].status.outcome), found[1].status.steps) == ("Promoted", [])


async def test_a_newest_release_that_cannot_be_read_is_named(served: Served) -> None:
    """The one before it must not be taken for it."""
    server, cluster = served
    server.answer = {"items": [raw_rollout(3, spec={"sequence": 3}), raw_rollout(2)]}
    with pytest.raises(errors.UnreadableObject, match=r"ModelRollout r3: spec\.modelDeployment: .*kubectl-sluice"):
        await cluster.fetch_rollouts("default", "digits")


async def test_a_model_is_read_without_what_another_version_says_of_its_state(served: Served) -> None:
    server, cluster = served
    spec = {"model": {"format": "onnx", "uri": "s3://models/digits/2"}}
    server.answer = {"metadata": {"name": "digits"}, "spec": spec, "status": {"stable": 7}}
    assert (await cluster.fetch_deployment("default", "digits")).spec.model.uri == "s3://models/digits/2"
    server.answer = {"metadata": {"name": "digits"}, "spec": {}}
    with pytest.raises(errors.UnreadableObject, match=r"ModelDeployment digits: spec\.model: .*kubectl-sluice"):
        await cluster.fetch_deployment("default", "digits")


async def test_an_intent_is_bound_to_the_version_that_was_read(served: Served) -> None:
    server, cluster = served
    await cluster.patch_intent(make_rollout(), {"action": "Pause", "note": None})
    assert server.asked == "PATCH /apis/sluice.dev/v1alpha1/namespaces/default/modelrollouts/digits-2222222222-1"
    assert server.body == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"intent": {"action": "Pause", "note": None}},
    }


@pytest.mark.parametrize(
    ("existing", "asked", "version"),
    [
        (None, "POST /apis/sluice.dev/v1alpha1/namespaces/team/modeldeployments", None),
        (
            {"metadata": {"resourceVersion": "9"}},
            "PUT /apis/sluice.dev/v1alpha1/namespaces/team/modeldeployments/digits",
            "9",
        ),
    ],
)
async def test_a_dry_run_changes_nothing(served: Served, existing: Any, asked: str, version: str | None) -> None:
    server, cluster = served
    manifest = {"metadata": {"name": "digits", "namespace": "team"}, "spec": {}}
    await cluster.dry_run(manifest, existing=existing)
    assert server.asked == asked
    assert (server.query["dryRun"], server.query["fieldValidation"]) == ("All", "Strict")
    assert server.body["metadata"].get("resourceVersion") == version


@pytest.mark.parametrize(
    ("subject", "review", "spec"),
    [
        ("", "selfsubjectaccessreviews", {}),
        (
            "system:serviceaccount:ops:sluice",
            "subjectaccessreviews",
            {
                "user": "system:serviceaccount:ops:sluice",
                "groups": ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:ops"],
            },
        ),
    ],
)
async def test_permissions(served: Served, subject: str, review: str, spec: dict[str, Any]) -> None:
    server, cluster = served
    server.answer = {"status": {"allowed": True}}
    assert await cluster.may("list", PODS, namespace="team", subject=subject)
    assert server.asked == f"POST /apis/authorization.k8s.io/v1/{review}"
    attributes = {"verb": "list", "group": "", "resource": "pods", "namespace": "team"}
    assert server.body["spec"] == {"resourceAttributes": attributes} | spec
    server.answer = {"status": {"allowed": False}}
    assert not await cluster.may("list", PODS, namespace="team", subject=subject)


async def test_the_user_is_who_the_api_server_says(served: Served) -> None:
    server, cluster = served
    server.answer = {"status": {"userInfo": {"username": "alice"}}}
    assert await cluster.fetch_user() == "alice"
    server.answer = {"status": {}}
    with pytest.raises(errors.Denied, match="does not say who you are"):
        await cluster.fetch_user()


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, {}, errors.Denied, "log in again"),
        (403, {"message": "no"}, errors.Denied, "ask for the ClusterRole sluice-view"),
        (404, {"message": "not found", "details": {"name": "a"}}, kubectl.NotFound, "cannot get pods default/a"),
        (404, {}, errors.Missing, "helm install sluice"),
        (409, {}, errors.Conflict, "changed in the meantime"),
        (422, {"message": "spec.x: bad"}, errors.Refused, "spec.x: bad"),
        (503, {"message": "busy"}, errors.Unavailable, "answered 503 busy; try again later"),
    ],
)
async def test_answers_in_words(
    served: Served, status: int, body: dict[str, Any], error: type[Exception], said: str
) -> None:
    server, cluster = served
    server.status, server.answer = status, body
    with pytest.raises(error, match=said):
        await cluster.fetch(PODS, "default", "a")


async def test_nobody_answers() -> None:
    configuration = client.Configuration()
    configuration.host = "http://127.0.0.1:9"
    async with client.ApiClient(configuration) as api:
        with pytest.raises(errors.Unavailable, match=r"no answer from the API server http://127\.0\.0\.1:9"):
            await kubectl.Kubectl(api, "default").fetch_names("ModelDeployment", "default")


async def test_a_pod_is_made_and_removed_under_our_name(served: Served) -> None:
    server, cluster = served
    manifest = {"kind": "Pod", "metadata": {"name": "p", "namespace": "team"}}
    await cluster.create(PODS, manifest)
    assert (server.asked, server.query) == ("POST /api/v1/namespaces/team/pods", {"fieldManager": "kubectl-sluice"})
    assert server.body == manifest
    await cluster.delete(PODS, "team", "p")
    assert server.asked == "DELETE /api/v1/namespaces/team/pods/p"


async def test_what_is_gone_need_not_be_removed(served: Served) -> None:
    server, cluster = served
    server.status, server.answer = 404, {"message": "not found", "details": {"name": "p"}}
    await cluster.delete(PODS, "team", "p")


async def test_a_quota_is_no_lack_of_permission(served: Served) -> None:
    server, cluster = served
    server.status, server.answer = 403, {"message": "exceeded quota: small"}
    with pytest.raises(errors.Denied, match=r"^cannot create pods team/p: exceeded quota: small$"):
        await cluster.create(PODS, {"metadata": {"name": "p", "namespace": "team"}})


async def test_a_log_is_text(served: Served) -> None:
    server, cluster = served
    server.answer = ["no", "object"]
    assert await cluster.fetch_log("team", "p", "load") == '["no", "object"]'
    assert (server.asked, server.query) == ("GET /api/v1/namespaces/team/pods/p/log", {"container": "load"})


@pytest.mark.parametrize(
    ("status", "words"), [(400, "container is waiting to start"), (404, 'pods "p" not found, says the node')]
)
async def test_a_container_that_has_not_started_has_written_nothing(served: Served, status: int, words: str) -> None:
    server, cluster = served
    server.status, server.answer = status, {"kind": "Status", "reason": "NotFound", "message": words}
    assert await cluster.fetch_log("team", "p", "load") == ""


PROMETHEUS = ServiceAddress("http", "prometheus", "monitoring", 9090)


async def test_what_a_service_answers_is_passed_on_whatever_its_status(served: Served) -> None:
    server, cluster = served
    server.status, server.answer = 400, {"status": "error", "error": "parse error"}
    answer = await cluster.ask_service(PROMETHEUS, "/api/v1/query", {"query": "up{"}, at_most_bytes=100)
    assert (answer.status, answer.document["error"]) == (400, "parse error")
    assert server.asked == "GET /api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query"
    assert server.query == {"query": "up{"}
    with pytest.raises(exchange.TooLong):
        await cluster.ask_service(PROMETHEUS, "/api/v1/query", {"query": "up{"}, at_most_bytes=10)


async def test_the_api_servers_own_refusal_of_a_service_is_an_error(served: Served) -> None:
    server, cluster = served
    server.status, server.answer = 403, {"kind": "Status", "message": "bob may not"}
    with pytest.raises(errors.Denied, match="cannot get services/proxy monitoring/prometheus: bob may not"):
        await cluster.ask_service(PROMETHEUS, "/api/v1/query", {}, at_most_bytes=100)
