"""Objects that Sluice makes, and what somebody with its token would rather have."""

import copy
from collections.abc import Callable
from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchRun
from sluice_core.kernel.snapshot import Paths
from sluice_core.render import autoscaler, budget, observer, resolver, scaledobject, workload
from sluice_core.render.jobs import batchjob, sparkapplication, variantjob
from sluice_core.render.traffic import route, service, sharedservice
from tests.integration.conftest import NAMESPACE
from tests.support.cases import builders
from tests.support.cases.objects import merged, open_definition, rollout
from tests.support.cases.podfieldcases import EPHEMERAL

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
KEDA_KIND: Final = open_definition("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
SPARK_KIND: Final = open_definition("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications")

DEPLOYMENT: Final = workload.desired_deployment(REVISION, 1, MODEL)
PINNED: Final = workload.desired_controller_revision(REVISION, MODEL)
SERVICE: Final = service.desired_service(REVISION, MODEL)
JOB: Final = batchjob.desired_job(batch(engine={"shards": 2}), RUN, REVISION, CONFIG)
DRIVER: Final = sparkapplication.desired_driver_job(batch(), RUN, REVISION, CONFIG)
APPLICATION: Final = sparkapplication.desired_application(batch(), RUN, REVISION, CONFIG)
PATHS: Final = Paths(((REVISION.name, 1000),), mirror=(REVISION.name, 10), observer=10, preview=REVISION.name)
ROUTES: Final = {
    each["metadata"]["name"]: each
    for each in route.desired_routes(MODEL, CONFIG, PATHS, grpc=frozenset([REVISION.name]))
}
ROUTE: Final = ROUTES["digits"]
GRPC_ROUTE: Final = ROUTES["digits.grpc"]
BUDGET: Final = budget.desired_budget(MODEL)
AUTOSCALER: Final = autoscaler.desired_autoscaler(REVISION, SCALED, minimum=1)
HELD: Final = builders.make_model_deployment(
    namespace=SPACE,
    spec={"autoscaling": {"maximumReplicas": 3, "target": {"metric": "InFlightRequests", "value": 4}}},
)
SCALED_OBJECT: Final = scaledobject.desired_scaled_object(
    REVISION, HELD, scaledobject.Signal("up", shared=True), prometheus_url=CONFIG.prometheus_url, minimum=1
)
OBSERVED: Final = builders.make_model_deployment(
    namespace=SPACE,
    spec={
        "observer": {"reference": {"name": "bins"}},
        "variants": [{"name": "int8", "optimize": {"quantization": "Int8Dynamic"}}],
    },
)
ROLLOUT: Final = {
    **rollout(name="digits-1-1"),
    "metadata": {"name": "digits-1-1", **{key: PINNED["metadata"][key] for key in ("namespace", "labels", "ownerReferences")}},
}  # fmt: skip
MODEL_OWNER: Final = BUDGET["metadata"]["ownerReferences"][0]
OURS: Final = {
    "ControllerRevision": PINNED,
    "Deployment": DEPLOYMENT,
    "Deployment of a large model": workload.desired_deployment(builders.make_revision(deployment=LARGE), 1, LARGE),
    "Service": SERVICE,
    "Service of all versions": sharedservice.desired_shared_service(MODEL, PATHS, [REVISION]),
    "Service of copies, without an address": service.desired_service(REVISION, MODEL, suffix="mirror", headless=True),
    "Service of the observer": service.desired_observer_service(OBSERVED),
    **{f"{each['kind']} {name}": each for name, each in ROUTES.items()},
    "PodDisruptionBudget": BUDGET,
    "HorizontalPodAutoscaler": AUTOSCALER,
    "ScaledObject": SCALED_OBJECT,
    "Deployment of the observer": observer.desired_observer(
        OBSERVED, OBSERVED.spec.observer, CONFIG, percent=100, asks=None
    ),
    "Job of a variant": variantjob.desired_job(OBSERVED, OBSERVED.spec.variants[0], CONFIG),
    "Deployment of the resolver": resolver.desired_resolver(MODEL, CONFIG),
    "Job": JOB,
    "Job of a Spark driver": DRIVER,
    "SparkApplication": APPLICATION,
}


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


def with_annotation(name: str, value: str) -> Object:
    return merged(DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": {name: value}}}}})


def routed(change: Callable[[Object], None]) -> Object:
    """The route with a change of its first rule."""
    changed = copy.deepcopy(ROUTE)
    change(changed["spec"]["rules"][0])
    return changed


def led(**fields: Any) -> Object:
    """The route, whose first backend has other fields."""
    return routed(lambda rule: rule["backendRefs"][0].update(fields))


def triggered(**fields: Any) -> Object:
    """The ScaledObject with another trigger."""
    (trigger,) = SCALED_OBJECT["spec"]["triggers"]
    return merged(SCALED_OBJECT, {"spec": {"triggers": [{**trigger, **fields}]}})


OF_SOMEBODY: Final = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
UNCONFINED: Final = {"type": "Unconfined"}
PROBE: Final = {"httpGet": {"host": "192.0.2.1", "port": 80}}
REDIRECT: Final = {"type": "RequestRedirect", "requestRedirect": {"hostname": "evil.example"}}
MIRROR: Final = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "spy", "port": 80}}}
POD: Final = "seccomp, AppArmor"
REACH: Final[dict[str, tuple[Object, str]]] = {
    "an autoscaler of any Deployment": (
        merged(AUTOSCALER, {"spec": {"scaleTargetRef": OF_SOMEBODY}}), "scaleTargetRef"
    ),
    "an autoscaler that is named after any Deployment": (
        merged(AUTOSCALER, {"metadata": {"name": "shop"}, "spec": {"scaleTargetRef": OF_SOMEBODY}}), "metadata.name"
    ),
    "an autoscaler with a model named after the beginning of any Deployment": (
        merged(
            AUTOSCALER,
            {
                "metadata": {
                    "name": "shop-web",
                    "ownerReferences": [{**MODEL_OWNER, "name": "shop"}],
                    "labels": {"sluice.dev/model-deployment": "shop"},
                },
                "spec": {"scaleTargetRef": {**OF_SOMEBODY, "name": "shop-web"}},
            },
        ),
        "scaleTargetRef",
    ),
    "an autoscaler of a StatefulSet": (
        merged(AUTOSCALER, {"spec": {"scaleTargetRef": {"kind": "StatefulSet"}}}), "scaleTargetRef"
    ),
    "a ScaledObject of any Deployment": (
        merged(SCALED_OBJECT, {"spec": {"scaleTargetRef": OF_SOMEBODY}}), "scaleTargetRef"
    ),
    "a ScaledObject that asks somebody else": (
        triggered(metadata={"serverAddress": "http://evil.example", "query": "up", "threshold": "1"}), "triggers"
    ),
    "a ScaledObject of another source": (
        triggered(type="external", metadata={"scalerAddress": "evil.example:80"}), "triggers"
    ),
    "a ScaledObject with somebody's credentials": (triggered(authenticationRef={"name": "cloud"}), "triggers"),
    "a ScaledObject that takes an autoscaler over": (
        merged(SCALED_OBJECT, {"spec": {"advanced": {"horizontalPodAutoscalerConfig": {"name": "shop"}}}}), "triggers"
    ),
    "a budget that lets no pod go": (merged(BUDGET, {"spec": {"maxUnavailable": 0}}), "maxUnavailable"),
    "a budget by what must stay": (
        merged(BUDGET, {"spec": {"maxUnavailable": None, "minAvailable": 1}}), "maxUnavailable"
    ),
    "a budget that keeps pods that are not ready": (
        merged(BUDGET, {"spec": {"unhealthyPodEvictionPolicy": "IfHealthyBudget"}}), "maxUnavailable"
    ),
    "a budget over a namespace": (merged(BUDGET, {"spec": {"selector": {"matchLabels": None}}}), "selector"),
    "a budget over somebody's pods": (
        merged(BUDGET, {"spec": {"selector": {"matchLabels": {"sluice.dev/model-deployment": None, "app": "shop"}}}}),
        "selector",
    ),
    "a second budget over the same pods": (merged(BUDGET, {"metadata": {"name": "digits-2"}}), "selector"),
    "a Service of somebody's pods": (merged(SERVICE, {"spec": {"selector": {"sluice.dev/revision": None, "app": "shop"}}}), "selector"),
    "a Service without a selector": (merged(SERVICE, {"spec": {"selector": None}}), "selector"),
    "a Service by any name": (merged(SERVICE, {"metadata": {"name": "shop"}}), "metadata.name"),
    "a Deployment that adopts somebody's pods": (
        merged(
            DEPLOYMENT,
            {
                "spec": {
                    "selector": {"matchLabels": {"sluice.dev/revision": None, "app": "shop"}},
                    "template": {"metadata": {"labels": {"app": "shop"}}},
                }
            },
        ),
        "selector",
    ),
    "labels of another model": (
        merged(SERVICE, {"metadata": {"labels": {"sluice.dev/model-deployment": "other"}}}), "metadata.name"
    ),
    "a Job that adopts somebody's pods": (
        merged(
            JOB,
            {
                "spec": {
                    "manualSelector": True,
                    "selector": {"matchLabels": {"app": "shop"}},
                    "template": {"metadata": {"labels": {"app": "shop"}}},
                }
            },
        ),
        "manualSelector",
    ),
    "a revision that a StatefulSet adopts": (merged(PINNED, {"metadata": {"labels": {"app": "mysql"}}}), "ControllerRevision"),
    "a route without a host name": (merged(ROUTE, {"spec": {"hostnames": None}}), "HTTPRoute"),
    "a route of a mesh": (
        merged(ROUTE, {"spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "shop"}]}}), "HTTPRoute"
    ),
    "a route to somebody's Service": (led(name="shop"), "HTTPRoute"),
    "a route into another namespace": (led(namespace="other"), "HTTPRoute"),
    "a route to something else": (led(group="example.com", kind="Bucket"), "HTTPRoute"),
    "a route that sends clients away": (
        routed(lambda rule: (rule.pop("backendRefs"), rule.update(filters=[REDIRECT]))), "HTTPRoute"
    ),
    "a route that copies requests to somebody": (routed(lambda rule: rule.update(filters=[MIRROR])), "HTTPRoute"),
    "a route whose backend copies requests": (led(filters=[MIRROR]), "HTTPRoute"),
    "a route of gRPC to somebody's Service": (
        merged(GRPC_ROUTE, {"spec": {"rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]}}), "HTTPRoute"
    ),
    "on a node of its choice": (with_pod(DEPLOYMENT, nodeName="control-plane"), POD),
    "with sysctls": (
        with_pod(DEPLOYMENT, securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}), POD
    ),
    "without seccomp": (with_pod(DEPLOYMENT, securityContext={"seccompProfile": UNCONFINED}), POD),
    "a container without seccomp": (with_security(seccompProfile=UNCONFINED), POD),
    "without AppArmor": (with_pod(DEPLOYMENT, securityContext={"appArmorProfile": UNCONFINED}), POD),
    "a container without AppArmor": (with_security(appArmorProfile=UNCONFINED), POD),
    "a container without AppArmor by its annotation": (
        with_annotation("container.apparmor.security.beta.kubernetes.io/triton", "unconfined"), POD
    ),
    "with SELinux options": (with_pod(JOB, securityContext={"seLinuxOptions": {"type": "spc_t"}}), POD),
    "a container with SELinux options": (with_security(seLinuxOptions={"level": "s0", "user": "system_u"}), POD),
    "a process of a Windows host": (
        with_pod(DEPLOYMENT, securityContext={"windowsOptions": {"hostProcess": True}}, hostNetwork=True), "hostNetwork"
    ),
    "a probe of another host": (with_pod(DEPLOYMENT, container={"livenessProbe": PROBE}), POD),
    "a TCP probe of another host": (
        with_pod(DEPLOYMENT, container={"startupProbe": {"tcpSocket": {"host": "192.0.2.1", "port": 80}}}), POD
    ),
    "a hook that calls another host": (with_pod(DEPLOYMENT, container={"lifecycle": {"preStop": PROBE}}), POD),
    "Spark's executors without seccomp": (
        merged(APPLICATION, {"spec": {"executor": {"template": {"spec": {"securityContext": {"seccompProfile": UNCONFINED}}}}}}),
        POD,
    ),
    "Spark that sets what pods may do": (
        merged(APPLICATION, {"spec": {"driver": {"securityContext": {"privileged": True}}}}), "SparkApplication"
    ),
    "Spark with a sidecar": (
        merged(APPLICATION, {"spec": {"executor": {"sidecars": [{"name": "s", "image": "s"}]}}}), "SparkApplication"
    ),
    "Spark with a priority": (
        merged(APPLICATION, {"spec": {"batchSchedulerOptions": {"priorityClassName": "system-node-critical"}}}),
        "SparkApplication",
    ),
}  # fmt: skip


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
