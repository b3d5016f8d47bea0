"""Who may write an intent of somebody else: whom the chart exempts, and only to bring a ModelRollout back."""

from collections.abc import Iterator

import pytest
import yaml

from lab import gotools, processes
from tests.integration.conftest import NAMESPACE, REPOSITORY
from tests.support.cases.objects import intent, merged, rollout
from tests.support.live.kube import Kube, wait_until

BACKUP = "system:serviceaccount:velero:velero-server"


@pytest.fixture
def exempting(installed: Kube) -> Iterator[Kube]:
    """The client, with a chart that exempts the account of a backup tool; afterwards nobody is any more."""

    def apply(*options: str) -> None:
        gotools.ensure("helm")
        shown = ["--namespace", NAMESPACE, "--show-only", "templates/admission-policy.yaml", *options]
        text = processes.run(
            [gotools.program("helm"), "template", "sluice", "charts/sluice", *shown], directory=REPOSITORY
        )
        for document in yaml.safe_load_all(text):
            installed.apply(document, manager="helm", force=True).raise_for_status()

    apply("--set", f"admissionPolicy.exemptUsers={{{BACKUP}}}")
    yield installed
    apply()


def test_a_backup_with_intents_can_be_restored(exempting: Kube) -> None:
    asked = rollout(intent("ada")["spec"], name="restored-1")
    assert exempting.create(asked, user="mallory", dry_run=True).status_code == 403
    wait_until(lambda: exempting.create(asked, user=BACKUP, dry_run=True).is_success)
    exempting.create(asked, user=BACKUP).raise_for_status()
    forged = exempting.patch(asked, intent("ada", action="Abort", time="2026-03-01T13:00:00Z"), user=BACKUP)
    assert forged.status_code == 403, "what is there is not steered in somebody else's name"


@pytest.fixture
def releaser(installed: Kube) -> str:
    """A user with the role sluice-releaser, and no other."""
    name = "grace"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{name}-releases"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sluice-releaser"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    }
    installed.apply(binding, manager="tests").raise_for_status()
    wait_until(lambda: installed.may(name, [], verb="patch", group="sluice.dev", resource="modelrollouts"))
    return name


GONE = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "00000000-0000-0000-0000-000000000000"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ownerReferences", [GONE]),
        ("labels", {"sluice.dev/model-deployment": "another"}),
        ("finalizers", ["example.com/never"]),
    ],
)
def test_who_steers_a_release_cannot_have_its_trail_removed(
    installed: Kube, releaser: str, field: str, value: object
) -> None:
    """Garbage collection removes what has only owners that do not exist."""
    name = f"kept-{field.lower()}"
    installed.create(rollout(name=name)).raise_for_status()
    refused = installed.patch(rollout(name=name), {"metadata": {field: value}}, user=releaser, groups=())
    assert refused.status_code == 403
    assert f"metadata.{field}: belongs to the operator; only spec.intent can be changed" in refused.text
    installed.patch(rollout(name=name), intent(releaser), user=releaser, groups=()).raise_for_status()
    asked = intent(releaser, time="2026-03-01T13:00:00Z") | {"metadata": {"annotations": {"example.com/why": "late"}}}
    installed.patch(rollout(name=name), asked, user=releaser, groups=()).raise_for_status()


def test_the_operator_and_kubernetes_may_change_its_metadata(installed: Kube) -> None:
    ours = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "sluice"}}}
    installed.create(merged(rollout(name="collected"), ours)).raise_for_status()
    for user in (
        f"system:serviceaccount:{NAMESPACE}:sluice",
        "system:serviceaccount:kube-system:generic-garbage-collector",
    ):
        change = {"metadata": {"labels": {"by": user.rpartition(":")[2]}}}
        installed.patch(rollout(name="collected"), change, user=user).raise_for_status()
