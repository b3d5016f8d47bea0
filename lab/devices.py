"""Fake accelerators on the real node: a device plugin of our own, registered at the kubelet.

The kubelet counts, assigns and takes back these devices as it does with real ones; there is nothing behind them. A
container learns which ones it got from the variable SLUICE_LAB_DEVICES.

    kubelet.sock  <──Register──  plugin        kubelet  ──ListAndWatch, Allocate──>  sluice-lab-devices.sock

The API is k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto. All of its fields that are used here are strings and
messages, which the few lines at the end read and write, so that no code generator is needed.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Final

import grpc

from lab import console, lifecycle, node, paths, processes

RESOURCE: Final = "nvidia.com/gpu"
PROCESS: Final = "devices"
FOLDER: Final = Path("/var/lib/kubelet/device-plugins")  # fixed in the kubelet, whatever its --root-dir is
KUBELET_SOCKET: Final = FOLDER / "kubelet.sock"
SOCKET: Final = FOLDER / "sluice-lab-devices.sock"
API_VERSION: Final = "v1beta1"
VARIABLE: Final = "SLUICE_LAB_DEVICES"
REGISTER_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0
APPEAR_SECONDS: Final = 40.0
"""The kubelet writes a changed node status within ten seconds."""

_FOLDER: Final = processes.ProcessFolder(paths.STATE)


def ensure(count: int, resource: str = RESOURCE) -> None:
    """Bring the running lab's node to exactly this many devices; 0 ends the plugin. Pods keep the devices that they have."""
    lifecycle.require_running("devices")
    with console.step(f"{count} {resource}"):
        _FOLDER.stop(PROCESS)
        if count:
            _FOLDER.start(PROCESS, [sys.executable, "-m", "lab.devices", resource, str(count)])
        processes.wait_until(
            lambda: allocatable(resource) == count,
            what=f"{count} {resource} on node {node.NAME}",
            timeout_seconds=APPEAR_SECONDS,
            hint=f"See {_FOLDER.log(PROCESS)} and {_FOLDER.log('kubelet')}.",
        )


def allocatable(resource: str = RESOURCE) -> int:
    """What the node offers now."""
    path = "{.status.allocatable." + resource.replace(".", r"\.") + "}"
    return int(node.kubectl("get", "node", node.NAME, f"--output=jsonpath={path}") or 0)


class Plugin:
    """Answers the kubelet; all devices are healthy until the plugin ends."""

    def __init__(self, devices: tuple[str, ...]) -> None:
        self._devices = devices
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()

    def handler(self) -> Any:
        """The methods that a kubelet calls; what is left out is announced by no option."""
        methods = {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(lambda _request, _context: b""),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(self._watch),
            "Allocate": grpc.unary_unary_rpc_method_handler(_allocated),
        }
        return grpc.method_handlers_generic_handler(f"{API_VERSION}.DevicePlugin", methods)

    def _watch(self, _request: bytes, context: Any) -> Iterator[bytes]:
        yield b"".join(field(1, field(1, device.encode()) + field(2, b"Healthy")) for device in self._devices)
        while context.is_active() and not self._ended.wait(LOOK_SECONDS):
            pass


def serve(resource: str, count: int) -> None:
    """Offer the devices until SIGTERM, again after every restart of the kubelet, which removes all plugins' sockets."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    while not ending.is_set():
        plugin = Plugin(tuple(f"fake-{index}" for index in range(count)))
        SOCKET.unlink(missing_ok=True)
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), handlers=(plugin.handler(),))
        server.add_insecure_port(f"unix://{SOCKET}")
        server.start()
        try:
            register(resource)
            while SOCKET.exists() and not ending.wait(LOOK_SECONDS):
                pass
        except grpc.RpcError as error:
            print(f"devices: the kubelet does not answer: {error}; tried again", flush=True)
            ending.wait(LOOK_SECONDS)
        plugin.end()
        server.stop(grace=1).wait()
    SOCKET.unlink(missing_ok=True)


def register(resource: str) -> None:
    """Tell the kubelet where the plugin listens, and for which resource."""
    request = field(1, API_VERSION.encode()) + field(2, SOCKET.name.encode()) + field(3, resource.encode())
    # Without an authority of its own the client would send the percent-encoded path, which the kubelet's server refuses.
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix://{KUBELET_SOCKET}", options=options) as channel:
        channel.unary_unary(f"/{API_VERSION}.Registration/Register")(request, timeout=REGISTER_SECONDS)
    print(f"devices: registered {resource} at {time.strftime('%H:%M:%S')}", flush=True)


def _allocated(request: bytes, _context: Any) -> bytes:
    """AllocateResponse: each container is told its devices."""
    return b"".join(
        field(1, field(1, field(1, VARIABLE.encode()) + field(2, b",".join(values(container, 1)))))
        for container in values(request, 1)
    )


def field(number: int, content: bytes) -> bytes:
    """A string, a message or an entry of a map in the wire format of Protocol Buffers."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def values(message: bytes, number: int) -> list[bytes]:
    """All contents of one field, in a message that has only strings and messages."""
    found, position = [], 0
    while position < len(message):
        key = message[position]
        length, start = _read_varint(message, position + 1)
        if key == number << 3 | 2:
            found.append(message[start : start + length])
        position = start + length
    return found


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while message[position] & 0x80:
        value |= (message[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | message[position] << shift, position + 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Offers fake devices to the kubelet of this machine.")
    parser.add_argument("resource")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    serve(options.resource, options.count)
