"""What the API server asks its authorizers about one account, and what rendered manifests grant to it."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

Object = dict[str, Any]

ALL: Final = ""
"""As a namespace: every one, and what is in none; as a name: every object."""


class Right(NamedTuple):
    """What is asked for, or granted."""

    verb: str
    group: str
    resource: str
    """With the subresource, where there is one: `modelrollouts/status`."""
    namespace: str = ALL
    name: str = ALL

    def covers(self, asked: "Right") -> bool:
        return self[:3] == asked[:3] and self.namespace in (ALL, asked.namespace) and self.name in (ALL, asked.name)

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}.{self.group} {self.name}".strip(" .") + where


@dataclass
class Recorder:
    """An authorizer that has no opinion, and remembers what it was asked.

    The API server asks it about everything that it checks: the verb of a request, and what follows from it, such as
    whether who applies an object that is not there may create it. A log of requests would not show that.
    """

    url: str
    asked: dict[str, set[Right]] = field(default_factory=dict)
    """By user."""

    def answer(self, review: Object) -> Object:
        spec = review["spec"]
        attributes = spec.get("resourceAttributes")
        if attributes is not None:
            resource = "/".join(filter(None, (attributes["resource"], attributes.get("subresource"))))
            right = Right(
                attributes["verb"],
                attributes.get("group", ""),
                resource,
                attributes.get("namespace", ""),
                attributes.get("name", ""),
            )
            self.asked.setdefault(spec["user"], set()).add(right)
        return {**review, "status": {"allowed": False}}


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Listens until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(made.answer(review)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Recorder(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def flags(recorder: Recorder, folder: Path) -> tuple[str, ...]:
    """Of an API server that asks the recorder before it decides by RBAC."""
    config = folder / "authorizer.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "recorder", "cluster": {"server": recorder.url}}],
                "users": [{"name": "api", "user": {}}],
                "contexts": [{"name": "recorder", "context": {"cluster": "recorder", "user": "api"}}],
                "current-context": "recorder",
            }
        )
    )
    return (
        "--authorization-mode=Node,Webhook,RBAC",
        f"--authorization-webhook-config-file={config}",
        "--authorization-webhook-version=v1",
    )


def granted(documents: Iterable[Object], account: str) -> frozenset[Right]:
    """What the Roles and ClusterRoles among the documents grant to the ServiceAccount."""
    known = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in documents
    }
    found = set[Right]()
    for (kind, namespace, _), binding in known.items():
        if not kind.endswith("RoleBinding") or account not in {each["name"] for each in binding["subjects"]}:
            continue
        reference = binding["roleRef"]
        where = namespace if reference["kind"] == "Role" else ""
        role = known[reference["kind"], where, reference["name"]]
        found |= {
            Right(verb, group, resource, namespace, name)
            for rule in role["rules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames") or ("",)
        }
    return frozenset(found)


def missing(granted: Iterable[Right], asked: Iterable[Right]) -> list[str]:
    """What was asked for and is not granted."""
    rights = tuple(granted)
    return sorted({str(each) for each in asked if not any(right.covers(each) for right in rights)})


def unused(granted: Iterable[Right], asked: Iterable[Right]) -> list[str]:
    """What is granted and was never asked for."""
    needs = tuple(asked)
    return sorted(str(right) for right in granted if not any(right.covers(each) for each in needs))
