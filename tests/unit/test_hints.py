"""A command that somebody is shown works wherever he pastes it: it names its namespace."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sluice.views.releases import explain, reasons, steering
from kubectl_sluice.views.releases.release import release_view
from kubectl_sluice.views.wire import to_wire
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from tests.support import packages
from tests.support.packages import modules
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster

NAMESPACED = re.compile(r" (-n|-A)\b|\{n\}")
OF_NO_NAMESPACE = (
    "kubectl sluice",
    "kubectl sluice dashboard",
    "kubectl sluice or spec.rollout",
    "kubectl sluice plan -f FILE",
    "kubectl sluice record writes them",
    "kubectl sluice reference",
    "kubectl sluice replay",
    "kubectl sluice status NAME --watch",
    "kubectl config ",
    "kubectl describe nodes",
    "kubectl get rolloutpolicies.sluice.dev",
    "kubectl get servingruntimes.sluice.dev",
    "kubectl cannot be run",
    "kubectl patch --patch-file",
    "kubectl port-forward did not connect",
    "kubectl port-forward failed",
    "kubectl port-forward.",
)
"""What is about no object of a namespace, or no command to paste."""


def texts(path: Path) -> Iterator[str]:
    """The strings of a module that speaks of kubectl and are no docstrings, with {…} for what is filled in."""
    if "kubectl" not in packages.text(path):
        return
    tree = packages.tree(path)
    skipped = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(value) for value in node.values}
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def named_nowhere(text: str) -> list[str]:
    return [
        found[0]
        for found in re.finditer(r"kubectl (?:[^;,)`]|,(?! ))*", text)
        if not NAMESPACED.search(found[0])
        and not found[0].startswith(OF_NO_NAMESPACE[1:])
        and found[0] != "kubectl sluice"
    ]


def test_no_text_has_a_command_without_its_namespace() -> None:
    found = {str(path): each for path in modules() for text in texts(path) for each in named_nowhere(text)}
    assert found == {}, "form it by core/kernel/commands.py"


def test_only_one_place_forms_commands_of_ours() -> None:
    """Otherwise each would have to quote, and to think of the namespace."""
    about_a_model = re.compile(r"kubectl sluice [a-z]+ [^;)`]*\{")
    found = [str(path) for path in modules() for text in texts(path) if about_a_model.search(text)]
    assert found == []


def test_commands_are_quoted() -> None:
    assert commands.sluice("rollback", "a b", "--to", "x", namespace="t") == "kubectl sluice rollback 'a b' --to x -n t"
    assert commands.filled("{tree}: {name} {n}", name="m", namespace="t") == "kubectl sluice tree m -n t: m -n t"
    assert commands.filled("{no_command_is_none}", name="m", namespace="t").endswith(" m -n t")


@pytest.mark.parametrize("reason", [each for each in Reason if each in reasons.MEANINGS])
def test_what_comes_next_names_the_namespace(reason: Reason) -> None:
    for text in reasons.meaning(reason, "digits", "new-bad").then:
        assert "{" not in text
        assert unnamed(text, "new-bad") == []


def unnamed(said: Any, namespace: str) -> list[str]:
    """The commands in a document that name another namespace, or none."""
    if isinstance(said, str):
        return [
            found[0]
            for found in re.finditer(r"kubectl (?:[^;,)`]|,(?! ))*", said)
            if f"-n {namespace}" not in found[0]
            and " -A" not in found[0]
            and not found[0].startswith(OF_NO_NAMESPACE[1:])
        ]
    children = said.values() if isinstance(said, dict) else said if isinstance(said, (list, tuple)) else ()
    return [each for child in children for each in unnamed(child, namespace)]


def seen(cluster: Cluster) -> list[Any]:
    """All that is written, and all that is made of it."""
    deployment = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    rollouts, now = cluster.rollouts(), cluster.now
    view = release_view(deployment, rollouts, now=now)
    why = explain.explain(deployment, rollouts, cluster.newest(), now=now)
    return [
        [
            raw.get("status")
            for (kind, _), raw in cluster.objects.items()
            if kind in ("ModelDeployment", "ModelRollout")
        ],
        [event.message for event in cluster.events],
        to_wire(view),
        [*why.answer, *why.problems, *why.next],
        [steering.refusal(action, cluster.newest()) for action in Action],
    ]


def test_nothing_that_a_release_says_has_a_command_without_its_namespace() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=60)
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    said: list[Any] = []
    for asked in ("", "Pause", "Resume", "Rollback", "Retry", "Promote", "SkipStep", "Promote", "Rollback", "Retry"):
        if asked:
            cluster.asks(asked)
        cluster.run(30)
        said.append(seen(cluster))
    cluster.user_applies(scenarios.manifest(scenarios.FAILING))
    cluster.run(300)
    said.append(seen(cluster))
    assert "kubectl sluice retry digits -n default" in str(said)
    assert "kubectl sluice resume digits -n default" in str(said)
    assert unnamed(said, "default") == []
