"""LoRA adapters: fetched beside the model, each with its own keys, and told to the server in its own words."""

from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.reasons import Reason
from sluice_core.parsing import podproblems
from sluice_core.render import workload
from sluice_core.render.pod import adapters, placeholders, podtemplate
from sluice_core.situation import situation
from sluice_core.situation.situation import Blocked
from tests.support.cases import builders

REVISION = "digits-0123456789"
TEMPLATE = {
    "args": ["--enable-lora", "--max={{adapters.count}}"],
    "each": ["--lora", "{{adapter.name}}={{adapter.path}}"],
}
SQL = {"name": "Sql_1", "uri": "hf://acme/sql", "credentialsSecretRef": {"name": "hub"}}
CHAT = {"name": "chat", "uri": "s3://models/chat/2", "sha256": "0a" * 32, "credentialsSecretRef": {"name": "store"}}


def made(*wanted: dict[str, Any], **fields: Any) -> Any:
    return builders.make_model_deployment(model={"adapters": list(wanted)}, **fields)


def rendered(*wanted: dict[str, Any], config: OperatorConfig = builders.CONFIG, **fields: Any) -> dict[str, Any]:
    runtime = builders.make_runtime(adapters=TEMPLATE)
    template: dict[str, Any] = podtemplate.render_template(made(*wanted, **fields), runtime, config, REVISION)["spec"]
    return template


def after(flag: str, container: dict[str, Any]) -> str:
    return str(container["args"][container["args"].index(flag) + 1])


def test_an_init_container_fetches_each_adapter_with_its_own_keys_alone() -> None:
    model, first, second = rendered(SQL, CHAT)["initContainers"]
    names = [each["name"] for each in (model, first, second)]
    assert names == ["storage-initializer", "storage-initializer-0", "storage-initializer-1"]
    assert [after("--uri", each) for each in (model, first, second)] == [
        "s3://models/digits/1",
        SQL["uri"],
        CHAT["uri"],
    ]
    assert [after("--destination", each) for each in (model, first, second)] == [
        "/models",
        "/adapters/Sql_1",
        "/adapters/chat",
    ]
    assert [after("--layout", each) for each in (model, first, second)] == ["TritonRepository", "Plain", "Plain"]
    assert after("--sha256", second) == CHAT["sha256"]
    secrets = [
        {entry["valueFrom"]["secretKeyRef"]["name"] for entry in each["env"] if "valueFrom" in entry}
        for each in (model, first, second)
    ]
    assert secrets == [set(), {"hub"}, {"store"}]


def test_the_server_reads_them_and_is_told_in_the_runtimes_words_before_the_users() -> None:
    spec = rendered(SQL, CHAT, spec={"runtime": {"args": ["--mine"]}})
    server = spec["containers"][0]
    assert server["args"][-7:] == [
        "--enable-lora", "--max=2", "--lora", "Sql_1=/adapters/Sql_1", "--lora", "chat=/adapters/chat", "--mine",
    ]  # fmt: skip
    assert {"name": "adapters", "mountPath": "/adapters", "readOnly": True} in server["volumeMounts"]
    assert [volume["name"] for volume in spec["volumes"]].count("adapters") == 1
    assert all(
        {"name": "adapters", "mountPath": "/adapters"} in each["volumeMounts"] for each in spec["initContainers"][1:]
    )


def test_adapters_keep_to_what_the_platform_says_of_models() -> None:
    config = OperatorConfig.model_validate(
        {
            "storageInitializer": {
                "privateAddresses": False,
                "maximumModelSize": "8Gi",
                "cache": {"hostPath": "/var/cache/sluice"},
                "caBundle": {"configMap": "authorities"},
            }
        }
    )
    spec = rendered(SQL, config=config)
    model, adapter = spec["initContainers"]
    for each in (model, adapter):
        assert "--no-private-addresses" in each["args"]
        assert after("--maximum-bytes", each) == str(8 << 30)
        assert after("--namespace", each) == "ml"
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "adapters")
    assert volume["emptyDir"]["sizeLimit"] == "8Gi"


def test_a_claim_is_one_volume_whatever_is_taken_from_it() -> None:
    """Two volumes of one claim keep some kubelets from starting a pod."""
    one, two = {"name": "a", "uri": "pvc://models/a"}, {"name": "b", "uri": "pvc://models/b/1"}
    other = {"name": "c", "uri": "pvc://others"}
    spec = rendered(one, two, other, uri="pvc://models/base")
    claims = {
        v["name"]: v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v
    }
    assert claims == {"source": "models", "source-2": "others"}
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["/mnt/model/base"]["name"] == mounts["/mnt/adapters/a/a"]["name"] == "source"
    assert mounts["/mnt/adapters/b/b/1"]["subPath"] == "b/1"
    assert mounts["/mnt/adapters/c"]["name"] == "source-2"
    assert [after("--mount", each) for each in spec["initContainers"][1:]] == [
        "/mnt/adapters/a", "/mnt/adapters/b", "/mnt/adapters/c",
    ]  # fmt: skip


def test_adapters_in_images_are_mounted_and_pulled_with_their_secrets() -> None:
    config = OperatorConfig.model_validate({"storageInitializer": {"imageVolumes": True}})
    image = {"name": "a", "uri": "oci://ghcr.io/acme/a:1", "credentialsSecretRef": {"name": "registry"}}
    spec = rendered(image, image | {"name": "b"}, config=config)
    assert [volume["image"]["reference"] for volume in spec["volumes"] if "image" in volume] == ["ghcr.io/acme/a:1"] * 2
    assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_without_adapters_nothing_is_added() -> None:
    spec, plain = (
        rendered(),
        podtemplate.render_template(
            builders.make_model_deployment(), builders.make_runtime(), builders.CONFIG, REVISION
        )["spec"],
    )
    assert spec == plain
    assert workload.input_hash(made()) == workload.input_hash(builders.make_model_deployment())


@pytest.mark.parametrize("change", [{"uri": "hf://acme/sql@v2"}, {"name": "other"}, {"sha256": "1b" * 32}])
def test_a_changed_adapter_is_another_revision(change: dict[str, str]) -> None:
    assert workload.input_hash(made(SQL)) != workload.input_hash(made(SQL | change))


def test_a_runtime_that_does_not_say_how_refuses_them() -> None:
    said = r"^spec\.model\.adapters: ServingRuntime 'triton' does not say how .* add spec\.adapters to this one$"
    with pytest.raises(adapters.AdaptersNotSupported, match=said):
        podtemplate.render_template(made(SQL), builders.make_runtime(), builders.CONFIG, REVISION)
    found = situation.rendered(made(SQL), [builders.make_runtime()], builders.CONFIG, 1)
    assert isinstance(found, Blocked)
    assert found.reason is Reason.ADAPTERS_NOT_SUPPORTED


def test_an_adapter_of_the_models_name_is_refused() -> None:
    with pytest.raises(adapters.AdaptersNotSupported, match="'digits' is the name of the model"):
        rendered(SQL | {"name": "digits"})


def test_the_scheme_of_an_adapter_is_looked_at_like_the_models() -> None:
    runtime = builders.make_runtime(adapters=TEMPLATE)
    found = situation.rendered(made(SQL | {"uri": "ftp://models/1"}), [runtime], builders.CONFIG, 1)
    assert isinstance(found, Blocked)
    assert (found.reason, found.message[:49]) == (
        Reason.UNSUPPORTED_SCHEME,
        "spec.model.adapters[0].uri: scheme 'ftp' is not s",
    )


def test_a_placeholder_that_does_not_exist_is_named() -> None:
    runtime = builders.make_runtime(adapters={"each": ["{{adapter.file}}"]})
    with pytest.raises(placeholders.UnknownPlaceholder, match=r"^spec\.adapters\.each\[0\]: unknown placeholder"):
        podtemplate.render_template(made(SQL), runtime, builders.CONFIG, REVISION)


def pod(*statuses: dict[str, Any], **config: Any) -> dict[str, Any]:
    settings = OperatorConfig.model_validate({"storageInitializer": config})
    spec = rendered(SQL | {"uri": "oci://ghcr.io/acme/a:1"}, CHAT, config=settings)
    status = {"phase": "Pending", "initContainerStatuses": list(statuses), "containerStatuses": []}
    return {"metadata": {"name": "digits-1"}, "spec": spec, "status": status}


def failed(container: str, message: str, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    return {"name": container, "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


@pytest.mark.parametrize(
    ("found", "reason", "names"),
    [
        (
            pod(failed("storage-initializer-1", "ObjectNotFound: s3://models/chat/2 does not exist; check spec.model.uri")),
            "ObjectNotFound",
            "check spec.model.adapters[1].uri",
        ),
        (
            pod(failed("storage-initializer-1", "AccessDenied: no")),
            "AccessDenied",
            "Secret of spec.model.adapters[1].credentialsSecretRef",
        ),
        (pod(failed("storage-initializer-0", "Traceback: boom")), "ModelDownloadFailed", "spec.model.adapters[0] could not be"),
        (pod(failed("storage-initializer-0", "", "OOMKilled", 137)), "OOMKilled", "raise storageInitializer.resources"),
        (
            pod({"name": "storage-initializer-1", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "store" not found'}}}),
            "CredentialsNotFound",
            "create the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or correct spec.model.adapters[1].cred",
        ),
        (
            pod({"name": "storage-initializer", "state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "ghcr.io/acme/a:1"'}}}, imageVolumes=True),
            "ImagePullBackOff",
            "check spec.model.adapters[0].uri, the registry",
        ),
    ],
)  # fmt: skip
def test_what_keeps_an_adapter_from_loading_names_its_field(found: dict[str, Any], reason: str, names: str) -> None:
    problem = podproblems.problem(found, builders.NOW)
    assert problem is not None
    assert problem.reason == reason
    assert names in problem.message


@pytest.mark.parametrize(("protocol", "want"), [("OpenAI", ["--adapter", "Sql_1", "--adapter", "chat"]), ("V2", [])])
def test_the_warm_up_knows_the_adapters_where_requests_name_a_model(protocol: str, want: list[str]) -> None:
    runtime = builders.make_runtime(adapters=TEMPLATE, protocols=[protocol])
    deployment = made(SQL, CHAT, spec={"warmup": {}})
    containers = podtemplate.render_template(deployment, runtime, builders.CONFIG, REVISION)["spec"]["containers"]
    args = containers[-1]["args"]
    assert args[args.index("--adapter") :] == want if want else "--adapter" not in args
