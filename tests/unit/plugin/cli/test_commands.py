"""The parts of commands that are not views: durations, requests, addresses, exit codes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import app, console, durations, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget
from kubectl_sluice.cli.releases import predict, steer
from kubectl_sluice.cli.releases.steer import Request
from sluice_core import errors
from sluice_core.api.v1alpha1.intent import Action
from tests.unit.plugin.cli import fakes
from tests.unit.plugin.views.builders import make_deployment, make_rollout

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    ("text", "want"), [("30s", 30), ("5m", 300), ("1h", 3600), ("1h30m", 5400), ("2d", 172_800), ("45", 45)]
)
def test_durations(text: str, want: int) -> None:
    assert durations.parse_seconds(text) == want


@pytest.mark.parametrize("text", ["", "h", "1w", "1.5h", "-5m", "5m later"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; use 30s"):
        durations.parse_seconds(text)


@pytest.mark.parametrize(
    ("previous", "want"),
    [
        (None, "2026-03-01T12:00:00.123Z"),
        ("2026-03-01T11:00:00Z", "2026-03-01T12:00:00.123Z"),
        ("2026-03-01T12:00:00.123Z", "2026-03-01T12:00:00.124Z"),
        ("2026-03-01T12:00:09Z", "2026-03-01T12:00:09.001Z"),
    ],
)
def test_request_times_increase(previous: str | None, want: str) -> None:
    assert steer.next_request_time(NOW, previous) == want


@pytest.mark.parametrize(
    ("gateway", "want"),
    [
        ({}, None),
        ({"status": {"addresses": []}}, None),
        ({"status": {"addresses": [{"value": "10.0.0.1"}]}}, "http://10.0.0.1:80"),
        (
            {
                "status": {"addresses": [{"value": "gw.example.com"}]},
                "spec": {"listeners": [{"protocol": "TCP", "port": 1}, {"protocol": "HTTPS", "port": 443}]},
            },
            "https://gw.example.com:443",
        ),
        (
            {
                "status": {"addresses": [{"value": "fd00::1"}]},
                "spec": {"listeners": [{"protocol": "HTTP", "port": 8080}]},
            },
            "http://[fd00::1]:8080",
        ),
    ],
)
def test_gateway_url(gateway: dict[str, Any], want: str | None) -> None:
    assert cluster.gateway_url(gateway) == want


class FakeKubectl:
    """Answers like the adapter; the first `conflicts` writes find the object changed."""

    def __init__(self, *, conflicts: int = 0, names: tuple[str, ...] = ("digits",), config: Any = None) -> None:
        self.namespace = "default"
        self.operator_namespace = ""
        self.conflicts, self.names = conflicts, names
        self.deployments, self.config = fakes.operator(config or {})[:1], fakes.operator(config or {})[1]
        self.written: list[tuple[str, dict[str, Any]]] = []

    async def fetch(self, kind: Any, namespace: str, name: str) -> Any:
        if kind.kind == "ConfigMap":
            return self.config
        if name not in self.names:
            raise kubectl.NotFound("no")
        return make_deployment(name=name).to_wire()

    async def fetch_names(self, kind: str, namespace: str) -> list[str]:
        return list(self.names)

    async def fetch_rollouts(self, namespace: str, deployment: str) -> Any:
        return [make_rollout(), make_rollout(attempt=2, sequence=2)]

    async def patch_intent(self, rollout: Any, intent: dict[str, Any]) -> None:
        if self.conflicts > 0:
            self.conflicts -= 1
            raise errors.Conflict("changed")
        self.written.append((rollout.metadata.name, intent))

    async def fetch_all(self, kind: Any, *, namespace: str, selector: str) -> Any:
        return self.deployments

    async def fetch_gateway(self, ref: Any) -> Any:
        return None


def make_session(fake: FakeKubectl, name: str = "digits") -> cluster.Session:
    return cluster.Session(
        cast("kubectl.Kubectl", fake), ModelTarget(name=name, namespace=None, context=None, kubeconfig=None)
    )


async def test_a_request_goes_to_the_newest_release_even_after_conflicts() -> None:
    fake = FakeKubectl(conflicts=2)
    await steer.write(make_session(fake), Request(Action.PAUSE, "alice", None))
    [(name, intent)] = fake.written
    assert name == "digits-2222222222-2"
    assert (intent["action"], intent["requestedBy"], intent["note"]) == ("Pause", "alice", None)


async def test_endless_conflicts_end() -> None:
    with pytest.raises(console.Failure, match="kept changing"):
        await steer.write(make_session(FakeKubectl(conflicts=99)), Request(Action.PAUSE, "alice", None))


async def test_a_request_without_sense_is_not_written() -> None:
    fake = FakeKubectl()
    with pytest.raises(console.Failure, match=r"Resume is not possible: .* is not paused"):
        await steer.write(make_session(fake), Request(Action.RESUME, "alice", None))
    assert not fake.written


@pytest.mark.parametrize(
    ("names", "want"),
    [(("digits", "churn"), "did you mean digits"), (("churn",), "there are: churn"), ((), "there are none at all")],
)
async def test_similar_names_are_suggested(names: tuple[str, ...], want: str) -> None:
    with pytest.raises(console.Failure, match=want):
        await make_session(FakeKubectl(names=names), "digitz").fetch()


@pytest.mark.parametrize(
    ("given", "config", "want"),
    [
        ("http://127.0.0.1:1", {"gatewayUrl": "http://10.0.0.1"}, "http://127.0.0.1:1"),
        (None, {"gatewayUrl": "http://10.0.0.1"}, "http://10.0.0.1"),
    ],
)
async def test_address(given: str | None, config: Any, want: str) -> None:
    address = await make_session(FakeKubectl(config=config)).fetch_address(make_deployment(), given)
    assert (address.gateway, address.host, address.model) == (want, "digits.default.models.local", "digits")


@pytest.mark.parametrize(("given", "want"), [(None, "SLUICE_GATEWAY"), ("127.0.0.1:8080", "is not an address")])
async def test_no_address(given: str | None, want: str) -> None:
    with pytest.raises(console.Failure, match=want):
        await make_session(FakeKubectl()).fetch_address(make_deployment(), given)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], exits.OK, ""),
        (["wait", "digits", "--timeout", "soon"], exits.USAGE, "'soon' is not a duration"),
        (["nonsense"], exits.USAGE, "No such command"),
        (["explain"], exits.USAGE, "NAME"),
        (["predict", "digits"], exits.FAILED, "-f body.json"),
        (["status", "digits"], exits.FAILED, "no cluster to talk to"),
        (["rollback", "digits", "--to", "x"], exits.FAILED, "no cluster to talk to"),
        (["plan"], exits.USAGE, "--file"),
        (["plan", "-f", "/nowhere.yaml"], exits.FAILED, "/nowhere.yaml: cannot be read"),
        (["replay", "/nowhere.jsonl"], exits.USAGE, "--policy"),
        (["record", "digits", "--since", "soon"], exits.USAGE, "'soon' is not a duration"),
        (["record", "digits", "--aa", "--against", "x"], exits.FAILED, "exclude each other"),
        (["completion", "csh"], exits.USAGE, "csh"),
    ],
)
def test_exit_codes(
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("{}")
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("sys.argv", ["kubectl-sluice", *arguments])
    assert app.main() == code
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


def test_body_must_be_json(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text("{inputs: 1}")
    with pytest.raises(console.Failure, match="this is not JSON"):
        predict.read_body(str(body))
    body.write_text(json.dumps({"inputs": []}))
    assert predict.read_body(str(body)) == b'{"inputs": []}'


def leaves(group: Any, path: str = "") -> dict[str, Any]:
    """All commands by what is typed for them, such as `runtime check`."""
    found: dict[str, Any] = {}
    for name, each in group.commands.items():
        found |= leaves(each, f"{path}{name} ") if hasattr(each, "commands") else {f"{path}{name}": each}
    return found


COMMANDS = leaves(typer.main.get_command(app.app))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options(name: str) -> None:
    text = Path("docs/cli.md").read_text()
    assert f"`{name} " in text or f"sluice {name} " in text
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and parameter.name not in ("help", "file", "watch"):
            assert any(option in text for option in parameter.opts)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_typed_with_its_defaults(name: str) -> None:
    needed = [each for each in COMMANDS[name].params if each.required]
    value = "bash" if name == "completion" else "x"
    words = [word for each in needed for word in ([each.opts[0]] * (each.param_type_name == "option") + [value])]
    context = COMMANDS[name].make_context(name, words)
    assert {each.name for each in needed} <= context.params.keys()


# bom prints nothing but JSON.
@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"bom", "completion", "dashboard", "record"}))
def test_everything_can_be_printed_for_programs(name: str) -> None:
    assert "output" in {parameter.name for parameter in COMMANDS[name].params}
