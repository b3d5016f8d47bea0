"""A typo that no schema of ours catches: said in the model's condition, and not tried again and again."""

from pathlib import Path
from typing import Any

import pytest

from lab.apiserver import ApiServer
from tests.integration.operator.node import Node
from tests.support.cases.objects import make_model, runtime
from tests.support.live.kube import true_conditions, wait_until
from tests.support.live.process import running


@pytest.mark.parametrize(
    ("typo", "words"),
    [
        pytest.param({"livenesProbe": {}}, "livenesProbe", id="a field that is not declared"),
        pytest.param({"ports": "8000"}, "ports", id="a value of another type"),
    ],
)
def test_a_container_that_kubernetes_does_not_understand_is_refused(
    api_server: ApiServer, node: Node, tmp_path: Path, typo: dict[str, Any], words: str
) -> None:
    wrong = runtime(name=f"{node.namespace}-typo")
    wrong["spec"]["containers"][0] |= typo
    node.kube.apply(wrong, manager="user").raise_for_status()
    model = make_model(node.namespace)
    model["spec"]["runtime"] = {"name": wrong["metadata"]["name"]}
    with running(api_server.kubeconfig, tmp_path) as operator:
        node.kube.apply(model, manager="user").raise_for_status()
        wait_until(lambda: "Stalled" in true_conditions(node.kube.get(model)))
        stalled = next(c for c in node.kube.get(model)["status"]["conditions"] if c["type"] == "Stalled")
        assert stalled["reason"] == "Refused"
        assert words in stalled["message"]
        assert "retrying" not in operator.log.read_text()
    node.kube.http.delete(f"{node.kube.path(wrong)}/{wrong['metadata']['name']}").raise_for_status()
