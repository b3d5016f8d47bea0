"""Data sets in the object store, and BatchInferences over them."""

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow
from pyarrow import parquet

from demo import digits, setup
from demo.cluster import Cluster
from tests.support.live.scene import Object, Scene, uri, wait_until

BATCHES: Final = "batchinferences.sluice.dev"
GROUP_ROWS: Final = 10_000


def upload(lab: Cluster, key: str, rows: int) -> str:
    """Digits again and again, with a number and the right label for each row; the URI."""
    _, held_out = digits.split()
    which = np.arange(rows) % len(held_out.labels)
    pixels = pyarrow.array(held_out.images[which].reshape(-1))
    table = pyarrow.table(
        {
            "id": np.arange(rows),
            "image": pyarrow.FixedSizeListArray.from_arrays(pixels, digits.PIXELS),
            "digit": held_out.labels[which],
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, row_group_size=GROUP_ROWS)
    setup.object_store(lab).put_object(Bucket=setup.BUCKET, Key=key, Body=buffer.getvalue())
    return f"s3://{setup.BUCKET}/{key}"


def keys_below(lab: Cluster, prefix: str) -> Iterator[str]:
    pages = setup.object_store(lab).get_paginator("list_objects_v2").paginate(Bucket=setup.BUCKET, Prefix=prefix)
    return (entry["Key"] for page in pages for entry in page.get("Contents", ()))


def answers(lab: Cluster, prefix: str) -> Any:
    """All rows of an output, by their number."""
    store = setup.object_store(lab)
    parts = [key for key in keys_below(lab, prefix) if key.rpartition("/")[2].startswith("part-")]
    tables = [
        parquet.read_table(io.BytesIO(store.get_object(Bucket=setup.BUCKET, Key=key)["Body"].read())) for key in parts
    ]
    return pyarrow.concat_tables(tables).sort_by("id")


def batch(name: str, source: str, target: str, *, deployment: str = setup.NAME, **spec: Any) -> Object:
    """A BatchInference of the stable version of a ModelDeployment."""
    secret = {"credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET}}
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "BatchInference",
        "metadata": {"name": name},
        "spec": {
            "modelDeploymentRef": {"name": deployment},
            "input": {"uri": source, "format": "Parquet", "columns": ["image"], **secret},
            "output": {"uri": f"s3://{setup.BUCKET}/{target}", "format": "Parquet", **secret},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            **spec,
        },
    }


def of_its_own(manifest: Object, version: str) -> Object:
    """The same with a version from the store instead of a ModelDeployment."""
    del manifest["spec"]["modelDeploymentRef"]
    credentials = {"credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET}}
    manifest["spec"]["model"] = {"name": setup.NAME, "format": "onnx", "uri": uri(version), **credentials}
    return manifest


def status_of(scene: Scene, name: str) -> Object:
    status: Object = scene.tools.get(BATCHES, name, scene.where).get("status", {})
    return status


def condition_of(scene: Scene, name: str, type_: str) -> Object:
    return next((one for one in status_of(scene, name).get("conditions", ()) if one["type"] == type_), {})


def wait_end(scene: Scene, name: str, seconds: float = 240) -> Object:
    """The status of a run that has ended."""
    return wait_until(
        lambda: status if (status := status_of(scene, name)).get("run", {}).get("outcome") else None,
        f"{name} ends",
        seconds=seconds,
    )


def require_every_row_once(lab: Cluster, prefix: str, rows: int) -> None:
    found = answers(lab, prefix)
    assert found.num_rows == rows
    assert np.array_equal(found.column("id").to_numpy(), np.arange(rows)), "rows are lost or doubled"
    right = found.column("digit").to_numpy() == found.column("label").to_numpy()
    assert np.mean(right) > 0.9
    assert f"{prefix}_SUCCESS" in set(keys_below(lab, prefix))
