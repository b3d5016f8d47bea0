"""What a downloader is told of signatures, and what a spec cannot take away from it."""

import json
from typing import Any

import pytest

from sluice_core.api.config import FormatGrant, OperatorConfig, StorageInitializer, VerificationGrant
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.render import workload
from sluice_core.render.pod import signatures
from tests.support.cases.builders import make_model_deployment, make_runtime

KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n"
OWN = KEY.replace("MFkw", "MHYw")
ROOT = '{"tlogs": []}'
IDENTITY = {"subject": "https://github.com/acme/*", "issuer": "https://token.example"}
CONFIG = OperatorConfig.model_validate(
    {
        "verification": [
            {"namespaces": ["*"], "mode": "Warn", "publicKeys": [KEY]},
            {"namespaces": ["payments"], "mode": "Enforce", "trustedRoot": ROOT, "identities": [IDENTITY]},
            {"namespaces": ["sandbox"], "mode": "Off"},
        ]
    }
)
ENFORCED = OperatorConfig.model_validate(
    {"verification": [{"namespaces": ["*"], "mode": "Enforce", "publicKeys": [KEY]}]}
)
NOTHING = OperatorConfig()


def deployed(namespace: str = "ml", verify: dict[str, Any] | None = None, **spec: Any) -> ModelDeployment:
    model = {"format": "onnx", "uri": "s3://m/1", **spec.pop("model", {})} | ({"verify": verify} if verify else {})
    deployment = make_model_deployment(spec={"model": model, **spec})
    metadata = deployment.metadata.model_copy(update={"namespace": namespace})
    return deployment.model_copy(update={"metadata": metadata})


def told(deployment: ModelDeployment, config: OperatorConfig, *, adapter: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        signatures.arguments(deployment, config, adapter=adapter).get("--verification", "[]")
    )
    return found


def template(deployment: ModelDeployment, config: OperatorConfig) -> Any:
    return workload.new_revision(deployment, make_runtime(), config, 1).template


@pytest.mark.parametrize(
    ("namespace", "modes"), [("ml", ["Warn"]), ("payments", ["Enforce"]), ("sandbox", []), ("payment", ["Warn"])]
)
def test_the_entry_that_names_a_namespace_holds_for_it(namespace: str, modes: list[str]) -> None:
    assert [each["mode"] for each in told(deployed(namespace), CONFIG)] == modes


def test_nothing_is_said_where_nobody_asks() -> None:
    assert signatures.arguments(deployed(), NOTHING) == {}
    assert "--verification" not in template(deployed(), NOTHING)["spec"]["initContainers"][0]["args"]


@pytest.mark.parametrize("mode", ["Off", "Warn", "Enforce"])
def test_a_spec_takes_nothing_away(mode: str) -> None:
    platform = {"by": "config.verification", "mode": "Enforce"}
    platform["trust"] = {"publicKeys": [KEY], "authorities": [], "identities": []}  # type: ignore[assignment]
    first, *others = told(deployed(verify={"mode": mode, "publicKeys": [OWN]}), ENFORCED)
    assert first == platform
    assert [(each["by"], each["mode"]) for each in others] == [("spec.model.verify", mode)] * (mode != "Off")


def test_a_spec_narrows_what_the_platform_trusts() -> None:
    digest = f"sha256:{'0' * 64}"
    _, own = told(deployed("payments", {"digest": digest, "name": "digits"}), CONFIG)
    assert own["trust"] == {
        "publicKeys": [],
        "authorities": [],
        "identities": [IDENTITY],
        "trustedRoot": {"tlogs": []},
    }
    assert (own["digest"], own["name"]) == (digest, "digits")
    _, of_adapter = told(deployed("payments", {"digest": digest, "name": "digits"}), CONFIG, adapter=True)
    assert not {"digest", "name"} & set(of_adapter)


def test_a_spec_by_itself() -> None:
    (own,) = told(deployed(verify={"publicKeys": [OWN]}), NOTHING)
    assert (own["mode"], own["trust"]["publicKeys"]) == ("Enforce", [OWN])


def test_nothing_in_a_key_is_expanded_by_the_kubelet() -> None:
    identity = {"subject": "a$(HF_TOKEN)", "issuer": "b"}
    verify = {"trustedRoot": ROOT, "identities": [identity]}
    arguments = template(deployed(verify=verify), NOTHING)["spec"]["initContainers"][0]["args"]
    assert '"a$$(HF_TOKEN)"' in arguments[arguments.index("--verification") + 1]


def test_an_image_that_must_be_signed_is_not_mounted_by_the_node() -> None:
    initializer = StorageInitializer(image_volumes=True)
    image = deployed(model={"uri": "oci://registry.example/acme/digits:1"})
    for config, mounted in ((NOTHING, True), (ENFORCED, False)):
        config = config.model_copy(update={"storage_initializer": initializer})
        pod = template(image, config)["spec"]
        assert any("image" in volume for volume in pod["volumes"]) is mounted
        assert ("--mount" in pod["initContainers"][0]["args"]) is mounted


BEFORE = {"name": "before", "image": "example.com/before:1"}
CLAIM = {"uri": "pvc://models/digits/1", "adapters": [{"name": "sql", "uri": "pvc://others/sql"}]}


def claims_seen(pod: dict[str, Any]) -> dict[str, set[str]]:
    """By container: the claims of which it sees anything."""
    volumes = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    assert volumes == {"source", "source-0"}
    return {
        each["name"]: volumes & {mount["name"] for mount in each["volumeMounts"]}
        for each in (*pod["initContainers"], *pod["containers"])
    }


@pytest.mark.parametrize(("config", "seen"), [(NOTHING, {"source", "source-0"}), (CONFIG, set()), (ENFORCED, set())])
def test_nothing_but_its_downloader_sees_a_claim_that_is_verified(config: OperatorConfig, seen: set[str]) -> None:
    """It is copied, and the copy is inspected: a server that could open the claim would find what others write there."""
    runtime = make_runtime(adapters={"each": ["--lora={{adapter.path}}"]}, init_containers=[BEFORE])
    pod = workload.new_revision(deployed(model=CLAIM), runtime, config, 1).template["spec"]
    (server,) = (each["name"] for each in pod["containers"])
    assert claims_seen(pod) == {
        "storage-initializer": {"source"},
        "storage-initializer-0": {"source-0"},
        "before": seen,
        server: seen,
    }


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, ""),
        ({"runtime": {"threads": 2}}, ""),
        ({"runtime": {"image": "evil"}}, "spec.runtime.image"),
        ({"runtime": {"args": ["--model=elsewhere"]}}, "spec.runtime.args"),
        ({"runtime": {"env": [{"name": "LD_PRELOAD", "value": "/a.so"}]}}, "spec.runtime.env"),
        ({"model": {"format": "custom"}, "runtime": {"image": "ours"}}, "spec.model.format"),
        ({"model": {"uri": None}, "runtime": {"image": "ours"}}, "spec.model.uri"),
    ],
)
def test_what_nobody_could_verify_is_refused(spec: dict[str, Any], said: str) -> None:
    found = signatures.problem(deployed(**spec), ENFORCED)
    assert found.startswith(said)
    assert bool(found) is bool(said)
    assert signatures.problem(deployed(**spec), CONFIG) == "", "a warning refuses nothing"


def test_a_platform_may_allow_what_nobody_verifies() -> None:
    grant = FormatGrant(namespaces=["ml"], formats=["custom"])
    config = ENFORCED.model_copy(update={"allowed_formats": [*ENFORCED.allowed_formats, grant]})
    assert signatures.problem(deployed(runtime={"image": "ours"}), config) == ""
    assert signatures.problem(deployed("shop", runtime={"image": "ours"}), config)


def test_a_spec_that_names_no_signer() -> None:
    assert "names no signer" in signatures.problem(deployed(verify={"name": "digits"}), NOTHING)
    assert signatures.problem(deployed(verify={"name": "digits"}), CONFIG) == ""
    assert signatures.problem(deployed(verify={"mode": "Off"}), NOTHING) == ""


def test_a_spec_whose_image_carries_the_model() -> None:
    spec = {"model": {"uri": None}, "runtime": {"image": "ours"}}
    assert "nobody verifies it there" in signatures.problem(deployed(verify={"publicKeys": [OWN]}, **spec), NOTHING)


def test_a_revision_that_was_pinned_for_others_may_not_serve_again() -> None:
    rotated = OperatorConfig.model_validate(
        {"verification": [{"namespaces": ["*"], "mode": "Enforce", "publicKeys": [OWN]}]}
    )
    before, meanwhile = template(deployed(), NOTHING), template(deployed(verify={"publicKeys": [OWN]}), ENFORCED)
    assert "do not verify" in signatures.pinned_problem(before, "ml", ENFORCED)
    assert signatures.pinned_problem(before, "ml", CONFIG) == ""
    assert signatures.pinned_problem(meanwhile, "ml", ENFORCED) == ""
    assert "do not verify" in signatures.pinned_problem(meanwhile, "ml", rotated), "by the spec's own word only"


def test_a_revision_without_a_downloader_verifies_nothing() -> None:
    carried = template(deployed(model={"uri": None}, runtime={"image": "ours"}), NOTHING)
    assert signatures.pinned_problem(carried, "ml", ENFORCED)


def test_each_downloader_of_a_revision_verifies_and_a_container_of_its_runtime_need_not() -> None:
    beside = make_runtime(
        adapters={"each": ["--lora={{adapter.path}}"]},
        init_containers=[{"name": "storage-initializer-logs", "image": "example.com/logs:1"}],
    )
    pod = workload.new_revision(deployed(model=CLAIM), beside, ENFORCED, 1).template
    model, adapter, logs = pod["spec"]["initContainers"]
    assert [each["name"] for each in (model, adapter, logs)] == [
        "storage-initializer",
        "storage-initializer-0",
        "storage-initializer-logs",
    ]
    assert signatures.pinned_problem(pod, "ml", ENFORCED) == ""

    def refused(*containers: dict[str, Any]) -> bool:
        return bool(signatures.pinned_problem({"spec": {"initContainers": containers}}, "ml", ENFORCED))

    assert refused(model, {**adapter, "args": []})
    assert refused({**model, "args": []}, adapter)
    assert refused({**logs, "args": model["args"]}), "what fetches no model verifies none"


@pytest.mark.parametrize(
    "grant",
    [
        {"mode": "Enforce"},
        {"mode": "Warn", "identities": [IDENTITY]},
        {"mode": "Enforce", "trustedRoot": ROOT},
        {"mode": "Enforce", "trustedRoot": "[]", "identities": [IDENTITY]},
        {"mode": "Enforce", "trustedRoot": "{", "identities": [IDENTITY]},
        {"mode": "Enforce", "publicKeys": ["no key"]},
        {"mode": "Sometimes", "publicKeys": [KEY]},
    ],
)
def test_a_platform_that_names_nobody_is_told_so(grant: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        VerificationGrant.model_validate({"namespaces": ["*"], **grant})


def test_a_namespace_is_named_once() -> None:
    entry = {"namespaces": ["a", "b"], "mode": "Off"}
    with pytest.raises(ValueError, match="'b' is named twice"):
        OperatorConfig.model_validate({"verification": [entry, {"namespaces": ["b"], "mode": "Off"}]})
