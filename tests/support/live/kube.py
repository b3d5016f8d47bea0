"""A thin client for the tests: every answer of the API server as received, with status and causes."""

import json
import ssl
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.support import patience

Object = dict[str, Any]

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
ADMINISTRATORS: Final = ("system:masters",)


@dataclass(frozen=True, slots=True)
class Kube:
    """Talks to one API server as its administrator, or as another user."""

    http: httpx.Client
    plurals: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)
    """(apiVersion, kind) → (plural, namespaced), from discovery."""

    @staticmethod
    @contextmanager
    def connected(kubeconfig: Path) -> Iterator["Kube"]:
        """A client with the credentials of the kubeconfig's only context."""
        with client(kubeconfig) as http:
            yield Kube(http)

    def path(self, target: Object) -> str:
        """The address of an object's collection."""
        version, kind = target["apiVersion"], target["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self.plurals:
            for resource in self.http.get(root).raise_for_status().json()["resources"]:
                if "/" not in resource["name"]:
                    self.plurals[version, resource["kind"]] = (resource["name"], resource["namespaced"])
        plural, namespaced = self.plurals[version, kind]
        scope = f"/namespaces/{target['metadata'].get('namespace', 'default')}" if namespaced else ""
        return f"{root}{scope}/{plural}"

    def create(self, target: Object, *, dry_run: bool = False, user: str | None = None) -> httpx.Response:
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self.http.post(self.path(target), params=query, json=target, headers=_as(user))

    def get(self, target: Object, *, table: bool = False) -> Object:
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io" if table else "application/json"
        answer = self.http.get(f"{self.path(target)}/{target['metadata']['name']}", headers={"Accept": accept})
        result: Object = answer.raise_for_status().json()
        return result

    def apply(
        self,
        target: Object,
        *,
        manager: str,
        subresource: str = "",
        dry_run: bool = False,
        force: bool = False,
        user: str | None = None,
    ) -> httpx.Response:
        """Server-side apply; user: as in `patch`."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        return self.http.patch(
            f"{self.path(target)}/{target['metadata']['name']}{subresource}",
            params=query | ({"dryRun": "All"} if dry_run else {}),
            content=json.dumps(target),  # as the operator does; PyYAML and Go disagree on numbers
            headers={"Content-Type": APPLY, **_as(user)},
        )

    def patch(
        self,
        target: Object,
        change: Object,
        *,
        subresource: str = "",
        user: str | None = None,
        groups: tuple[str, ...] = ADMINISTRATORS,
    ) -> httpx.Response:
        """JSON merge patch; as a user with an administrator's rights, unless groups are given."""
        return self.http.patch(
            f"{self.path(target)}/{target['metadata']['name']}{subresource}",
            json=change,
            headers={"Content-Type": MERGE, **_as(user, groups)},
        )

    def may(self, user: str, groups: list[str], **attributes: str) -> bool:
        """Whether RBAC lets a user do something (verb, group, resource, subresource, namespace)."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
        }
        return bool(self.create(review).raise_for_status().json()["status"]["allowed"])

    def install_crds(self, documents: Iterable[Object]) -> None:
        """Applies CRDs and waits until all are served."""
        crds = list(documents)
        for crd in crds:
            self.apply(crd, manager="tests").raise_for_status()
        for crd in crds:
            wait_until(lambda crd=crd: "Established" in true_conditions(self.get(crd)))  # type: ignore[misc]


def client(kubeconfig: Path) -> httpx.Client:
    """To the API server of the kubeconfig's only context, with its credentials."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return httpx.Client(
        base_url=cluster["server"],
        headers={"Authorization": f"Bearer {user['token']}"},
        verify=ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode()),
        timeout=patience.HANG_SECONDS,
    )


def _as(user: str | None, groups: tuple[str, ...] = ADMINISTRATORS) -> dict[str, str]:
    if user is None:
        return {}
    return {"Impersonate-User": user, **({"Impersonate-Group": groups[0]} if groups else {})}


def true_conditions(target: Object) -> set[str]:
    """The types of an object's conditions that are True."""
    conditions = target.get("status", {}).get("conditions") or ()  # null in a newly created CRD
    return {each["type"] for each in conditions if each["status"] == "True"}


def causes(answer: httpx.Response) -> list[tuple[str, str]]:
    """(field, message) of everything that the API server objects to; the root's field is empty."""
    details = answer.json().get("details", {})
    return [
        (cause.get("field", "").removeprefix("<nil>"), cause.get("message", "")) for cause in details.get("causes", ())
    ]


def wait_until(holds: Callable[[], bool], *, seconds: float = 0) -> None:
    """Waits for a condition of the API server's own, such as an informer that must catch up."""
    limit = patience.seconds(seconds)
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {limit:.0f} s")
        time.sleep(0.2)
