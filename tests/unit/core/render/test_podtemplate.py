"""The pod of a revision: downloader, model server, what the user adds, and the restricted security standard."""

from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig
from sluice_core.render.jobs import variantjob
from sluice_core.render.pod import placeholders, podtemplate, tuning, warmup
from tests.support.cases import builders

REVISION = "digits-0123456789"


def render(runtime: Any = None, **deployment: Any) -> dict[str, Any]:
    model = builders.make_model_deployment(**deployment)
    return podtemplate.render_template(model, runtime or builders.make_runtime(), builders.CONFIG, REVISION)


def server(**arguments: Any) -> dict[str, Any]:
    container: dict[str, Any] = render(**arguments)["spec"]["containers"][0]
    return container


def downloader(**arguments: Any) -> dict[str, Any]:
    container: dict[str, Any] = render(**arguments)["spec"]["initContainers"][0]
    return container


def test_the_downloader_knows_what_to_fetch_and_how_to_lay_it_out() -> None:
    container = downloader(model={"name": "Digits_1"})
    assert container["name"] == "storage-initializer"
    assert container["args"] == [
        "--uri", "s3://models/digits/1",
        "--layout", "TritonRepository",
        "--model-name", "Digits_1",
        "--destination", "/models",
    ]  # fmt: skip
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert {"name": "models", "mountPath": "/models"} in container["volumeMounts"]


def test_the_downloader_comes_from_the_operators_configuration() -> None:
    config = OperatorConfig.model_validate(
        {
            "storageInitializer": {
                "image": "example.com/get:1",
                "imagePullPolicy": "Never",
                "resources": {"limits": {"cpu": "2"}},
            }
        }
    )
    template = podtemplate.render_template(builders.make_model_deployment(), builders.make_runtime(), config, REVISION)
    container = template["spec"]["initContainers"][0]
    assert (container["image"], container["imagePullPolicy"]) == ("example.com/get:1", "Never")
    assert container["resources"]["limits"] == {"cpu": "2"}


def test_the_downloader_is_told_whose_files_to_take_from_a_repository() -> None:
    for uri in ("hf://acme/digits", "oci://registry.example/acme/digits:1"):
        assert {"name": "SLUICE_READ_BY", "value": "onnx"} in downloader(uri=uri)["env"]
    assert downloader()["env"] == []


def test_the_kubelet_does_not_expand_variables_in_a_uri() -> None:
    assert downloader(uri="s3://models/$(AWS_SECRET_ACCESS_KEY)")["args"][1] == "s3://models/$$(AWS_SECRET_ACCESS_KEY)"


CREDENTIALS = {
    "s3://models/digits/1": {
        "AWS_ACCESS_KEY_ID": False,
        "AWS_SECRET_ACCESS_KEY": False,
        "AWS_ENDPOINT_URL": True,
        "AWS_DEFAULT_REGION": True,
        "AWS_SESSION_TOKEN": True,
    },
    "gs://models/digits/1": {"GOOGLE_APPLICATION_CREDENTIALS_JSON": True, "STORAGE_EMULATOR_HOST": True},
    "azblob://models/digits/1": {
        "AZURE_STORAGE_ACCOUNT": False,
        "AZURE_STORAGE_KEY": True,
        "AZURE_STORAGE_SAS_TOKEN": True,
        "AZURE_STORAGE_CONNECTION_STRING": True,
        "AZURE_STORAGE_ENDPOINT": True,
    },
    "hf://acme/digits": {"HF_TOKEN": True, "HF_ENDPOINT": True},
    "oci://ghcr.io/acme/digits:3": {".dockerconfigjson": False},
    "https://example.com/model.onnx": {"HTTP_AUTHORIZATION": False},
    "http://files.ml.svc/model.onnx": {"HTTP_AUTHORIZATION": False},
}


@pytest.mark.parametrize("uri", CREDENTIALS)
def test_credentials_are_passed_key_by_key(uri: str) -> None:
    env = downloader(uri=uri, model={"credentialsSecretRef": {"name": "models-key"}})["env"]
    references = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in env if "valueFrom" in entry}
    assert {entry["key"]: entry.get("optional", False) for entry in references.values()} == CREDENTIALS[uri]
    assert all(reference["name"] == "models-key" for reference in references.values())
    assert all(reference["key"] in (name, ".dockerconfigjson") for name, reference in references.items())


def test_a_claim_is_mounted_read_only_and_the_server_sees_no_more_than_its_model() -> None:
    spec = render(uri="pvc://models/digits/1/")["spec"]
    assert spec["volumes"][-1] == {"name": "source", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    whole = {"name": "source", "mountPath": "/mnt/model", "readOnly": True}
    part = {"name": "source", "mountPath": "/mnt/model/digits/1", "subPath": "digits/1", "readOnly": True}
    assert spec["initContainers"][0]["volumeMounts"][-1] == whole
    assert spec["initContainers"][0]["args"][-2:] == ["--mount", "/mnt/model"]
    assert spec["containers"][0]["volumeMounts"][-1] == part
    assert render(uri="pvc://models")["spec"]["containers"][0]["volumeMounts"][-1] == whole


DIGITS_IMAGE = "oci://registry.ml.svc:5000/digits:3"


def test_an_image_is_pulled_by_the_downloader() -> None:
    config = OperatorConfig.model_validate({"storageInitializer": {"plainHttpRegistries": ["registry.ml.svc:5000"]}})
    model = builders.make_model_deployment(uri=DIGITS_IMAGE, model={"credentialsSecretRef": {"name": "pull"}})
    spec = podtemplate.render_template(model, builders.make_runtime(), config, REVISION)["spec"]
    container = spec["initContainers"][0]
    assert container["args"][-1] == "--plain-http"
    assert [entry["name"] for entry in container["env"]] == ["DOCKER_CONFIG_JSON", "SLUICE_READ_BY"]
    assert "imagePullSecrets" not in spec
    assert "--plain-http" not in downloader(uri=DIGITS_IMAGE)["args"]


def test_an_image_volume_is_pulled_by_the_node_and_linked() -> None:
    config = OperatorConfig.model_validate({"storageInitializer": {"imageVolumes": True}})
    model = builders.make_model_deployment(
        uri=DIGITS_IMAGE,
        model={"credentialsSecretRef": {"name": "pull"}},
        spec={"imagePullSecrets": [{"name": "servers"}]},
    )
    spec = podtemplate.render_template(model, builders.make_runtime(), config, REVISION)["spec"]
    image = {"reference": "registry.ml.svc:5000/digits:3", "pullPolicy": "IfNotPresent"}
    assert spec["volumes"][-1] == {"name": "source", "image": image}
    mount = {"name": "source", "mountPath": "/mnt/model", "readOnly": True}
    assert spec["initContainers"][0]["volumeMounts"][-1] == mount
    assert spec["containers"][0]["volumeMounts"][-1] == mount
    assert spec["initContainers"][0]["args"][-2:] == ["--mount", "/mnt/model"]
    assert spec["initContainers"][0]["env"] == []
    assert spec["imagePullSecrets"] == [{"name": "servers"}, {"name": "pull"}]
    other = podtemplate.render_template(builders.make_model_deployment(), builders.make_runtime(), config, REVISION)
    assert {volume["name"] for volume in other["spec"]["volumes"]} == {"models", "tmp", "shm"}


CACHES = {
    "hostPath": (
        {"hostPath": "/var/cache/models"},
        {"hostPath": {"path": "/var/cache/models", "type": "DirectoryOrCreate"}},
    ),
    "claim": ({"persistentVolumeClaim": "models"}, {"persistentVolumeClaim": {"claimName": "models"}}),
}


@pytest.mark.parametrize(("given", "volume"), CACHES.values(), ids=CACHES)
def test_the_nodes_cache_is_the_downloaders_alone(given: dict[str, str], volume: dict[str, Any]) -> None:
    config = OperatorConfig.model_validate({"storageInitializer": {"cache": {**given, "maximumSize": "2Gi"}}})

    def spec(uri: str) -> dict[str, Any]:
        model = builders.make_model_deployment(uri=uri)
        return podtemplate.render_template(model, builders.make_runtime(), config, REVISION)["spec"]

    cached = spec("s3://models/digits/1")
    assert cached["volumes"][-1] == {"name": "cache", **volume}
    container = cached["initContainers"][0]
    assert container["volumeMounts"][-1] == {"name": "cache", "mountPath": "/var/cache/sluice"}
    assert container["args"][-8:] == [
        "--namespace", "ml",
        "--cache", "/var/cache/sluice",
        "--cache-bytes", str(2 << 30),
        "--cache-reserve-percent", "15",
    ]  # fmt: skip
    assert "cache" not in str(cached["containers"])
    assert "cache" not in str(spec("pvc://models/digits/1"))


def test_what_models_may_take_and_where_they_may_come_from() -> None:
    def spec(**settings: Any) -> Any:
        config = OperatorConfig.model_validate({"storageInitializer": settings})
        deployment = builders.make_model_deployment()
        return podtemplate.render_template(deployment, builders.make_runtime(), config, REVISION)["spec"]

    def limits(pod: Any) -> dict[str, str]:
        return {volume["name"]: volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if volume["name"] != "shm"}

    assert limits(spec()) == {"models": "256Gi", "tmp": "256Gi"}
    assert spec()["initContainers"][0]["args"][-2:] == ["--destination", "/models"]
    settings = {"maximumModelSize": "2Gi", "allowedAddresses": ["10.1.0.0/16", "::1"], "privateAddresses": False}
    pod = spec(**settings)
    assert limits(pod) == {"models": "2Gi", "tmp": "2Gi"}
    assert pod["initContainers"][0]["args"][-7:] == [
        "--maximum-bytes", str(2 << 30),
        "--allow-addresses", "10.1.0.0/16",
        "--allow-addresses", "::1/128",
        "--no-private-addresses",
    ]  # fmt: skip


CONNECTED = {
    "caBundle": {"configMap": "authorities"},
    "proxy": {"https": "http://proxy.example:3128", "exceptions": [".svc", "10.0.0.0/8"]},
    "imageVolumes": True,
}


@pytest.mark.parametrize("uri", ["s3://models/digits/1", "https://store.example/m.onnx"])
def test_own_certificates_and_a_proxy(uri: str) -> None:
    config = OperatorConfig.model_validate({"storageInitializer": CONNECTED})
    model = builders.make_model_deployment(uri=uri, model={"credentialsSecretRef": {"name": "keys"}})
    spec = podtemplate.render_template(model, builders.make_runtime(), config, REVISION)["spec"]
    volume = {"name": "certificates", "configMap": {"name": "authorities", "optional": True}}
    assert spec["volumes"][-1] == volume
    container = spec["initContainers"][0]
    mount = {"name": "certificates", "mountPath": "/etc/sluice/certificates", "readOnly": True}
    assert container["volumeMounts"][-1] == mount
    assert container["args"][-2:] == ["--ca-bundle", "/etc/sluice/certificates/ca.crt"]
    assert container["env"][-2:] == [
        {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"},
        {"name": "NO_PROXY", "value": ".svc,10.0.0.0/8"},
    ]
    assert "certificates" not in str(spec["containers"])


def test_a_variants_job_connects_as_the_downloader_does() -> None:
    config = OperatorConfig.model_validate(
        {"storageInitializer": {**CONNECTED, "allowedAddresses": ["10.1.0.0/16"], "maximumModelSize": "2Gi"}}
    )
    model = builders.make_model_deployment(
        spec={"variants": [{"name": "small", "optimize": {"quantization": "Int8Dynamic"}}]}
    )
    pod = variantjob.desired_job(model, model.spec.variants[0], config)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    connected = ["--ca-bundle", "/etc/sluice/certificates/ca.crt", "--allow-addresses", "10.1.0.0/16"]
    assert container["args"][-4:] == connected
    assert [entry["name"] for entry in container["env"]] == ["HTTPS_PROXY", "NO_PROXY"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["tmp", "certificates"]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "certificates"]
    assert pod["volumes"][0]["emptyDir"] == {"sizeLimit": "2Gi"}


@pytest.mark.parametrize("uri", ["pvc://models/digits/1", "oci://r/digits:1", None])
def test_what_fetches_nothing_needs_no_certificates(uri: str | None) -> None:
    config = OperatorConfig.model_validate({"storageInitializer": {**CONNECTED, "cache": {"hostPath": "/c"}}})
    own = {"runtime": {"image": "registry.example.com/team/digits:3"}} if uri is None else {}
    model = builders.make_model_deployment(model={"uri": uri}, spec=own)
    spec = podtemplate.render_template(model, builders.make_runtime(), config, REVISION)["spec"]
    assert not {"certificates", "cache"} & {volume["name"] for volume in spec["volumes"]}
    assert "PROXY" not in str(spec)


@pytest.mark.parametrize("network", ["10.1.0.0/33", "10.1.2.3/16", "store.svc", ""])
def test_an_allowed_network_is_one(network: str) -> None:
    with pytest.raises(ValueError, match=r"allowedAddresses\.0"):
        OperatorConfig.model_validate({"storageInitializer": {"allowedAddresses": [network]}})


@pytest.mark.parametrize("cache", [{}, {"hostPath": "/a", "persistentVolumeClaim": "b"}, {"hostPath": "relative"}])
def test_a_cache_has_one_place(cache: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"exactly one of hostPath and persistentVolumeClaim|should match pattern"):
        OperatorConfig.model_validate({"storageInitializer": {"cache": cache}})


def test_the_checksum_reaches_the_downloader() -> None:
    assert downloader(model={"sha256": "0a" * 32})["args"][-2:] == ["--sha256", "0a" * 32]


def test_the_model_server_never_sees_the_credentials() -> None:
    assert "models-s3" not in str(server(model={"credentialsSecretRef": {"name": "models-s3"}}))


def test_placeholders_are_filled_in_at_every_depth() -> None:
    container = server(runtime=builders.make_runtime(containers=[
        builders.make_container(env=[{"name": "A", "value": "{{ model.name }}/{{revision}}"}]),
    ]))  # fmt: skip
    assert container["args"] == ["tritonserver", "--model-repository=/models", "--load-model=digits"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/models/digits/ready", "port": 8000}
    assert container["env"] == [{"name": "A", "value": f"digits/{REVISION}"}]


@pytest.mark.parametrize(
    ("container", "path", "placeholder"),
    [
        ({"args": ["ok", "{{model.uri}}"]}, "spec.containers[0].args[1]", "model.uri"),
        ({"env": [{"name": "A", "value": "x{{}}y"}]}, "spec.containers[0].env[0].value", ""),
        ({"readinessProbe": {"httpGet": {"path": "/{{accelerator.memory}}"}}},
         "spec.containers[0].readinessProbe.httpGet.path", "accelerator.memory"),
    ],
)  # fmt: skip
def test_an_unknown_placeholder_is_refused_with_its_place(
    container: dict[str, Any], path: str, placeholder: str
) -> None:
    runtime = builders.make_runtime(containers=[builders.make_container(**container)])
    with pytest.raises(placeholders.UnknownPlaceholder) as refused:
        render(runtime=runtime)
    assert (refused.value.path, refused.value.placeholder) == (path, placeholder)
    assert (
        "{{accelerator.count}}, {{accelerator.shards}}, {{drain.seconds}}, {{model.name}}, {{model.path}}, {{port}}, "
        "{{revision}}"
    ) in str(refused.value)


def test_the_users_strings_are_taken_literally() -> None:
    container = server(spec={"runtime": {"args": ["--chat-template={{ messages }}"]}})
    assert container["args"][-1] == "--chat-template={{ messages }}"


def test_a_filled_in_value_is_not_looked_at_again() -> None:
    assert placeholders.filled("{{a}}", {"a": "{{b}}", "b": "x"}, "f") == "{{b}}"


def test_the_user_adds_to_the_first_container_only() -> None:
    runtime = builders.make_runtime(containers=[
        builders.make_container(
            env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            resources={"requests": {"cpu": "4"}, "limits": {"memory": "8Gi"}},
        ),
        {"name": "sidecar", "image": "example.com/sidecar:1"},
    ])  # fmt: skip
    spec = {
        "runtime": {"args": ["--log-verbose=1"], "env": [{"name": "A", "value": "3"}, {"name": "C", "value": "4"}]},
        "resources": {"requests": {"cpu": "1"}},
    }
    first, sidecar = render(runtime=runtime, spec=spec)["spec"]["containers"]
    assert first["args"][-2:] == ["--load-model=digits", "--log-verbose=1"]
    assert [(entry["name"], entry["value"]) for entry in first["env"]] == [("A", "3"), ("B", "2"), ("C", "4")]
    assert first["resources"] == {"requests": {"cpu": "1"}}
    assert not {"args", "env", "resources"} & sidecar.keys()


@pytest.mark.parametrize(
    ("pre_stop", "drain", "lifecycle", "grace"),
    [
        (5, 30, {"preStop": {"sleep": {"seconds": 5}}}, 40),
        (0, 60, None, 65),
        (12, 1, {"preStop": {"sleep": {"seconds": 12}}}, 18),
    ],
)
def test_a_pod_leaves_without_losing_a_request(pre_stop: int, drain: int, lifecycle: object, grace: int) -> None:
    template = render(runtime=builders.make_runtime(drain={"preStopSeconds": pre_stop}), spec={"drainSeconds": drain})
    assert template["spec"]["containers"][0].get("lifecycle") == lifecycle
    assert template["spec"]["terminationGracePeriodSeconds"] == grace


def test_a_server_that_cuts_requests_is_told_to_stop_when_they_are_over() -> None:
    runtime = builders.make_runtime(drain={"preStopSeconds": 5, "onSignal": "Cuts"})
    pod = render(runtime=runtime, spec={"drainSeconds": 30})["spec"]
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 35}}}
    assert pod["terminationGracePeriodSeconds"] == 40


def test_the_pod_keeps_to_the_restricted_standard() -> None:
    runtime = builders.make_runtime(containers=[builders.make_container(), {"name": "sidecar", "image": "x"}])
    spec = render(runtime=runtime)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_runtime_may_say_more_about_its_container() -> None:
    container = server(runtime=builders.make_runtime(containers=[builders.make_container(
        securityContext={"runAsUser": 1000, "readOnlyRootFilesystem": True},
        lifecycle={"preStop": {"exec": {"command": ["/drain"]}}},
        volumeMounts=[{"name": "models", "mountPath": "/models", "subPath": "a"}],
    )]))  # fmt: skip
    assert container["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["lifecycle"] == {"preStop": {"exec": {"command": ["/drain"]}}}
    assert sorted(mount["mountPath"] for mount in container["volumeMounts"]) == ["/dev/shm", "/models", "/tmp"]


def test_every_mount_has_its_volume() -> None:
    spec = render()["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounts = {
        mount["name"] for part in ("initContainers", "containers") for c in spec[part] for mount in c["volumeMounts"]
    }
    assert mounts == volumes


def test_metrics_are_announced_and_the_users_annotations_win() -> None:
    runtime = builders.make_runtime(metrics={"port": 8002})
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": "8002", "prometheus.io/path": "/metrics"}
    assert render()["metadata"]["annotations"] == {}
    assert render(runtime=runtime)["metadata"]["annotations"] == scrape
    own = {"prometheus.io/scrape": "false", "team": "vision"}
    assert render(runtime=runtime, spec={"podAnnotations": own})["metadata"]["annotations"] == {**scrape, **own}


def test_pod_fields_are_passed_on() -> None:
    fields = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"x": []}},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "models",
    }
    assert fields.items() <= render(spec=fields)["spec"].items()
    assert not fields.keys() & render()["spec"].keys()


def test_pods_are_spread_but_never_held_back() -> None:
    constraints = render()["spec"]["topologySpreadConstraints"]
    assert {constraint["whenUnsatisfiable"] for constraint in constraints} == {"ScheduleAnyway"}
    assert all(c["labelSelector"]["matchLabels"] == {"sluice.dev/revision": REVISION} for c in constraints)


def own_image(uri: str | None = "s3://models/digits/1", **runtime: Any) -> dict[str, Any]:
    """The pod of a model on an image of the user's own."""
    container = builders.make_container(
        env=[{"name": "PORT", "value": "{{port}}"}],
        ports=[{"name": "http", "containerPort": 8000}, {"name": "other", "containerPort": 9000}],
        startupProbe={"httpGet": {"path": "/ready", "port": 8000}},
        readinessProbe={"httpGet": {"path": "/ready", "port": 8000}},
        livenessProbe={"tcpSocket": {"port": 8000}},
    )
    server = builders.make_runtime(formats=["custom"], containers=[container], metrics={"port": 8000})
    model = builders.make_model_deployment(
        model={"format": "custom", "uri": uri},
        spec={"runtime": {"image": "registry.example.com/team/digits:3", **runtime}},
    )
    return podtemplate.render_template(model, server, builders.CONFIG, REVISION)


def test_an_image_of_the_users_own_listens_where_it_likes_and_is_asked_there() -> None:
    pod = own_image(port=5000, readinessPath="/health/model")
    container = pod["spec"]["containers"][0]
    assert container["image"] == "registry.example.com/team/digits:3"
    assert [port["containerPort"] for port in container["ports"]] == [5000, 9000]
    assert container["env"] == [{"name": "PORT", "value": "5000"}]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health/model", "port": 5000}
    assert container["livenessProbe"]["tcpSocket"] == {"port": 5000}
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "5000"


def test_an_image_of_the_users_own_is_otherwise_the_runtimes() -> None:
    container = own_image()["spec"]["containers"][0]
    assert container["ports"][0]["containerPort"] == 8000
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 8000}
    assert container["env"] == [{"name": "PORT", "value": "8000"}]


def test_the_server_is_told_what_it_must_know_of_the_format() -> None:
    runtime = builders.make_runtime(containers=[builders.make_container(env=[{"name": "A", "value": "1"}])])
    formats = [{"name": name, "env": [{"name": "LIBRARY", "value": name}]} for name in ("onnx", "sklearn")]
    spec = runtime.spec.model_validate({**runtime.spec.to_wire(), "formats": formats})
    container = server(
        runtime=runtime.model_copy(update={"spec": spec}),
        model={"format": "sklearn"},
        spec={"runtime": {"env": [{"name": "A", "value": "2"}]}},
    )
    assert container["env"] == [{"name": "A", "value": "2"}, {"name": "LIBRARY", "value": "sklearn"}]


BATCHING = {"batching": {"maximumBatchSize": 16, "maximumQueueDelayMicroseconds": 1500}}


def test_batching_is_said_to_the_downloader_and_by_the_runtimes_template_to_the_server() -> None:
    template = [
        {"name": "SIZE", "value": "{{batching.maximumBatchSize}}"},
        {"name": "WAIT", "value": "{{batching.maximumQueueDelaySeconds}}"},
    ]
    runtime = builders.make_runtime(batching={"env": template})
    pod = render(runtime=runtime, spec={"runtime": BATCHING})["spec"]
    assert pod["containers"][0]["env"] == [{"name": "SIZE", "value": "16"}, {"name": "WAIT", "value": "0.001500"}]
    assert pod["initContainers"][0]["env"] == [
        {"name": "SLUICE_MAXIMUM_BATCH_SIZE", "value": "16"},
        {"name": "SLUICE_MAXIMUM_QUEUE_DELAY_MICROSECONDS", "value": "1500"},
    ]
    plain = render(runtime=runtime)["spec"]
    assert "env" not in plain["containers"][0]
    assert plain["initContainers"][0]["env"] == []


def test_batching_is_refused_where_the_runtime_does_not_say_how() -> None:
    with pytest.raises(podtemplate.BatchingNotSupported, match=r"spec.runtime.batching: ServingRuntime 'triton'"):
        render(spec={"runtime": BATCHING})


TUNING = {"instances": 2, "threads": 4, "tensorRT": {"precision": "FP32", "maximumWorkspaceMebibytes": 64}}


def tuned(name: str) -> dict[str, Any]:
    """A spec that asks for one of them."""
    return {"runtime": {name: TUNING[name]}, "accelerator": {"resource": "nvidia.com/gpu"}}


@pytest.mark.parametrize(
    ("name", "template", "server_env", "downloader_env"),
    [
        ("instances", "{{instances}}", ["2"], {"SLUICE_INSTANCES": "2"}),
        ("threads", "{{threads}}", ["4"], {"SLUICE_THREADS": "4"}),
        (
            "tensorRT",
            "{{tensorRT.precision}} {{tensorRT.maximumWorkspaceMebibytes}}",
            ["FP32 64"],
            {"SLUICE_TENSORRT_PRECISION": "FP32", "SLUICE_TENSORRT_WORKSPACE_MEBIBYTES": "64"},
        ),
        ("threads", None, [], {"SLUICE_THREADS": "4"}),
    ],
)
def test_tuning_is_said_to_the_downloader_and_by_the_runtimes_template_to_the_server(
    name: str, template: str | None, server_env: list[str], downloader_env: dict[str, str]
) -> None:
    env = [{"name": "OWN", "value": template}] if template is not None else []
    runtime = builders.make_runtime(**{name: {"env": env}})
    pod = render(runtime=runtime, spec=tuned(name))["spec"]
    assert [entry["value"] for entry in pod["containers"][0].get("env", ())] == server_env
    assert {entry["name"]: entry["value"] for entry in pod["initContainers"][0]["env"]} == downloader_env
    plain = render(runtime=runtime)["spec"]
    assert "env" not in plain["containers"][0]
    assert plain["initContainers"][0]["env"] == []


def test_the_users_own_variable_is_the_last_word_on_threads() -> None:
    runtime = builders.make_runtime(threads={"env": [{"name": "OMP_NUM_THREADS", "value": "{{threads}}"}]})
    wanted = {"threads": 4, "env": [{"name": "OMP_NUM_THREADS", "value": "1"}]}
    assert server(runtime=runtime, spec={"runtime": wanted})["env"] == [{"name": "OMP_NUM_THREADS", "value": "1"}]


@pytest.mark.parametrize("name", TUNING)
def test_tuning_is_refused_where_the_runtime_does_not_say_how(name: str) -> None:
    said = rf"^spec\.runtime\.{name}: ServingRuntime 'triton' .*, or add spec\.{name} to the runtime$"
    with pytest.raises(tuning.TuningNotSupported, match=said):
        render(spec=tuned(name))


def test_nothing_is_fetched_where_the_image_carries_the_model() -> None:
    assert "initContainers" in own_image()["spec"]
    assert "initContainers" not in own_image(uri=None)["spec"]


L4 = {
    "name": "nvidia-l4",
    "resource": "nvidia.com/gpu",
    "nodeSelector": {"gpu": "l4", "pool": "shared"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "runtimeClassName": "nvidia",
}


def render_accelerated(accelerator: dict[str, Any], runtime: Any = None, **spec: Any) -> dict[str, Any]:
    config = OperatorConfig.model_validate(
        {"acceleratorProfiles": [L4, {"name": "mig", "resource": "nvidia.com/mig-1"}]}
    )
    model = builders.make_model_deployment(spec={"accelerator": accelerator, **spec})
    return podtemplate.render_template(model, runtime or builders.make_runtime(), config, REVISION)


def test_a_profile_says_what_the_pods_need_for_their_devices() -> None:
    spec = render_accelerated({"profile": "nvidia-l4", "count": 2})["spec"]
    assert spec["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": "2"}}
    assert spec["nodeSelector"] == L4["nodeSelector"]
    assert spec["tolerations"] == L4["tolerations"]
    assert spec["runtimeClassName"] == "nvidia"
    assert "nvidia.com/gpu" not in str(spec["initContainers"])


def test_a_bare_resource_needs_nothing_else() -> None:
    spec = render_accelerated({"resource": "nvidia.com/mig-1g.10gb"})["spec"]
    assert spec["containers"][0]["resources"] == {"limits": {"nvidia.com/mig-1g.10gb": "1"}}
    assert not {"nodeSelector", "tolerations", "runtimeClassName"} & spec.keys()


def test_devices_come_beside_the_users_fields() -> None:
    spec = render_accelerated(
        {"profile": "nvidia-l4"},
        resources={"requests": {"cpu": "1", "nvidia.com/gpu": "4"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": "4"}},
        nodeSelector={"pool": "mine", "zone": "a"},
        tolerations=[{"key": "batch", "operator": "Exists"}],
    )["spec"]
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "1", "nvidia.com/gpu": "1"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "1"},
    }
    assert spec["nodeSelector"] == {"gpu": "l4", "pool": "mine", "zone": "a"}
    assert [toleration["key"] for toleration in spec["tolerations"]] == ["nvidia.com/gpu", "batch"]


@pytest.mark.parametrize(
    ("accelerator", "count", "shards"), [(None, "0", "1"), ({"resource": "nvidia.com/gpu", "count": 4}, "4", "4")]
)
def test_the_server_may_be_told_how_many_devices_it_has(
    accelerator: dict[str, Any] | None, count: str, shards: str
) -> None:
    arguments = ["--devices={{accelerator.count}}", "--tensor-parallel={{accelerator.shards}}"]
    runtime = builders.make_runtime(containers=[builders.make_container(args=arguments)])
    spec = {"accelerator": accelerator} if accelerator else {}
    assert server(runtime=runtime, spec=spec)["args"] == [f"--devices={count}", f"--tensor-parallel={shards}"]


def test_the_server_may_be_told_how_long_it_has_for_requests_in_flight() -> None:
    runtime = builders.make_runtime(containers=[builders.make_container(args=["--shutdown={{drain.seconds}}"])])
    assert server(runtime=runtime)["args"] == ["--shutdown=30"]
    assert server(runtime=runtime, spec={"drainSeconds": 120})["args"] == ["--shutdown=120"]


@pytest.mark.parametrize(("profiles", "known"), [([L4], "nvidia-l4"), ([], "none")])
def test_an_unknown_profile_is_refused_with_those_that_there_are(profiles: list[Any], known: str) -> None:
    config = OperatorConfig.model_validate({"acceleratorProfiles": profiles})
    model = builders.make_model_deployment(spec={"accelerator": {"profile": "tpu"}})
    with pytest.raises(podtemplate.UnknownProfile) as refused:
        podtemplate.render_template(model, builders.make_runtime(), config, REVISION)
    assert str(refused.value).startswith(
        f"spec.accelerator.profile: there is no accelerator profile 'tpu'; available: {known}; "
    )


def warm_up(**wanted: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod, and its last container."""
    runtime = builders.make_runtime(
        containers=[
            {"name": "triton", "image": "t", "readinessProbe": {"httpGet": {"path": "/v2/{{model.name}}", "port": 1}}}
        ]
    )
    pod: dict[str, Any] = render(runtime, spec={"warmup": wanted})["spec"]
    return pod, pod["containers"][-1]


def test_no_warm_up_unless_it_is_asked_for() -> None:
    assert [container["name"] for container in render()["spec"]["containers"]] == ["triton"]


def test_the_warm_up_stands_beside_the_server_and_its_readiness_is_the_pods() -> None:
    pod, container = warm_up(requests=50, maximumLatencyMillis=200)
    assert [each["name"] for each in pod["containers"]] == ["triton", "warm-up"], "the server stays the first"
    assert container["image"] == builders.CONFIG.storage_initializer.image
    assert container["args"] == [
        "--protocol", "V2",
        "--port", "8000",
        "--model", "digits",
        "--ready-path", "/v2/digits",
        "--ready-port", "18099",
        "--requests", "50",
        "--maximum-latency-millis", "200",
    ]  # fmt: skip
    assert container["readinessProbe"]["httpGet"]["port"] == 18099
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_warm_up_asks_where_an_image_of_the_users_own_listens() -> None:
    own = {"image": "registry.example.com/team/digits:3", "port": 5000}
    args = render(spec={"runtime": own, "warmup": {}})["spec"]["containers"][-1]["args"]
    assert args[args.index("--port") + 1] == "5000"


def test_the_payload_may_be_missing_without_the_pod_hanging() -> None:
    pod, container = warm_up(payloadRef={"configMap": "digits-payload", "key": "infer.json"})
    assert {"name": "payload", "configMap": {"name": "digits-payload", "optional": True}} in pod["volumes"]
    assert container["volumeMounts"] == [{"name": "payload", "mountPath": "/payload", "readOnly": True}]
    assert container["args"][-2:] == ["--payload", "/payload/infer.json"]


def warm_up_arguments(spec: dict[str, Any], **runtime: Any) -> dict[str, str]:
    """The warm-up container's options by name."""
    pod = render(builders.make_runtime(**runtime), spec=spec)["spec"]
    args = pod["containers"][-1]["args"]
    return dict(zip(args[::2], args[1::2], strict=True))


PAYLOAD = {"payloadRef": {"configMap": "digits-payload", "key": "infer.json"}}


@pytest.mark.parametrize(
    ("name", "runtime", "wanted", "protocol", "path"),
    [
        ("V2 before V1", {"protocols": ["V1", "V2", "GRPCV2"]}, {}, "V2", None),
        ("TensorFlow Serving", {"protocols": ["V1", "Native"], "model_layout": "TensorFlowVersions"}, {}, "V1", None),
        ("V1 of others", {"protocols": ["V1"]}, PAYLOAD, "V1", None),
        ("OpenAI", {"protocols": ["OpenAI"]}, {}, "OpenAI", None),
        (
            "TorchServe",
            {"protocols": ["Native"], "warmup": {"path": "/predictions/{{model.name}}"}},
            PAYLOAD,
            "Native",
            "/predictions/digits",
        ),
        ("the user's path", {"protocols": ["Native"]}, {**PAYLOAD, "path": "/ask"}, "Native", "/ask"),
        (
            "over the runtime's",
            {"protocols": ["Native"], "warmup": {"path": "/p"}},
            {**PAYLOAD, "path": "/ask"},
            "Native",
            "/ask",
        ),
    ],
)
def test_warm_up_in_every_protocol(
    name: str, runtime: dict[str, Any], wanted: dict[str, Any], protocol: str, path: str | None
) -> None:
    arguments = warm_up_arguments({"warmup": wanted}, **runtime)
    assert (arguments["--protocol"], arguments.get("--path")) == (protocol, path), name


def test_warm_up_of_an_image_of_ones_own_asks_its_port() -> None:
    own = {"runtime": {"image": "me/mine:1", "port": 5000}, "warmup": {**PAYLOAD, "path": "/ask"}}
    assert warm_up_arguments(own, protocols=["Native"])["--port"] == "5000"


@pytest.mark.parametrize(
    ("runtime", "wanted", "said"),
    [
        (
            {"protocols": ["GRPCV2"]},
            {},
            r"^spec\.warmup: ServingRuntime 'triton' speaks GRPCV2; .* in V2, V1, OpenAI, Native;",
        ),
        ({"protocols": ["Native"]}, PAYLOAD, r"^spec\.warmup\.path: .* set the path, and a payload"),
        (
            {"protocols": ["Native"], "warmup": {"path": "/p"}},
            {},
            r"^spec\.warmup\.payloadRef: .* speaks Native, .* set a payload",
        ),
        ({"protocols": ["V1"]}, {}, r"^spec\.warmup\.payloadRef: .* speaks V1, .* set a payload"),
    ],
)
def test_a_warm_up_that_nobody_could_send_is_told_at_the_border(
    runtime: dict[str, Any], wanted: dict[str, Any], said: str
) -> None:
    with pytest.raises(warmup.WarmupNotPossible, match=said):
        warm_up_arguments({"warmup": wanted}, **runtime)
