"""The table of what users and clusters get wrong, and what the ModelDeployment has to say about each."""

import copy
from dataclasses import dataclass
from typing import Any, Final

import yaml

from demo import setup
from tests.support.live.scene import Object, Scene, uri

WRONG_KEY, NO_SECRET = "wrong-key", "no-such-secret"
ABSENT_IMAGE: Final = "localhost/sluice/no-such-image:dev"
BAD_ARGUMENT: Final = "--no-such-option"
UNPULLABLE, CRASHING, HUNGRY, SHORT_LIVED = "e2e-unpullable", "e2e-crashing", "e2e-hungry", "e2e-short-lived"
RUNTIMES: Final = (UNPULLABLE, CRASHING, HUNGRY, SHORT_LIVED)
UNSEEN: Final = 'nobody_counts_this_total{revision="{{revision}}"}'


@dataclass(frozen=True, slots=True)
class Case:
    """One change of a ModelDeployment that serves v1, and the condition that must follow while v1 goes on serving.

    The reason of `condition` must be `reason`, or, once the release has been given up for it, be named in the message.
    """

    name: str
    given: Object
    """Merged over the spec."""
    condition: str
    reason: str
    says: tuple[str, ...]
    """Parts of the message: what is wrong, where, and what to do."""
    first: bool = False
    """Nothing serves before: this is the first version."""
    event: str = ""
    """Reason of the event; empty: the condition's."""

    @property
    def expected_event(self) -> str:
        return self.event or self.reason


def model(version: str, **more: Any) -> Object:
    return {"model": {"uri": uri(version), **more}}


def unseen_objective() -> list[Object]:
    ratio = {"source": "Query", "total": UNSEEN, "failures": UNSEEN, "maximum": "10%"}
    return [{"name": "unseen", "failureRatio": ratio}]


CASES: Final = (
    Case("no-format", {"model": {"format": "pickle"}}, "Stalled", "FormatNotSupported",
         ("spec.model.format", "'pickle'", "onnx")),
    Case("no-runtime", {"runtime": {"name": "absent"}}, "Stalled", "RuntimeNotFound",
         ("spec.runtime.name", "'absent'", "triton")),
    Case("no-policy", {**model("2"), "rollout": {"policyRef": {"name": "absent"}}}, "Stalled", "PolicyNotFound",
         ("spec.rollout.policyRef", "'absent'", "create it or name")),
    Case("no-object", model("nothing-here"), "Current", "ObjectNotFound",
         ("s3://models/digits/nothing-here", "check spec.model.uri")),
    Case("no-object-first", model("nothing-here"), "Ready", "ObjectNotFound",
         ("s3://models/digits/nothing-here", "check spec.model.uri"), first=True),
    Case("wrong-key", {"model": {"credentialsSecretRef": {"name": WRONG_KEY}}}, "Current", "AccessDenied",
         ("AWS_ACCESS_KEY_ID", WRONG_KEY)),
    Case("no-secret", {"model": {"credentialsSecretRef": {"name": NO_SECRET}}}, "Current", "CredentialsNotFound",
         (NO_SECRET, "create the Secret")),
    Case("corrupt", model("garbage"), "Current", "ModelNotLoadable",
         ("model.onnx", "spec.model.uri")),
    Case("no-image", {"runtime": {"name": UNPULLABLE}}, "Current", "ImagePullBackOff",
         (ABSENT_IMAGE, "ServingRuntime")),
    Case("crashes", {"runtime": {"name": CRASHING}}, "Current", "CrashLoopBackOff",
         ("exit code", "kubectl logs", "--previous")),
    Case("no-cpu", {"resources": {"requests": {"cpu": "1000"}}}, "Current", "Unschedulable",
         ("Insufficient cpu", "spec.resources.requests")),
    Case("no-memory", {"resources": {"requests": {"memory": "9Ti"}}}, "Current", "Unschedulable",
         ("Insufficient memory", "spec.resources.requests")),
    Case("little-memory", {"runtime": {"name": HUNGRY}, "resources": {"limits": {"memory": "64Mi"}}}, "Current", "OOMKilled",
         ("spec.resources.limits.memory",)),
    Case("no-gateway", {"routing": {"gatewayRef": {"namespace": "gateway", "name": "absent"}}},
         "RoutesProgrammed", "GatewayNotAllowed", ("gateway/absent", "spec.routing.gatewayRef", "allowedAddresses")),
    Case("same-host", {"routing": {"hostnames": ["no-format.e2e-bad-input.models.local"]}}, "Stalled", "HostnameTaken",
         ("spec.routing.hostnames", "no-format", "choose another")),
    Case("no-series", {**model("2"), "rollout": {"objectives": unseen_objective()}}, "Reconciling", "RolloutRunning",
         (), event="RolloutStarted"),
)  # fmt: skip


def prepare(scene: Scene) -> None:
    """What the cases refer to: a Secret with a wrong key, and broken ServingRuntimes."""
    good = scene.tools.get("secret", setup.CREDENTIALS_SECRET, scene.where)
    wrong = {**good["data"], "AWS_SECRET_ACCESS_KEY": good["data"]["AWS_ACCESS_KEY_ID"]}
    scene.apply({**good, "data": wrong, "metadata": {"name": WRONG_KEY}})
    triton = scene.tools.get("servingruntimes.sluice.dev", "triton")["spec"]
    unpullable, crashing, hungry = (copy.deepcopy(triton) for _ in range(3))
    unpullable["containers"][0]["image"] = ABSENT_IMAGE
    crashing["containers"][0]["args"].append(BAD_ARGUMENT)
    hungry["containers"][0] |= {"command": ["python3", "-c", "b'x' * 2**30"], "args": []}
    specs = (unpullable, crashing, hungry, triton)
    scene.tools.apply(runtimes(dict(zip(RUNTIMES, specs, strict=True))))


def runtimes(specs: dict[str, Object]) -> str:
    """Manifests of ServingRuntimes that nobody gets without asking for them (priority 0)."""
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": "sluice.dev/v1alpha1",
                "kind": "ServingRuntime",
                "metadata": {"name": name},
                "spec": {**spec, "formats": [{**one, "priority": 0} for one in spec["formats"]]},
            }
            for name, spec in specs.items()
        ]
    )
