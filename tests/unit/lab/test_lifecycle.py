"""One lab a machine; what a crash left is found by its names; credentials are as narrow as they claim."""

import fcntl
import ipaddress
import json
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from lab import __main__ as command_line
from lab import coldstart, controlplane, credentials, lifecycle, network, node, paths, processes

SAVED_RULES = """*nat
:PREROUTING ACCEPT [0:0]
:CNI-DN-0123456789abcdef01234 - [0:0]
:CNI-DN-aaaaaaaaaaaaaaaaaaaaa - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"sluice-lab\\" id: \\"77\\"" -m multiport --dports 8080 -j CNI-DN-0123456789abcdef01234
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"other\\" id: \\"78\\"" -m multiport --dports 80 -j CNI-DN-aaaaaaaaaaaaaaaaaaaaa
-A CNI-DN-0123456789abcdef01234 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.213.64.6:8080
COMMIT
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose lab belongs to the checkout /elsewhere and runs."""
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(lifecycle, "OWNER", tmp_path / "owner.json")
    monkeypatch.setattr(lifecycle, "_FOLDER", processes.ProcessFolder(tmp_path))
    monkeypatch.setattr(lifecycle, "_require_root", lambda _command: None)
    monkeypatch.setattr(lifecycle, "_tear_down", lambda: pytest.fail("a foreign lab was ended"))
    (tmp_path / "owner.json").write_text(json.dumps({"checkout": "/elsewhere"}))
    return tmp_path


@pytest.mark.parametrize("command", ["up", "down"])
def test_the_lab_of_another_checkout_is_left_alone(
    machine: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = processes.ProcessFolder(machine)
    folder.start("etcd", ["sleep", "60"])
    try:
        assert command_line.main([command]) == 1
    finally:
        folder.stop("etcd")
    message = capsys.readouterr().err
    assert "/elsewhere" in message
    assert "--force" in message


def test_two_commands_at_once_are_refused(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (machine / "lock").open("a+") as lock:
        lock.write("process 1 of /elsewhere")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert command_line.main(["down"]) == 1
    assert "process 1 of /elsewhere" in capsys.readouterr().err


def test_a_busy_port_is_told_before_anything_is_built(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "owner.json").unlink()
    monkeypatch.setattr(coldstart, "setup", lambda: pytest.fail("it was built first"))
    monkeypatch.setattr(network, "busy_ports", lambda: {"gateway": 8080})
    with pytest.raises(processes.LabError, match="8080"):
        lifecycle.up()


def test_only_our_host_port_rules_are_undone() -> None:
    commands = network.portmap_leftovers(SAVED_RULES)
    assert [command.split()[0] for command in commands] == ["-D", "-F", "-X"]
    assert not [command for command in commands if "other" in command or "aaaa" in command]


def test_the_guard_names_every_host_port() -> None:
    dropped = re.search(r"tcp dport \{ (.*) \} drop", network.guard_rules())
    assert dropped
    assert [int(port) for port in dropped.group(1).split(", ")] == [
        *network.HOST_PORTS.values(),
        *network.GATEWAY_PORTS.values(),
    ]


def test_a_port_that_somebody_listens_on_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(network, "HOST_PORTS", {"gateway": port})
        assert network.busy_ports() == {"gateway": port}
    assert network.busy_ports() == {}


def test_ranges_do_not_overlap() -> None:
    names = (network.POD_RANGE, network.SERVICE_RANGE, network.FAKE_POD_RANGE, f"{network.NODE_ADDRESS}/32")
    ranges = [ipaddress.ip_network(name) for name in names]
    assert not [(a, b) for a in ranges for b in ranges if a is not b and a.overlaps(b)]
    assert ipaddress.ip_address(network.DNS_ADDRESS) in ipaddress.ip_network(network.SERVICE_RANGE)


def test_every_identity_has_a_token_of_its_own(tmp_path: Path) -> None:
    made = credentials.create(tmp_path / "credentials", node="n1")
    tokens = {identity: made.token(identity) for identity in credentials.IDENTITIES}
    assert len(set(tokens.values())) == len(tokens)
    assert f'{tokens["kubelet"]},system:node:n1,kubelet,"system:nodes"' in made.tokens.read_text()


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    made = credentials.create(tmp_path / "credentials", node="n1")
    made.server_certificate.write_text("certificate")
    config = credentials.write_kubeconfig(tmp_path / "config", server="https://x", credentials=made, identity="admin")
    for path in (
        made.folder,
        made.tokens,
        made.service_account_key,
        made.kubelet_client[1],
        made.front_proxy_client[1],
        config,
    ):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_front_proxys_client_is_of_an_authority_of_its_own(tmp_path: Path) -> None:
    made = credentials.create(tmp_path / "credentials", node="n1")
    verify = ("openssl", "verify", "-CAfile")
    for authority, client in (
        (made.client_ca, made.kubelet_client[0]),
        (made.front_proxy_ca, made.front_proxy_client[0]),
    ):
        assert "OK" in processes.run([*verify, authority, client])
    with pytest.raises(processes.LabError):
        processes.run([*verify, made.client_ca, made.front_proxy_client[0]])


def test_existing_credentials_are_kept(tmp_path: Path) -> None:
    first = credentials.create(tmp_path / "credentials", node="n1").token("admin")
    assert credentials.create(tmp_path / "credentials", node="n1").token("admin") == first


def test_the_api_server_knows_who_is_who() -> None:
    arguments = controlplane.apiserver_arguments(node.PLANE)
    assert "--authorization-mode=Node,RBAC" in arguments
    assert "--enable-admission-plugins=NodeRestriction" in arguments
    # A server of a further API believes only this client when it says for whom it asks.
    assert "--requestheader-allowed-names=front-proxy-client" in arguments
    kubelet = json.dumps(node.kubelet_configuration())
    assert '"anonymous": {"enabled": false}' in kubelet
    assert '"authorization": {"mode": "Webhook"}' in kubelet


def test_a_flag_of_the_api_server_takes_the_place_of_the_usual_one() -> None:
    plane = replace(node.PLANE, api_flags=("--authorization-mode=AlwaysDeny", "--audit-log-path=-"))
    arguments = controlplane.apiserver_arguments(plane)
    assert [each for each in arguments if each.startswith("--authorization-mode")] == [
        "--authorization-mode=AlwaysDeny"
    ]
    assert "--audit-log-path=-" in arguments
    assert len(arguments) == len(controlplane.apiserver_arguments(node.PLANE)) + 1


@pytest.mark.parametrize("command", [[], *([name] for name in command_line._HANDLERS)])
def test_help_is_there_for_every_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main([*command, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 4
