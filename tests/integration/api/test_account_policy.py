"""What the operator's own ServiceAccount may write, whoever has its token: all that Sluice makes, and little else."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from sluice.api.config import OperatorConfig
from sluice.api.v1alpha1.batchinference import BatchInference, BatchRun
from sluice.core.kernel.snapshot import Paths
from sluice.core.render import autoscaler, batchjob, budget, route, service, sparkapplication, workload
from tests.integration.conftest import NAMESPACE, rendered
from tests.support import builders
from tests.support.kube import MERGE, Kube, wait_until
from tests.support.objects import merged, open_definition, rollout
from tests.support.podfieldcases import EPHEMERAL

Object = dict[str, Any]

OPERATOR: Final = f"system:serviceaccount:{NAMESPACE}:sluice"
SPACE: Final = "account-policy"
MODEL: Final = builders.make_model_deployment(namespace=SPACE, spec={"serviceAccountName": "models"})
LARGE: Final = builders.make_model_deployment(
    namespace=SPACE,
    model={"volume": {"ephemeral": EPHEMERAL}},
    spec={
        "volumes": [
            {"name": "config", "configMap": {"name": "a"}},
            {"name": "keys", "secret": {"secretName": "a"}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "a"}},
            {"name": "small", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "all", "projected": {"sources": [{"secret": {"name": "a"}}]}},
        ],
        "volumeMounts": [{"name": "claim", "mountPath": "/cache"}],
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        "podLabels": {"team": "digits"},
        "schedulerName": "volcano",
    },
)
SCALED: Final = builders.make_model_deployment(namespace=SPACE, spec={"autoscaling": {"maximumReplicas": 3}})
REVISION: Final = builders.make_revision(deployment=MODEL)


def batch(**spec: Any) -> BatchInference:
    made = builders.make_spark_batch(**spec)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"namespace": SPACE})})


RUN: Final = BatchRun(name="churn-1")
CONFIG: Final = OperatorConfig()
SPARK_KIND: Final = open_definition("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications")

DEPLOYMENT: Final = workload.desired_deployment(REVISION, 1, MODEL)
PINNED: Final = workload.desired_controller_revision(REVISION, MODEL)
SERVICE: Final = service.desired_service(REVISION, MODEL)
JOB: Final = batchjob.desired_job(batch(engine={"shards": 2}), RUN, REVISION, CONFIG)
DRIVER: Final = sparkapplication.desired_driver_job(batch(), RUN, REVISION, CONFIG)
APPLICATION: Final = sparkapplication.desired_application(batch(), RUN, REVISION, CONFIG)
(ROUTE,) = route.desired_routes(MODEL, CONFIG, Paths(((REVISION.name, 1000),)), grpc=frozenset())
ROLLOUT: Final = {
    **rollout(name="digits-1-1"),
    "metadata": {"name": "digits-1-1", **{key: PINNED["metadata"][key] for key in ("namespace", "labels", "ownerReferences")}},
}  # fmt: skip
OURS: Final = {
    "ControllerRevision": PINNED,
    "Deployment": DEPLOYMENT,
    "Deployment of a large model": workload.desired_deployment(builders.make_revision(deployment=LARGE), 1, LARGE),
    "Service": SERVICE,
    "HTTPRoute": ROUTE,
    "PodDisruptionBudget": budget.desired_budget(MODEL),
    "HorizontalPodAutoscaler": autoscaler.desired_autoscaler(REVISION, SCALED, minimum=1),
    "Job": JOB,
    "Job of a Spark driver": DRIVER,
    "SparkApplication": APPLICATION,
}


@pytest.fixture(scope="module")
def guarded(installed: Kube) -> Kube:
    """The client, once the policy is enforced."""
    installed.install_crds([SPARK_KIND])
    installed.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}, manager="tests"
    ).raise_for_status()
    wait_until(lambda: created(installed, without_owner(DEPLOYMENT)).status_code == 403)
    return installed


def created(kube: Kube, target: Object, user: str = OPERATOR) -> httpx.Response:
    return kube.create(target, dry_run=True, user=user)


def changed(kube: Kube, target: Object, change: Object | None) -> httpx.Response:
    """What the operator is told to a patch, or to a deletion, without anything being done."""
    who = {"Impersonate-User": OPERATOR, "Impersonate-Group": "system:masters"}
    path, query = f"{kube.path(target)}/{target['metadata']['name']}", {"dryRun": "All"}
    if change is None:
        return kube.http.delete(path, params=query, headers=who)
    return kube.http.patch(path, params=query, json=change, headers={**who, "Content-Type": MERGE})


def without_owner(target: Object) -> Object:
    return merged(target, {"metadata": {"ownerReferences": None}})


def with_pod(target: Object, *, container: Object | None = None, **fields: Any) -> Object:
    """A Deployment or Job with changes of its pods."""
    changed = copy.deepcopy(target)
    pod = changed["spec"]["template"]["spec"]
    pod.update(fields)
    pod["containers"][0].update(container or {})
    return changed


def with_volume(volume: Object) -> Object:
    volumes = DEPLOYMENT["spec"]["template"]["spec"]["volumes"]
    return with_pod(DEPLOYMENT, volumes=[*volumes, {"name": "further", **volume}])


def with_security(**fields: Any) -> Object:
    return with_pod(DEPLOYMENT, container={"securityContext": fields})


def of_somebody(kind: str) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": "other", "uid": "uid-9", "controller": True}
    return merged(DEPLOYMENT, {"metadata": {"ownerReferences": [owner]}})


TOKEN: Final = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
FORGED: Final = {
    "nobody's": (without_owner(DEPLOYMENT), "metadata.ownerReferences"),
    "somebody else's": (of_somebody("ReplicaSet"), "metadata.ownerReferences"),
    "nobody's Job": (without_owner(JOB), "metadata.ownerReferences"),
    "nobody's Service": (without_owner(SERVICE), "metadata.ownerReferences"),
    "in kube-system": (merged(DEPLOYMENT, {"metadata": {"namespace": "kube-system"}}), "namespaces of Kubernetes"),
    "with a token": (with_pod(DEPLOYMENT, automountServiceAccountToken=True), "only drivers of Spark"),
    "with a token by default": (with_pod(DEPLOYMENT, automountServiceAccountToken=None), "only drivers of Spark"),
    "with a token of a volume": (with_volume(TOKEN), "only drivers of Spark"),
    "with the token of a driver": (with_pod(with_volume(TOKEN), serviceAccountName="spark"), "only drivers of Spark"),
    "a Job with the token of another account": (with_pod(DRIVER, serviceAccountName="admin"), "only drivers of Spark"),
    "with a volume of a driver": (with_volume({"csi": {"driver": "secrets-store.csi.k8s.io"}}), "csi: only drivers"),
    "with a file server": (with_volume({"nfs": {"server": "192.0.2.1", "path": "/"}}), "volumes: pods of models"),
    "with a priority": (with_pod(DEPLOYMENT, priorityClassName="models"), "priorityClassName: only classes"),
    "with the highest priority": (with_pod(JOB, priorityClassName="system-node-critical"), "priorityClassName: only classes"),
    "with a folder of the node": (with_volume({"hostPath": {"path": "/etc"}}), "hostPath: none may be mounted"),
    "on the node's network": (with_pod(DEPLOYMENT, hostNetwork=True), "hostNetwork"),
    "among the node's processes": (with_pod(JOB, hostPID=True), "hostPID"),
    "privileged": (with_security(privileged=True), "privileged"),
    "with a capability": (with_security(capabilities={"add": ["SYS_ADMIN"]}), "capabilities"),
    "with a port of the node": (
        with_pod(DEPLOYMENT, container={"ports": [{"containerPort": 80, "hostPort": 80}]}), "hostPort"
    ),
    "a privileged init container": (
        with_pod(
            DEPLOYMENT, initContainers=[{"name": "i", "image": "i", "securityContext": {"privileged": True}}]
        ),
        "privileged",
    ),
    "a Service on every node": (merged(SERVICE, {"spec": {"type": "NodePort"}}), "spec.type"),
    "a Service of another address": (merged(SERVICE, {"spec": {"externalIPs": ["192.0.2.1"]}}), "spec.type"),
    "Spark as another account": (merged(APPLICATION, {"spec": {"driver": {"serviceAccount": "admin"}}}), "only drivers of Spark"),
    "Spark's executors with a token": (
        merged(APPLICATION, {"spec": {"executor": {"template": {"spec": {"automountServiceAccountToken": True}}}}}),
        "only drivers of Spark",
    ),
    "Spark's executors as another account": (
        merged(APPLICATION, {"spec": {"executor": {"serviceAccount": "admin"}}}), "SparkApplication"
    ),
    "Spark with a setting": (
        merged(APPLICATION, {"spec": {"sparkConf": {"spark.kubernetes.driver.podTemplateFile": "x"}}}), "SparkApplication"
    ),
    "Spark with a folder of the node": (
        merged(APPLICATION, {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}), "SparkApplication"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_what_sluice_makes_is_let_through(guarded: Kube, name: str) -> None:
    answer = created(guarded, OURS[name])
    assert answer.is_success, answer.text


@pytest.mark.parametrize("name", FORGED)
def test_what_it_never_makes_is_refused(guarded: Kube, name: str) -> None:
    target, words = FORGED[name]
    answer = created(guarded, target)
    assert answer.status_code == 403, answer.text
    assert words in answer.json()["message"]
    assert "denied request" in answer.json()["message"]


def test_only_the_operators_account_is_limited(guarded: Kube) -> None:
    for target, _ in FORGED.values():
        answer = created(guarded, target, user="somebody")
        assert "denied request" not in answer.text


@pytest.fixture
def there(guarded: Kube) -> Iterator[Callable[[Object], Object]]:
    """Makes an object as an administrator; it is deleted afterwards."""
    made: list[Object] = []

    def make(target: Object) -> Object:
        guarded.create(target).raise_for_status()
        made.append(target)
        return target

    yield make
    for target in made:
        guarded.http.delete(f"{guarded.path(target)}/{target['metadata']['name']}")


@pytest.mark.parametrize("target", [PINNED, ROLLOUT], ids=["revision", "release"])
def test_what_is_remembered_of_a_model_needs_no_owner(
    guarded: Kube, there: Callable[[Object], Object], target: Object
) -> None:
    unlabelled = merged(without_owner(target), {"metadata": {"labels": None}})
    assert created(guarded, unlabelled).status_code == 403
    there(without_owner(target))
    answer = changed(guarded, target, {"metadata": {"annotations": {"remembered": "for a day"}}})
    assert answer.is_success, answer.text


SCALE: Final = {"spec": {"replicas": 3}}
OWNED: Final = {"metadata": {"ownerReferences": DEPLOYMENT["metadata"]["ownerReferences"]}}


@pytest.mark.parametrize(
    ("labels", "status"),
    [
        pytest.param(DEPLOYMENT["metadata"]["labels"], 200, id="of a model that was deleted without it"),
        pytest.param({"app": "shop"}, 403, id="somebody's"),
    ],
)
def test_an_object_must_have_been_ours(
    guarded: Kube, there: Callable[[Object], Object], labels: Object, status: int
) -> None:
    """Applying is how an object that lost its owner is taken back, and how somebody else's would be taken away."""
    target = there(merged(without_owner(DEPLOYMENT), {"metadata": {"labels": None}}))
    change = {"metadata": {"labels": labels}}
    guarded.patch(target, change).raise_for_status()
    for answer in (changed(guarded, target, {**SCALE, **OWNED}), changed(guarded, target, None)):
        assert answer.status_code == status, answer.text


def test_a_folder_that_was_mounted_before_does_not_stop_what_runs(
    guarded: Kube, there: Callable[[Object], Object]
) -> None:
    """The cache of the configuration has moved, and a pinned template has it where it was."""
    target = there(without_owner(with_volume({"hostPath": {"path": "/var/cache/old"}})))
    assert changed(guarded, target, {**SCALE, **OWNED}).status_code == 200
    elsewhere = with_volume({"hostPath": {"path": "/etc"}})["spec"]["template"]["spec"]["volumes"]
    answer = changed(guarded, target, {"spec": {"template": {"spec": {"volumes": elsewhere}}}, **OWNED})
    assert answer.status_code == 403, answer.text


def test_what_was_allowed_before_does_not_stop_what_runs(guarded: Kube, there: Callable[[Object], Object]) -> None:
    driver = with_volume({"csi": {"driver": "old.csi.example"}})
    driver["spec"]["template"]["spec"]["priorityClassName"] = "old"
    target = there(without_owner(driver))
    assert changed(guarded, target, {**SCALE, **OWNED}).status_code == 200
    higher = {"spec": {"template": {"spec": {"priorityClassName": "system-node-critical"}}}}
    answer = changed(guarded, target, {**higher, **OWNED})
    assert answer.status_code == 403, answer.text


GRANTS: Final = (
    *("--set-json", f'config.allowedPriorityClasses=[{{"namespaces":["{SPACE}"],"classes":["models"]}}]'),
    *("--set-json", 'config.allowedVolumes=[{"namespaces":["other"],"hostPaths":["/mnt/other"]},'
      f'{{"namespaces":["*"],"hostPaths":["/mnt/models"]}},{{"namespaces":["{SPACE}"],"csiDrivers":["keys.csi.example"]}}]'),
)  # fmt: skip


@pytest.fixture
def granting(guarded: Kube) -> Iterator[Kube]:
    """The client, once the policy has the grants of a platform; they are gone afterwards."""
    prioritized = with_pod(DEPLOYMENT, priorityClassName="models")
    guarded.apply(document(*GRANTS), manager="helm").raise_for_status()
    wait_until(lambda: created(guarded, prioritized).is_success)
    yield guarded
    guarded.apply(document(), manager="helm").raise_for_status()
    wait_until(lambda: created(guarded, prioritized).status_code == 403)


def test_what_the_platform_grants_a_namespace_is_let_through(granting: Kube) -> None:
    def status(**source: Any) -> int:
        return created(granting, with_volume(source)).status_code

    assert status(hostPath={"path": "/mnt/models"}) == 201
    assert status(csi={"driver": "keys.csi.example"}) == 201
    assert status(hostPath={"path": "/mnt/other"}) == 403, "another namespace's"
    assert status(hostPath={"path": "/mnt/models/x"}) == 403
    assert status(csi={"driver": "other.csi.example"}) == 403
    assert created(granting, with_pod(DEPLOYMENT, priorityClassName="system-node-critical")).status_code == 403


def document(*options: str) -> Object:
    """The policy, rendered."""
    [found] = [
        each
        for each in rendered(*options)
        if each["kind"] == "ValidatingAdmissionPolicy" and each["metadata"]["name"] == "sluice-account"
    ]
    return found


def policy(*options: str) -> str:
    """Its expressions, and its messages."""
    found = document(*options)
    parts = [each for part in ("variables", "validations") for each in found["spec"][part]]
    return "\n".join(f"{each['expression']} {each.get('message', '')}" for each in parts)


def test_values_open_it() -> None:
    assert '["/cache","/more"]' in policy(
        "--set", "accountPolicy.hostPaths={/cache}", "--set", "config.storageInitializer.cache.hostPath=/more"
    )
    assert '["","default","models","spark"]' in policy("--set", "accountPolicy.serviceAccounts={models}")
    assert 'a in ["spark","etl"]' in policy("--set", "config.spark.serviceAccountNames={spark,etl}")
    assert "a in []" in policy("--set-json", "config.spark.serviceAccountNames=[]")
    assert "accounts.all" not in policy("--set", "config.spark.serviceAccountNames={*}")
    assert '"default"' not in policy()


def test_a_certificate_of_a_pod_is_a_token() -> None:
    """Servers that cannot make one drop the field."""
    assert "has(s.serviceAccountToken) || has(s.podCertificate)" in policy()


def test_it_is_left_out_where_there_are_no_policies() -> None:
    for option in ("admissionPolicy.create=false", "accountPolicy.create=false"):
        assert "sluice-account" not in {each["metadata"]["name"] for each in rendered("--set", option)}
