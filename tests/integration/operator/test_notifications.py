"""A release tells an endpoint, by a URL in a Secret that only the operator's own namespace can hold."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab.apiserver import ApiServer
from tests.integration.conftest import NAMESPACE
from tests.integration.operator.node import Node
from tests.support.cases.objects import make_model
from tests.support.live.kube import Kube, wait_until
from tests.support.live.process import running

OPERATOR = f"system:serviceaccount:{NAMESPACE}:sluice"
GROUPS = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]


@dataclass
class Receiver:
    """An endpoint that is ill at first, and keeps what it takes."""

    url: str
    failures: int = 2
    taken: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, body: bytes) -> int:
        if self.failures > 0:
            self.failures -= 1
            return 503
        self.taken.append(json.loads(body))
        return 204


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(made.answer(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Receiver(f"http://127.0.0.1:{server.server_port}/secret-token")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


NAMED = "release-hooks"
"""As in the chart's values."""


@pytest.mark.parametrize(
    ("verb", "namespace", "name", "want"),
    [
        ("get", NAMESPACE, NAMED, True),
        ("get", NAMESPACE, "sh.helm.release.v1.sluice.v1", False),
        ("get", NAMESPACE, "", False),
        ("list", NAMESPACE, "", False),
        ("watch", NAMESPACE, NAMED, False),
        ("get", "team", NAMED, False),
    ],
)
def test_secrets_are_read_by_name_and_in_one_namespace(
    cluster: Kube, verb: str, namespace: str, name: str, want: bool
) -> None:
    def may(verb: str, namespace: str, name: str) -> bool:
        return cluster.may(OPERATOR, GROUPS, verb=verb, group="", resource="secrets", namespace=namespace, name=name)

    wait_until(lambda: may("get", NAMESPACE, NAMED))
    assert may(verb, namespace, name) is want


def test_an_endpoint_learns_of_a_release(
    api_server: ApiServer, cluster: Kube, node: Node, receiver: Receiver, tmp_path: Path
) -> None:
    name = node.namespace
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
    cluster.apply({**secret, "stringData": {"url": f"{receiver.url}\n"}}, manager="tests").raise_for_status()
    policy = {"apiVersion": "sluice.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": name}}
    told = {"name": "hook", "urlSecretRef": {"name": name}, "events": ["Promoted"]}
    cluster.apply({**policy, "spec": {"notifications": [told]}}, manager="tests").raise_for_status()
    model = make_model(name)
    model["spec"]["rollout"] = {"policyRef": {"name": name}}
    with running(api_server.kubeconfig, tmp_path) as operator:
        cluster.apply(model, manager="user").raise_for_status()

        def told_of_it() -> bool:
            node.play()
            return bool(receiver.taken)

        wait_until(told_of_it)
        wait_until(lambda: operator.metric("sluice_notifications_total") == 1)
    [event] = receiver.taken
    assert (event["specversion"], event["type"]) == ("1.0", "dev.sluice.rollout.Promoted")
    assert event["data"]["namespace"] == name
    assert event["data"]["weightPercent"] == 100
    assert receiver.failures == 0
    assert "secret-token" not in operator.log.read_text()
