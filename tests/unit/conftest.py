"""No answer is given up early: a test's own server may be slow, while the limits of the product stay as they are."""

import sys
from typing import Final

import pytest

from tests.support import patience

LIMITS: Final = (
    ("sluice.adapters.batchprogress", "POD_SECONDS"),
    ("sluice.adapters.batchprogress", "ALL_SECONDS"),
    ("sluice.adapters.notify", "TIMEOUT_SECONDS"),
    ("kubectl_sluice.adapters.portforward", "START_SECONDS"),
    ("kubectl_sluice.adapters.prometheusproxy", "RESOLVE_SECONDS"),
    ("sluice.adapters.resolvers", "SECONDS"),
    ("kubectl_sluice.cli.kube.doctor", "METADATA_SECONDS"),
    ("kubectl_sluice.cli.releases.status", "ADDRESS_SECONDS"),
    ("kubectl_sluice.cli.releases.streaming", "IDLE_SECONDS"),
    ("kubectl_sluice.dashboard.proofs", "ANSWER_SECONDS"),
    ("sluice.shell.order.workqueue", "STOP_SECONDS"),
    ("sluice.shell.informer.watcher", "STOP_SECONDS"),
    ("sluice.shell.informer.watcher", "CONNECT_SECONDS"),
    ("sluice_observer.front", "BODY_SECONDS"),
    ("sluice_resolver.mlflow", "CONNECT_SECONDS"),
    ("sluice_resolver.mlflow", "READ_SECONDS"),
    ("sluice_resolver.mlflow", "WHOLE_SECONDS"),
)
"""Of seconds, for answers that a test's own server gives. A test of one of them sets its own."""


@pytest.fixture(autouse=True)
def nothing_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in LIMITS:
        if module in sys.modules:
            monkeypatch.setattr(sys.modules[module], name, patience.HANG_SECONDS)
