"""docs/first-hour.md, block by block, for a user with only the page and a cluster that a demo left.

The only addition is a faster policy, so that an hour takes minutes.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import yaml

from demo import cluster as clusters
from demo import kept, setup
from demo.cluster import Cluster
from tests.support import patience
from tests.support.cases import objects
from tests.support.live import newcomer
from tests.support.live.newcomer import Newcomer, Terminal
from tests.support.live.scene import Scene, wait_until

PAGE: Final = clusters.ROOT / "docs" / "first-hour.md"
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND: Final = re.compile(r"`(kubectl [^`]+)`")
NAMESPACE: Final = "first-hour"
NAME: Final = "digits"
WHERE: Final = f"--namespace={NAMESPACE}"
POLICY: Final[dict[str, Any]] = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "RolloutPolicy",
    "metadata": {"name": NAMESPACE},
    "spec": {
        "steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}],
        "maximumRequestsAtRisk": 0,
        "scrapeIntervalSeconds": 5,
        "bakeSeconds": 5,
        "objectives": [
            {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "5%"}},
            {
                "name": "rejections",
                "failureRatio": {"source": "Gateway", "events": "ClientErrors", "ignoreBelow": "5%"},
            },
        ],
    },
}


class Block(NamedTuple):
    """One block of the page."""

    language: str
    code: str


def blocks() -> list[Block]:
    return [Block(match[1], match[2]) for match in BLOCK.finditer(PAGE.read_text())]


def named_commands() -> list[str]:
    """Commands in the middle of the page's sentences."""
    return COMMAND.findall(BLOCK.sub("", PAGE.read_text()))


@dataclass(slots=True)
class Hour:
    """Progress through the page. trains: whether the first model is trained, or taken from existing ones."""

    cluster: Cluster
    person: Newcomer
    trains: bool
    traffic: Terminal | None = None
    watching: Terminal | None = None

    @property
    def manifest(self) -> Path:
        return self.person.folder / "digits.yaml"

    @property
    def scene(self) -> Scene:
        return Scene(self.cluster, NAMESPACE)


@contextlib.contextmanager
def begun(cluster: Cluster, folder: Path, plugin: Path, *, trains: bool = True) -> Iterator[Hour]:
    """With the faster policy, and no traces of an earlier hour."""
    forget(cluster, wait=True)
    cluster.tools.apply(yaml.safe_dump(POLICY))
    with newcomer.arrives(cluster, folder, plugin) as person:
        yield Hour(cluster, person, trains)


def forget(cluster: Cluster, *, wait: bool) -> None:
    options = ("--ignore-not-found", f"--wait={str(wait).lower()}", "--timeout=240s")
    cluster.tools.kubectl("delete", "namespace", NAMESPACE, *options)
    cluster.tools.kubectl("delete", "rolloutpolicies.sluice.dev", NAMESPACE, "--ignore-not-found")


def whole(hour: Hour) -> None:
    """The page from its first block to its last, and the commands in its sentences."""
    for step, block in zip(STEPS, blocks(), strict=True):
        step.act(hour, block.code)
    missing = [each for each in named_commands() if not any(typed.startswith(each) for typed in hour.person.typed)]
    assert not missing, f"the page names commands that nobody has typed: {missing}"


def first_release(hour: Hour) -> None:
    """The page up to the end of its first release, which a person promotes."""
    for step, block in zip(STEPS, blocks(), strict=True):
        if step.act is _wait:
            wait_until(lambda: _under_way(hour), "the release has begun")
            hour.person.shell(f"kubectl sluice promote {NAME} --note 'only trying it out'")
            assert "serves" in hour.person.shell(block.code)
            return
        step.act(hour, block.code)


def _under_way(hour: Hour) -> bool:
    return any(not one.get("status", {}).get("outcome") for one in hour.scene.rollouts(NAME))


def _environment(hour: Hour, code: str) -> None:
    hour.person.source(code)


def _namespace(hour: Hour, code: str) -> None:
    hour.person.shell(code)
    assert hour.person.shell("kubectl config view --minify -o jsonpath={..namespace}") == NAMESPACE


def _save(hour: Hour, code: str) -> None:
    if hour.trains:
        hour.person.python(code)
    else:
        (hour.person.folder / "model.onnx").write_bytes(setup.prepared_models()["v1"].read_bytes())


def _upload(hour: Hour, code: str) -> None:
    hour.person.python(code)


def _secret(hour: Hour, code: str) -> None:
    hour.person.shell(code)


def _manifest(hour: Hour, code: str) -> None:
    assert code.startswith(f"# {hour.manifest.name}\n")
    hour.manifest.write_text(f"{code}  rollout:\n    policyRef: {{name: {NAMESPACE}}}\n")


def _serve(hour: Hour, code: str) -> None:
    said = hour.person.shell(code)
    until_it_serves = sum(hour.person.seconds[:2])
    assert "serves the requested version" in said
    _, curl = said.split("a prediction:\n")
    answer = hour.person.shell(curl)
    assert "200 OK" in answer, answer
    assert re.search(r"^x-model-revision: digits-", answer, re.MULTILINE), answer
    if hour.trains:
        print(f"\nuntil it serves: {until_it_serves / _by_hand(hour):.2f} times as long as the same pod by hand")


def _by_hand(hour: Hour) -> float:
    """Seconds until the pod that Sluice created is ready when created without Sluice."""
    [pod] = hour.cluster.tools.get("pods", WHERE, f"--selector=sluice.dev/model-deployment={NAME}")["items"]
    spec = {key: value for key, value in pod["spec"].items() if key not in ("nodeName", "readinessGates")}
    alone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "by-hand"}, "spec": spec}
    (hour.person.folder / "pod.yaml").write_text(yaml.safe_dump(alone))
    hour.person.shell("kubectl apply -f pod.yaml\nkubectl wait pod/by-hand --for=condition=Ready --timeout=240s")
    seconds = sum(hour.person.seconds)
    hour.person.shell("kubectl delete pod by-hand --wait=false")
    return seconds


def _predict(hour: Hour, code: str) -> None:
    said = hour.person.shell(code)
    assert re.search(r"^answered by digits-\w+ in ", said, re.MULTILINE), said
    assert '"label"' in said, said


def _traffic(hour: Hour, code: str) -> None:
    assert re.search(r"\[1-\d+\]", code), "the page sends requests without end"
    hour.traffic = hour.person.terminal("bash", "-c", code)


def _second_version(hour: Hour, line: str) -> None:
    """As good as the first, so it is the same file."""
    _publish(hour, 2)
    assert line in hour.manifest.read_text()


def _release(hour: Hour, code: str) -> None:
    """Without requests nothing is decided."""
    plan, applied = code.splitlines()
    assert "would be released by Canary" in hour.person.shell(plan)
    apply, watch = applied.split(" && ")
    assert hour.traffic is not None
    with hour.traffic.held():
        hour.person.shell(apply)
        hour.watching = hour.person.terminal("bash", "-c", watch)
        hour.person.shell(f"kubectl sluice wait {NAME} --timeout 1s   # exit status 3")


def _wait(hour: Hour, code: str) -> None:
    assert [*re.findall(r"\b(\d) [a-z]", code)] == ["0", "2", "3"], "exit statuses that the test knows"
    assert "serves" in hour.person.shell(code)
    assert "was promoted" in hour.person.shell(f"kubectl sluice explain {NAME}")
    assert hour.watching is not None
    assert "releasing: step 1 of 3, 20 %" in hour.watching.end()


def _bad_version(hour: Hour, code: str) -> None:
    save = _code_of(_save)
    for given, wanted in (("images[:1200]", "images[:1200, :32]"), ("[None, 64]", "[None, 32]")):
        assert f"`{wanted}`" in PAGE.read_text()
        save = _changed(save, given, wanted)
    hour.person.python(save)
    _publish(hour, 3)
    hour.person.shell(code)


def _outcome(hour: Hour, code: str) -> None:
    """One of the page's lines is what `status` says."""
    patterns = [re.escape(line).replace(r"\.\.\.", ".*") for line in code.splitlines()]
    found = [line for line in hour.person.said.splitlines() if any(re.fullmatch(each, line) for each in patterns)]
    assert len(found) == 1, hour.person.said
    assert "Current=False" in hour.person.said


def _explain(hour: Hour, code: str) -> None:
    """It is also retried, and ends in the same way."""
    said = hour.person.shell(code)
    assert "It was rolled back in step 1" in said, said
    assert re.search(r"^RolledBack .* s3://models/first-hour/3 *$", said, re.MULTILINE), said
    [requests] = re.findall(r"\band\s+([\d,]+)\s+candidate\s+requests:", said)
    print(f"\nthe bad version got {requests} requests")
    hour.person.shell(f"kubectl sluice retry {NAME}\nkubectl sluice wait {NAME}   # exit status 2")


def _feedback(hour: Hour, code: str) -> None:
    program = hour.person.folder / "feedback.py"
    program.write_text(code)
    opened = hour.person.terminal(newcomer.PYTHON, str(program))
    wait_until(lambda: "feedback_total{" in _counted(), f"the program counts answers: {opened.said}")


def _counted() -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{kept.FEEDBACK_PORT}/metrics", timeout=patience.HANG_SECONDS).text
    except httpx.TransportError:
        return ""


def _annotations(hour: Hour, code: str) -> None:
    """They are all that the program's pod needs."""
    file = hour.person.folder / newcomer.KEPT / kept.RELAY
    pod = yaml.safe_load(file.read_text())
    pod["metadata"] |= yaml.safe_load(code)["metadata"]
    file.write_text(yaml.safe_dump(pod))


def _relay(hour: Hour, code: str) -> None:
    hour.person.shell(code)
    wait_until(lambda: _scraped(hour.cluster), "Prometheus has the program's counters")


def _scraped(cluster: Cluster) -> bool:
    query = {"query": f'feedback_total{{namespace="{NAMESPACE}"}}'}
    answer = httpx.get(f"{cluster.prometheus}/api/v1/query", params=query, timeout=patience.HANG_SECONDS)
    return bool(answer.raise_for_status().json()["data"]["result"])


def _pod_monitor(hour: Hour, code: str) -> None:
    """Nothing on the lab reads it: an open definition makes the API server accept it."""
    [pod] = hour.cluster.tools.get("pods", WHERE, "--selector=app.kubernetes.io/name=feedback-relay")["items"]
    ports = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
    assert [each["port"] for each in yaml.safe_load(code)["spec"]["podMetricsEndpoints"]] == ports
    definition = objects.open_definition("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors")
    name, tools = f"crd/{definition['metadata']['name']}", hour.cluster.tools
    tools.apply(yaml.safe_dump(definition))
    try:
        tools.kubectl("wait", name, "--for=condition=Established", "--timeout=240s")
        (hour.person.folder / "monitor.yaml").write_text(code)
        hour.person.shell("kubectl apply -f monitor.yaml")
    finally:
        tools.kubectl("delete", name)


def _objectives(hour: Hour, code: str) -> None:
    """With them, a version that answers nonsense is rolled back."""
    head, objectives = code.split("\n", 1)
    assert head == "  rollout:"
    with hour.manifest.open("a") as file:  # below the policy's line
        file.write(objectives)
    hour.person.python(_changed(_code_of(_save), "labels[:1200]", "(labels[:1200] + 1) % 10"))
    _publish(hour, 4)
    hour.person.shell(f"kubectl apply -f {hour.manifest.name}\nkubectl sluice wait {NAME}   # exit status 2")
    said = hour.person.shell(f"kubectl sluice status {NAME}")
    assert re.search(r"^outcome    RolledBack  \w+: accuracy: ", said, re.MULTILINE), said


class Step(NamedTuple):
    language: str
    act: Callable[[Hour, str], None]


STEPS: Final = (
    Step("sh", _environment),
    Step("sh", _namespace),
    Step("python", _save),
    Step("python", _upload),
    Step("sh", _secret),
    Step("yaml", _manifest),
    Step("sh", _serve),
    Step("sh", _predict),
    Step("sh", _traffic),
    Step("yaml", _second_version),
    Step("sh", _release),
    Step("sh", _wait),
    Step("sh", _bad_version),
    Step("text", _outcome),
    Step("sh", _explain),
    Step("python", _feedback),
    Step("yaml", _annotations),
    Step("sh", _relay),
    Step("yaml", _pod_monitor),
    Step("yaml", _objectives),
)
"""What to do with each block of the page, in its order."""


def _code_of(act: Callable[[Hour, str], None]) -> str:
    """The page's block of a step."""
    return next(block.code for step, block in zip(STEPS, blocks(), strict=True) if step.act is act)


def _publish(hour: Hour, version: int) -> None:
    """Uploads the latest model under its own path, and changes the one line of the manifest."""
    hour.person.python(_changed(_code_of(_upload), "first-hour/1/", f"first-hour/{version}/"))
    line = _changed(_code_of(_second_version), "first-hour/2", f"first-hour/{version}")
    text, changed = re.subn(r"^ +uri: .*\n", line, hour.manifest.read_text(), flags=re.MULTILINE)
    assert changed == 1
    hour.manifest.write_text(text)


def _changed(code: str, given: str, wanted: str) -> str:
    assert code.count(given) == 1, f"{code}\nhas {given!r} {code.count(given)} times"
    return code.replace(given, wanted)
