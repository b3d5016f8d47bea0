"""Addresses that no model may come from: those of the machine, and of what tells a pod's identity to whoever asks there."""

import ipaddress
import socket
from collections.abc import Iterator

import pytest
from sluice_storage import addresses
from sluice_storage.addresses import AddressRefused, Policy
from sluice_storage.stores import transfer

from tests.support.stores import bucket, webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.webserver import Page, WebServer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """It stands for a cloud's metadata: its address is refused in the same way."""
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", ())
    with webserver.running() as server:
        server.pages["/latest/meta-data/iam"] = Page(b"s3cret")
        yield server


@pytest.fixture
def stranger(downloader: Downloader) -> Downloader:
    """Without the leave to fetch from this machine."""
    downloader.on_this_machine = False
    return downloader


def require_refused(outcome: Outcome, web: WebServer) -> None:
    assert web.asked == []
    assert outcome.files == {}
    assert outcome.message.startswith("StoreUnreachable: ")
    assert "its address is not allowed: 127.0.0.1 is a loopback address" in outcome.message
    assert "config.storageInitializer.allowedAddresses" in outcome.message


def test_a_name_is_no_way_around(web: WebServer, stranger: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    require_refused(stranger.run(web.url("/latest/meta-data/iam")), web)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **also: real("127.0.0.1", *more, **also))
    require_refused(stranger.run(f"http://models.team.svc:{web.port}/latest/meta-data/iam"), web)


def test_the_address_counts_that_is_connected_to(
    web: WebServer, stranger: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means something else each time that it is looked up (DNS rebinding)."""
    real, asked = socket.getaddrinfo, []

    def rebinding(host: str, *more: object, **also: object) -> object:
        asked.append(host)
        return real("192.0.2.1" if len(asked) < 2 else "127.0.0.1", *more, **also)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(transfer, "CONNECT_SECONDS", 0.05)
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
    outcome = stranger.run(f"http://models.team.svc:{web.port}/latest/meta-data/iam")
    assert len(asked) == 2
    require_refused(outcome, web)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "017700000001"])
def test_a_number_is_no_name_of_a_service(host: str, web: WebServer, downloader: Downloader) -> None:
    outcome = downloader.run(f"http://{host}:{web.port}/latest/meta-data/iam")
    assert web.asked == []
    assert outcome.message.startswith(f"UnsupportedModel: spec.model.uri 'http://{host}:")


def test_a_redirect_is_looked_at(web: WebServer, downloader: Downloader, stranger: Downloader) -> None:
    target = f"http://0.0.0.0:{web.port}/latest/meta-data/iam"  # this machine, in other words
    web.pages["/model.onnx"] = Page(status=302, headers={"Location": target})
    downloader.on_this_machine = True
    outcome = downloader.run(web.url("/model.onnx"))
    assert [path for path, _, _ in web.asked] == ["/model.onnx"]
    assert "its address is not allowed: 0.0.0.0 is no host's" in outcome.message


def test_an_endpoint_of_a_secret_is_looked_at(
    web: WebServer, stranger: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket.KEYS.items():
        monkeypatch.setenv(name, value)
    bucket.publish(web, {"m/model": b"x"})
    for host in ("127.0.0.1", "localhost", "2130706433"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{web.port}")
        require_refused(stranger.run("s3://models/m"), web)
    monkeypatch.setenv("HF_ENDPOINT", f"http://localhost:{web.port}")
    require_refused(stranger.run("hf://acme/digits"), web)


def test_a_registry_and_its_realm_are_looked_at(
    web: WebServer, downloader: Downloader, stranger: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG_JSON", raising=False)
    uri = f"oci://localhost:{web.port}/acme/digits:1"
    require_refused(stranger.run(uri, "--plain-http"), web)
    challenge = {"WWW-Authenticate": f'Bearer realm="http://0.0.0.0:{web.port}/latest/meta-data/iam"'}
    web.pages["/v2/"] = Page(status=401, headers=challenge)
    stranger.on_this_machine = True
    outcome = stranger.run(uri, "--plain-http")
    assert [path for path, _, _ in web.asked] == ["/v2/"]
    assert "0.0.0.0 is no host's" in outcome.message


def test_a_proxy_is_no_way_around(web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes the connection, and nobody here sees where to."""
    monkeypatch.setenv("https_proxy", web.url(""))
    monkeypatch.setenv("http_proxy", web.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    outcome = downloader.run(f"https://169.254.169.254:{web.port}/latest/meta-data/iam")
    assert "169.254.169.254 is a link-local address" in outcome.message
    assert web.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254.", "[::ffff:169.254.169.254]", "0xa9fea9fe", "0251.0376.0251.0376"])
def test_no_spelling_of_an_address_is_a_name_for_a_proxy(
    host: str, web: WebServer, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", web.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    assert "is a link-local address" in downloader.run(f"https://{host}/latest/meta-data/iam").message
    assert web.asked == []


def test_what_is_allowed_is_reached(web: WebServer, stranger: Downloader) -> None:
    outcome = stranger.run(web.url("/latest/meta-data/iam"), "--allow-addresses", "127.0.0.0/8")
    assert outcome.files == {"iam": b"s3cret"}


NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
]
NEVER += ["fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "ff02::1"]
NEVER += ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::ffff:127.0.0.1"]
NEVER += ["::127.0.0.1", "64:ff9b:1::a9fe:a9fe", "2001:0:a9fe:a9fe::"]
INSIDE = [
    "198.18.0.1",
    "fec0::1",
    "10.213.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.0.0.1",
]
OUTSIDE = ["192.0.2.1", "93.184.215.14", "2600::1", "172.32.0.1", "11.0.0.1"]


def refused(address: str, policy: Policy) -> bool:
    return bool(policy.refusal(ipaddress.ip_address(address.partition("%")[0])))


def test_which_addresses_are_refused() -> None:
    assert [address for address in NEVER if not refused(address, Policy())] == []
    assert [address for address in INSIDE + OUTSIDE if refused(address, Policy())] == []
    assert [address for address in NEVER + INSIDE if not refused(address, Policy(private=False))] == []
    assert [address for address in OUTSIDE if refused(address, Policy(private=False))] == []
    only = Policy(addresses.networks(["10.213.0.0/16", "fe80::1"]), private=False)
    assert [address for address in NEVER + INSIDE if not refused(address, only)] == [
        "fe80::1",
        "fe80::1%eth0",
        "10.213.0.1",
    ]


def test_every_connection_of_the_process_is_looked_at() -> None:
    with addresses.checked(Policy()), socket.socket() as connection:
        with pytest.raises(AddressRefused, match="is a loopback address"):
            connection.connect(("127.0.0.1", 1))
        with pytest.raises(AddressRefused, match="is a name"):
            connection.connect(("localhost", 1))
        with pytest.raises(AddressRefused):
            connection.connect_ex(("127.0.0.1", 1))
    with socket.socket() as connection, pytest.raises(ConnectionRefusedError):
        connection.connect(("127.0.0.1", 1))


def test_a_providers_own_client_may_ask_who_its_pod_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys and without an address from a Secret; and nothing else of that network."""
    from sluice_storage.stores.s3 import S3

    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    with addresses.checked(Policy()):
        with pytest.raises(AddressRefused):
            addresses.require_allowed("169.254.169.254")
        S3("s3://models/m")
        addresses.require_allowed("169.254.169.254")
        for other in ("169.254.1.1", "127.0.0.1"):
            with pytest.raises(AddressRefused):
                addresses.require_allowed(other)
    with addresses.checked(Policy()):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://169.254.169.254")
        S3("s3://models/m")
        with pytest.raises(AddressRefused):
            addresses.require_allowed("169.254.169.254")
