"""The lab's device plugin, asked over its socket as the kubelet asks."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from lab import devices
from tests.support import patience


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[grpc.Channel]:
    """A channel to a plugin with two devices."""
    plugin = devices.Plugin(("a", "b"))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), handlers=(plugin.handler(),))
    address = f"unix://{tmp_path / 'plugin.sock'}"
    server.add_insecure_port(address)
    server.start()
    with grpc.insecure_channel(address, options=[("grpc.default_authority", "localhost")]) as channel:
        yield channel
    plugin.end()
    server.stop(grace=1).wait()


def asked(channel: grpc.Channel, method: str, request: bytes = b"") -> Any:
    return channel.unary_unary(f"/v1beta1.DevicePlugin/{method}")(request, timeout=patience.HANG_SECONDS)


def test_all_devices_are_listed_as_healthy(channel: grpc.Channel) -> None:
    answers = channel.unary_stream("/v1beta1.DevicePlugin/ListAndWatch")(b"", timeout=patience.HANG_SECONDS)
    listed = [(devices.values(device, 1), devices.values(device, 2)) for device in devices.values(next(answers), 1)]
    answers.cancel()
    assert listed == [([b"a"], [b"Healthy"]), ([b"b"], [b"Healthy"])]


def test_each_container_is_told_its_own_devices(channel: grpc.Channel) -> None:
    containers = [devices.field(1, b"a") + devices.field(1, b"b"), devices.field(1, b"c")]
    answer = asked(channel, "Allocate", b"".join(devices.field(1, ids) for ids in containers))
    variables = [devices.values(container, 1)[0] for container in devices.values(answer, 1)]
    assert [(devices.values(entry, 1), devices.values(entry, 2)) for entry in variables] == [
        ([b"SLUICE_LAB_DEVICES"], [b"a,b"]),
        ([b"SLUICE_LAB_DEVICES"], [b"c"]),
    ]


def test_no_option_is_announced(channel: grpc.Channel) -> None:
    assert asked(channel, "GetDevicePluginOptions") == b""


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 20_000])
def test_a_long_field_is_read_back(length: int) -> None:
    message = devices.field(1, b"x" * length) + devices.field(2, b"y")
    assert (devices.values(message, 1), devices.values(message, 2)) == ([b"x" * length], [b"y"])
