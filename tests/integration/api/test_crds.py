"""The CRDs as people meet them: served, explained and listed."""

from typing import Any

import pytest

from lab import apiserver, processes
from sluice_core.api import crd
from tests.support.cases.objects import batch, deployment, policy, rollout, runtime
from tests.support.live.kube import Kube, true_conditions

kinds = pytest.mark.parametrize("model", crd.KINDS, ids=lambda model: model.kind)


@kinds
def test_established_and_structural(kube: Kube, model: Any) -> None:
    stored = kube.get(crd.crd(model))
    assert true_conditions(stored) == {"NamesAccepted", "Established"}  # neither NonStructuralSchema nor a clash


@kinds
def test_server_keeps_every_part_of_the_schema(kube: Kube, model: Any) -> None:
    (ours,), (theirs,) = crd.crd(model)["spec"]["versions"], kube.get(crd.crd(model))["spec"]["versions"]
    assert theirs["schema"] == ours["schema"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("modeldeployment", "A model that should serve, under one stable address"),
        (
            "modeldeployment.spec.model.uri",
            "Where the model is: s3://bucket/path, gs://bucket/path or azblob://container/path",
        ),
        ("modeldeployment.spec.rollout.canary.steps", "Increasing weights that end with 100."),
        ("modeldeployment.spec.resources.requests", "What is reserved for the container"),
        ("modelrollout.spec.intent.action", "Promote, SkipStep, Abort, Pause, Resume, Retry or Rollback"),
        ("rolloutpolicy.spec.objectives.failureRatio.ignoreBelow", "Ratios below this are negligible"),
        ("batchinference.spec.output.mode", "fail if the folder contains anything"),
        ("servingruntimes.sluice.dev.spec.containers", "other placeholders are refused"),
    ],
)
def test_explain_is_useful(api_server: apiserver.ApiServer, kube: Kube, field: str, words: str) -> None:
    text = processes.run([api_server.kubectl, f"--kubeconfig={api_server.kubeconfig}", "explain", field])
    assert words in " ".join(text.split())


@pytest.mark.parametrize("name", ["mdep", "mroll", "msrt", "rpol", "bi", "sluice"])
def test_short_names_and_category(api_server: apiserver.ApiServer, kube: Kube, name: str) -> None:
    processes.run([api_server.kubectl, f"--kubeconfig={api_server.kubeconfig}", "get", name])


def test_kubectl_scale(api_server: apiserver.ApiServer, kube: Kube) -> None:
    target = deployment(name="scaled")
    kube.create(target).raise_for_status()
    kubectl = [api_server.kubectl, f"--kubeconfig={api_server.kubeconfig}"]
    processes.run([*kubectl, "scale", "modeldeployment/scaled", "--replicas=3"])
    assert kube.get(target)["spec"]["replicas"] == 3
    status = {"stable": {"revision": "scaled-1", "replicas": 2}}
    kube.patch(target, {"status": status}, subresource="/status").raise_for_status()
    scale = kube.http.get(f"{kube.path(target)}/scaled/scale").raise_for_status().json()
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 2)


DEPLOYMENT_STATUS = {
    "stable": {"revision": "columns-1", "weight": 75},
    "candidate": {"revision": "columns-2", "weight": 25},
    "rollout": {"name": "columns-2-1", "step": 2, "steps": 4, "verdict": "Wait", "reason": "EvidenceMissing"},
    "url": "http://columns.default.models.local",
    "conditions": [
        {"type": "Current", "status": "False", "reason": "Releasing", "lastTransitionTime": "2026-03-01T12:00:00Z"},
        {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-03-01T12:00:00Z"},
    ],
}
BATCH_STATUS = {
    "run": {"name": "columns-1", "revision": "digits-1"},
    "percent": 40,
    "rows": {"read": 410, "written": 400, "failed": 10},
    "rowsPerSecond": "20.5",
    "estimatedCompletionTime": "2026-03-01T12:00:30Z",
    "nextScheduleTime": "2026-03-02T03:00:00Z",
    "conditions": [
        {"type": "Complete", "status": "False", "reason": "Running", "lastTransitionTime": "2026-03-01T12:00:00Z"},
    ],
}
ROLLOUT_STATUS = {"outcome": "RolledBack", "weight": 0, "verdict": "RollBack", "reason": "accuracy"}


@pytest.mark.parametrize(
    ("given", "status", "want"),
    [
        pytest.param(
            deployment(name="columns"),
            DEPLOYMENT_STATUS,
            {
                "Ready": "True",
                "Stable": "columns-1",
                "Candidate": "columns-2",
                "Weight": 25,
                "Step": 2,
                "Verdict": "Wait",
                "Reason": "EvidenceMissing",
                "URL": "http://columns.default.models.local",
            },
            id="ModelDeployment",
        ),
        pytest.param(
            rollout(name="columns-2-1"),
            ROLLOUT_STATUS,
            {"Model": "digits", "Outcome": "RolledBack", "Weight": 0, "Verdict": "RollBack", "Reason": "accuracy"},
            id="ModelRollout",
        ),
        pytest.param(
            batch(name="columns"),
            BATCH_STATUS,
            {
                "Complete": "False",
                "Reason": "Running",
                "Revision": "digits-1",
                "Percent": 40,
                "Written": 400,
                "Failed": 10,
                "Run": "columns-1",
                "Engine": "Job",
                "Rows/s": "20.5",
                "ETA": "2026-03-01T12:00:30Z",
                "Next": "2026-03-02T03:00:00Z",
            },
            id="BatchInference",
        ),
        pytest.param(policy(name="columns"), None, {"FalseRollback": "1%", "FalseAdvance": "5%", "Bake": 600}, id="RolloutPolicy"),
        pytest.param(runtime(name="columns"), None, {"Format": "onnx", "Layout": "Plain"}, id="ServingRuntime"),
    ],
)  # fmt: skip
def test_columns(kube: Kube, given: dict[str, Any], status: dict[str, Any] | None, want: dict[str, Any]) -> None:
    kube.create(given).raise_for_status()
    if status is not None:
        kube.patch(given, {"status": status}, subresource="/status").raise_for_status()
    table = kube.get(given, table=True)
    names = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert {name: row[name] for name in names if name not in ("Name", "Age")} == want
