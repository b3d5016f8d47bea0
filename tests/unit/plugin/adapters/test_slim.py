"""What is kept of an object that somebody else wrote."""

import tracemalloc
from typing import Any

import pytest

from kubectl_sluice.adapters import slim
from sluice_core.parsing import ownkinds

LABELS = {f"x{number}": "" for number in range(100_000)}
WRITES = [
    {
        "manager": "kubectl",
        "operation": "Apply",
        "time": "2026-03-01T12:00:00Z",
        "fieldsV1": {"f:spec": {"f:model": {}}},
    },
    {"manager": "sluice", "subresource": "status", "time": "2026-03-01T12:00:09Z", "fieldsV1": {"f:status": {}}},
    {"manager": "someone", "subresource": "status", "time": "2026-03-01T13:00:00Z", "fieldsV1": {"f:status": {}}},
]


def test_labels_and_annotations_of_others_are_not_kept() -> None:
    ours = {"sluice.dev/revision": "r", "app.kubernetes.io/name": "n"}
    metadata = {"name": "a", "uid": "u", "labels": LABELS | ours, "annotations": LABELS, "managedFields": WRITES}
    kept = slim.slimmed({"kind": "ModelDeployment", "metadata": metadata, "spec": {"model": {"uri": "s3://a/b"}}})
    assert {**kept["metadata"], "managedFields": 0} == {"name": "a", "uid": "u", "labels": ours, "managedFields": 0}
    assert kept["spec"] == {"model": {"uri": "s3://a/b"}}
    raw = {"metadata": metadata}
    for moment in (ownkinds.asked_time, ownkinds.written_time):
        assert moment(kept) == moment(raw) is not None


def test_of_a_pod_only_what_a_page_reads_is_kept() -> None:
    secret = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    container = {
        "name": "server",
        "image": "i",
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "env": [secret, *({"name": f"V{number}", "value": ""} for number in range(50_000))],
    }
    spec = {"containers": [container], "nodeName": "n", "tolerations": [{}] * 50_000}
    kept = slim.slimmed({"kind": "Pod", "metadata": {"name": "a"}, "spec": spec, "status": {"phase": "Running"}})
    assert kept["spec"] == {"nodeName": "n", "initContainers": [], "containers": [{**container, "env": [secret]}]}
    assert kept["status"] == {"phase": "Running"}


@pytest.mark.parametrize(
    "value", [[[]] * 100_000, {str(n): n for n in range(100_000)}, ["text" * 9] * 50_000, "x" * 2**21]
)
def test_what_is_large_still_is_refused(value: Any) -> None:
    with pytest.raises(slim.ObjectTooLarge, match="Any a takes more than 1024 KiB"):
        slim.slimmed({"kind": "Any", "metadata": {"name": "a"}, "spec": value})


@pytest.mark.parametrize("depth", [1, 50_000])
def test_what_an_object_takes_is_not_underrated(depth: int) -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    value: Any = [{f"key-{n}": f"value {n}", "more": [n, str(n), {}]} for n in range(2000)]
    for _ in range(depth):
        value = [value]
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken <= slim.weight(value, 10**9) <= 3 * taken
    while value and len(value) == 1:  # a chain this long is not to be freed at once
        value = value[0]
