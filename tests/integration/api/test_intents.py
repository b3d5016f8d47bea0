"""Who may write an intent of somebody else: whom the chart exempts, and only to bring a ModelRollout back."""

from collections.abc import Iterator

import pytest
import yaml

from lab import gotools, processes
from tests.integration.conftest import NAMESPACE, REPOSITORY
from tests.support.kube import Kube, wait_until
from tests.support.objects import intent, rollout

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
