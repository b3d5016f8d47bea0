"""An API server without a node, for tests: etcd, kube-apiserver and the controllers that own objects' life and death.

It needs no root, listens on free ports of 127.0.0.1, keeps everything in one folder and may run beside the full lab:

    server = apiserver.start(tmp_path / "control-plane")
    ... server.kubeconfig ...
    server.stop()
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import controlplane, credentials, freeports, gotools, processes

CONTROLLERS: Final = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
)
ADVERTISED: Final = "192.0.2.1"  # documentation address (RFC 5737); nothing connects to it, loopback is refused
STOP_ORDER: Final = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
STOP_GRACE_SECONDS: Final = 1  # kube-apiserver lingers for open watches; its data is thrown away or in etcd


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running API server. kubeconfig: cluster administrator. url: https address. kubectl: path of the program."""

    directory: Path
    kubeconfig: Path
    url: str
    kubectl: Path
    flags: tuple[str, ...] = ()

    def stop(self) -> None:
        stop(self.directory)

    def restart(self) -> None:
        """End kube-apiserver and start it again on the same port with the same data, as a crash or an upgrade would."""
        folder = processes.ProcessFolder(self.directory)
        folder.stop("kube-apiserver", grace_seconds=STOP_GRACE_SECONDS)
        controlplane.start_api(_plane(self.directory, dies_with_caller=True, flags=self.flags))

    def with_data(self, change: Callable[[Path], object]) -> None:
        """End etcd and kube-apiserver, copy or replace etcd's folder, and start both again: a backup, or its restoration."""
        folder = processes.ProcessFolder(self.directory)
        folder.stop("kube-apiserver", "etcd", grace_seconds=STOP_GRACE_SECONDS)
        change(self.directory / "etcd")
        controlplane.start_api(_plane(self.directory, dies_with_caller=True, flags=self.flags))


def start(
    directory: Path,
    *,
    dies_with_caller: bool = True,
    flags: Sequence[str] = (),
    controllers: Sequence[str] = (),
    scheduler: bool = False,
    crds: Sequence[Path] = (),
) -> ApiServer:
    """Start from nothing in `directory`; whatever an earlier run left in it is ended and removed.

    dies_with_caller: end the processes with the calling process, so that an aborted test run leaves nothing behind.
    flags: of kube-apiserver, in place of the usual ones of these names.
    controllers: beside the usual ones. scheduler: whether pods are bound to nodes.
    crds: files of definitions that are served before the garbage collector starts, which looks for new kinds only every
    30 s: until then it deletes nothing that waits for it.
    """
    gotools.ensure("kubernetes", "etcd")
    stop(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ports").write_text(" ".join(map(str, [freeports.take() for _ in range(3)])))
    plane = _plane(directory, dies_with_caller=dies_with_caller, flags=tuple(flags))
    controlplane.start_api(plane)
    kubeconfig = credentials.write_kubeconfig(
        directory / "kubeconfig", server=plane.url, credentials=plane.credentials, identity="admin"
    )
    if crds:
        command: list[str | Path] = [gotools.program("kubectl"), f"--kubeconfig={kubeconfig}"]
        files = [f"--filename={crd}" for crd in crds]
        processes.run([*command, "create", *files])
        processes.run([*command, "wait", "--for=condition=Established", "--timeout=60s", *files])
    controlplane.start_controllers(plane, only=(*CONTROLLERS, *controllers))
    if scheduler:
        controlplane.start_scheduler(plane)
    return ApiServer(
        directory=directory,
        kubeconfig=kubeconfig,
        url=plane.url,
        kubectl=gotools.program("kubectl"),
        flags=tuple(flags),
    )


def stop(directory: Path) -> None:
    """End what was recorded in `directory` and remove the cluster's state; logs stay. Does nothing when all is gone."""
    processes.ProcessFolder(directory).stop(*STOP_ORDER, grace_seconds=STOP_GRACE_SECONDS)
    for name in ("etcd", "credentials", "kubeconfigs"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in ("ports", "kubeconfig"):
        (directory / name).unlink(missing_ok=True)


def _plane(directory: Path, *, dies_with_caller: bool, flags: tuple[str, ...] = ()) -> controlplane.ControlPlane:
    port, etcd_port, etcd_peer_port = map(int, (directory / "ports").read_text().split())
    return controlplane.ControlPlane(
        state=directory,
        node="none",
        address="127.0.0.1",
        advertised=ADVERTISED,
        port=port,
        etcd_port=etcd_port,
        etcd_peer_port=etcd_peer_port,
        service_range="10.96.0.0/16",
        pod_range="10.97.0.0/16",
        dies_with_caller=dies_with_caller,
        api_flags=flags,
    )
