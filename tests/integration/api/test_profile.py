"""The profiled pod at a real API server: it is accepted under the strictest standard, found, and removed."""

from typing import Any

import pytest

from kubectl_sluice.adapters import kubecontext, kubectl, loadprogram
from kubectl_sluice.offline.profile import pod
from sluice_core import errors
from sluice_core.adapters import kube as kinds
from tests.support.cases.builders import make_model_deployment, make_revision
from tests.support.live.kube import Kube, wait_until

NAMESPACE, QUOTA = "profiled", "profiled-full"
PODS = kinds.BY_KIND["Pod"]


def namespace(name: str) -> list[dict[str, Any]]:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    account = {"name": "default", "namespace": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
    ]


def manifest(where: str) -> dict[str, Any]:
    deployment = make_model_deployment(namespace=where)
    revision = make_revision(deployment=deployment)
    image = pod.image_of(revision.template)
    assert image is not None
    generator = pod.generator(image, program=loadprogram.program(), plan="{}", payload="x" * pod.LARGEST_PAYLOAD)
    made = pod.profiled_pod(revision, deployment, threads=2, generator=generator, deadline_seconds=600)
    del made["metadata"]["ownerReferences"]  # its owner is not there, and the garbage collector would remove it
    return made


@pytest.fixture(scope="module")
def spaces(kube: Kube) -> Kube:
    full = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": QUOTA}}
    for target in (*namespace(NAMESPACE), *namespace(QUOTA), {**full, "spec": {"hard": {"pods": "0"}}}):
        answer = kube.create(target)
        assert answer.is_success or answer.status_code == 409, answer.text
    # No controller counts what is used here.
    status = {"hard": {"pods": "0"}, "used": {"pods": "0"}}
    kube.patch(full, {"status": status}, subresource="/status").raise_for_status()
    wait_until(lambda: not kube.create(manifest(QUOTA), dry_run=True).is_success)
    return kube


def test_every_field_is_known_and_restricted_namespaces_take_it(spaces: Kube) -> None:
    answer = spaces.create(manifest(NAMESPACE), dry_run=True)
    assert answer.is_success, answer.text
    assert "warning" not in answer.headers, answer.headers


async def test_it_is_made_found_and_removed(spaces: Kube, api_server: Any) -> None:
    async with kubecontext.connect(kubeconfig=api_server.kubeconfig) as cluster:
        made = await cluster.create(PODS, manifest(NAMESPACE))
        name = made["metadata"]["name"]
        with pytest.raises(errors.Conflict):
            await cluster.create(PODS, manifest(NAMESPACE))
        [found] = await cluster.fetch_all(PODS, namespace=NAMESPACE, selector=pod.selector("digits"))
        assert found["metadata"]["uid"] == made["metadata"]["uid"]
        assert await cluster.fetch_log(NAMESPACE, name, pod.GENERATOR) == "", "it has no node yet"
        await cluster.delete(PODS, NAMESPACE, name)
        with pytest.raises(kubectl.NotFound):
            await cluster.fetch(PODS, NAMESPACE, name)
        await cluster.delete(PODS, NAMESPACE, name)


async def test_a_full_quota_says_what_to_do(spaces: Kube, api_server: Any) -> None:
    async with kubecontext.connect(kubeconfig=api_server.kubeconfig) as cluster:
        with pytest.raises(errors.Denied) as refused:
            await cluster.create(PODS, manifest(QUOTA))
    assert "raise the ResourceQuota" in pod.refusal_remedy(str(refused.value)), str(refused.value)
