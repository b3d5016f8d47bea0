"""The pod that is profiled: nobody but us finds it, and it does what the pods that serve do."""

from typing import Any

import pytest

from kubectl_sluice.offline.profile import pod
from sluice_core.kernel import naming
from sluice_core.render import budget, workload
from sluice_core.render.traffic import service
from tests.support.cases.builders import make_container, make_model_deployment, make_revision, make_runtime

DEPLOYMENT = make_model_deployment(spec={"warmup": {"requests": 5}, "podAnnotations": {"team": "vision"}})
RUNTIME = make_runtime(
    containers=[
        make_container(
            command=["/opt/tritonserver/bin/tritonserver"],
            args=["--model-repository={{model.path}}"],
            livenessProbe={"httpGet": {"path": "/v2/health/live", "port": 8000}},
            resources={"limits": {"cpu": "1500m"}},
        )
    ]
)
REVISION = make_revision(deployment=DEPLOYMENT, runtime=RUNTIME)


def made(revision: Any = REVISION, threads: int | None = None, **changes: Any) -> dict[str, Any]:
    image = pod.image_of(revision.template)
    assert image is not None
    generator = pod.generator(image, program="print('$(HOME)')", plan='{"a": 1}', payload="x" * 150_000)
    return pod.profiled_pod(
        revision, DEPLOYMENT, **{"threads": threads, "generator": generator, "deadline_seconds": 900} | changes
    )


def test_no_selector_of_the_model_finds_it() -> None:
    labels = made()["metadata"]["labels"]
    assert labels == {naming.LABEL_MANAGED_BY: "kubectl-sluice", pod.LABEL: "digits"}
    selectors = [
        service.desired_service(REVISION, DEPLOYMENT)["spec"]["selector"],
        workload.desired_deployment(REVISION, 1, DEPLOYMENT)["spec"]["selector"]["matchLabels"],
        {naming.LABEL_OWNER: "digits"},
        {"app.kubernetes.io/name": "digits"},
    ]
    for selector in selectors:
        assert not selector.items() <= labels.items()


def test_it_takes_no_room_from_what_serves() -> None:
    fields = {"priorityClassName": "models", "schedulerName": "volcano", "podLabels": {"team": "vision"}}
    manifest = made(make_revision(deployment=make_model_deployment(spec=fields), runtime=RUNTIME))
    assert "priorityClassName" not in manifest["spec"]
    assert manifest["spec"]["schedulerName"] == "volcano"
    assert "team" not in manifest["metadata"]["labels"]


def test_it_is_found_again_goes_with_its_model_and_ends_by_itself() -> None:
    manifest = made()
    label, _, value = pod.selector("digits").partition("=")
    assert manifest["metadata"]["labels"][label] == value
    [owner] = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelDeployment", DEPLOYMENT.metadata.uid, False)
    spec = manifest["spec"]
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 900)


def test_the_server_is_that_of_the_revision_without_what_would_end_it() -> None:
    manifest = made()
    [serving, _warm_up] = REVISION.template["spec"]["containers"]
    [server, generator] = manifest["spec"]["containers"]
    assert {key for key in serving if server.get(key) != serving[key]} == {"args", "livenessProbe", "lifecycle"}
    assert server["args"] == [*serving["args"], "--model-control-mode=explicit", "--load-model=*"]
    assert generator["name"] == "load"
    assert manifest["spec"]["initContainers"] == REVISION.template["spec"]["initContainers"]
    assert manifest["metadata"]["annotations"] == {"team": "vision", pod.ANNOTATION_REVISION: REVISION.name}


def test_metrics_of_the_load_are_not_scraped() -> None:
    runtime = make_runtime(metrics={"port": 8002})
    revision = make_revision(deployment=DEPLOYMENT, runtime=runtime)
    assert "prometheus.io/scrape" in revision.template["metadata"]["annotations"]
    assert not [name for name in made(revision)["metadata"]["annotations"] if name.startswith("prometheus.io/")]


@pytest.mark.parametrize(
    ("container", "added"),
    [
        ({"command": ["mlserver", "start"], "args": ["/models"]}, []),
        ({"command": ["tritonserver"], "args": ["--model-control-mode=poll"]}, []),
        ({"command": ["tritonserver"], "args": ["--load-model=m"]}, ["--model-control-mode=explicit"]),
        ({"args": ["tritonserver"]}, ["--model-control-mode=explicit", "--load-model=*"]),
        ({"args": []}, []),
    ],
)
def test_triton_is_made_to_take_other_configurations(container: dict[str, Any], added: list[str]) -> None:
    revision = make_revision(deployment=DEPLOYMENT, runtime=make_runtime(containers=[make_container(**container)]))
    assert made(revision)["spec"]["containers"][0]["args"] == [*container["args"], *added]


def test_the_generator_gets_its_program_and_its_variables_literally() -> None:
    container = made()["spec"]["containers"][1]
    assert container["command"] == ["python3", "-I", "-c", "print('$$(HOME)')"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["SLUICE_PROFILE"] == '{"a": 1}'
    assert [len(variables[f"SLUICE_PAYLOAD_{number}"]) for number in (0, 1)] == [100_000, 50_000]
    assert container["image"] == REVISION.template["spec"]["initContainers"][0]["image"]


def test_threads_replace_the_variables_that_are_there() -> None:
    runtime = make_runtime(
        containers=[make_container(env=[{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "A", "value": "b"}])]
    )
    server = made(make_revision(deployment=DEPLOYMENT, runtime=runtime), threads=2)["spec"]["containers"][0]
    assert [(each["name"], each["value"]) for each in server["env"]] == [
        ("A", "b"),
        ("SLUICE_ONNX_THREADS", "2"),
        ("OMP_NUM_THREADS", "2"),
    ]


def test_without_an_image_the_load_is_not_in_the_pod() -> None:
    assert pod.image_of({"spec": {"containers": [{"name": "server", "image": "i"}]}}) is None
    assert [each["name"] for each in made(generator=None)["spec"]["containers"]] == ["triton"]


@pytest.mark.parametrize(
    ("limits", "want"),
    [(["1500m"], 1.5), (["2", "500m"], 2.5), (["2", None], None), ([None], None)],
)
def test_the_processors_of_a_pod(limits: list[str | None], want: float | None) -> None:
    containers = [
        {"name": f"c{n}", **({"resources": {"limits": {"cpu": limit}}} if limit else {})}
        for n, limit in enumerate(limits)
    ]
    assert pod.processor_limit({"spec": {"containers": [*containers, {"name": "warm-up"}]}}) == want


def status(name: str, code: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"exitCode": code, **more}}}


@pytest.mark.parametrize(
    ("of", "want"),
    [
        ({}, None),
        ({"initContainerStatuses": [status("storage-initializer", 0)]}, None),
        ({"containerStatuses": [status("load", 1)]}, None),
        (
            {"initContainerStatuses": [status("storage-initializer", 1, message="ObjectNotFound: no such key")]},
            "storage-initializer ended with status 1 (Error): ObjectNotFound: no such key",
        ),
        (
            {"containerStatuses": [status("server", 137, reason="OOMKilled")]},
            "server ended with status 137 (OOMKilled)",
        ),
        ({"containerStatuses": [status("server", 0)]}, "server ended with status 0"),
        ({"phase": "Failed", "message": "evicted"}, "the pod has failed: evicted"),
    ],
)
def test_why_it_cannot_be_measured(of: dict[str, Any], want: str | None) -> None:
    found = pod.ended({"status": of})
    assert found is None if want is None else want in (found or "")


def test_the_end_of_the_generator() -> None:
    assert pod.generator_ended({"status": {"containerStatuses": [status("load", 0)]}})
    assert not pod.generator_ended({"status": {"containerStatuses": [status("server", 0)]}})


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ("pods is forbidden: exceeded quota: small", "raise the ResourceQuota"),
        ("violates PodSecurity restricted", "pod security standard"),
        ('User "alice" cannot create resource "pods"', "docs/profile.md has the Role"),
    ],
)
def test_what_to_do_where_no_pod_may_be_made(message: str, want: str) -> None:
    assert want in pod.refusal_remedy(message)


def test_budgets_do_not_count_it() -> None:
    selector = budget.desired_budget(DEPLOYMENT)["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= made()["metadata"]["labels"].items()
