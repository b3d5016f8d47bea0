"""Up, down and status of the one lab that a machine can have.

up:    packages, programs, images (all cached) -> network -> containerd, control plane -> agents -> add-ons
down:  agents -> containers -> containerd, control plane -> mounts -> network -> the cluster's state
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from lab import (
    addons,
    baseimages,
    coldstart,
    console,
    containerd,
    controlplane,
    credentials,
    gotools,
    images,
    network,
    node,
    paths,
    processes,
)

OWNER: Final = paths.STATE / "owner.json"
ADDONS_TIMEOUT_SECONDS: Final = 180
KEPT: Final = ("containerd", "imported", "logs", "lock")  # below the state folder, over `down`
_FOLDER: Final = processes.ProcessFolder(paths.STATE)


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` prints. state: `running`, `damaged` (some processes ended) or `stopped`. Addresses are URLs."""

    state: str
    owner: str
    kubeconfig: str
    gateway: str
    prometheus: str
    objectStore: str
    kubectl: str
    helm: str
    processes: dict[str, str]


def up(*images: coldstart.Step) -> Status:
    """Bring the lab up; quick when it runs already. Raises LabError when another checkout's lab runs.

    images: made meanwhile, unless it runs; see `coldstart.setup`.
    """
    _require_root("up")
    with _machine_lock():
        if _any_alive():
            _refuse_foreign()
            return _require_healthy()
        if OWNER.exists():
            with console.step("clean up after a lab that ended by itself"):
                _tear_down()
        _refuse_busy_ports()
        coldstart.setup(*images)
        _start()
    return status()


def down(*, force: bool = False) -> None:
    """End the lab and remove the cluster's state; images stay. force: also one that another checkout started."""
    _require_root("down")
    with _machine_lock():
        if _any_alive() and not force:
            _refuse_foreign()
        with console.step("end the lab"):
            _tear_down()


def require_running(what: str) -> None:
    """Raises LabError, in the name of what needs the lab, unless it runs."""
    if status().state != "running":
        raise processes.LabError(f"{what}: the lab is not running; start it with `python3 -m lab up`")


def status() -> Status:
    owner = _owner()
    running = {name: _FOLDER.is_running(name) for name in node.PROCESSES}
    state = "running" if all(running.values()) else "damaged" if any(running.values()) else "stopped"
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in network.HOST_PORTS.items()}
    return Status(
        state=state,
        owner=owner,
        kubeconfig=str(node.PLANE.kubeconfig("admin") if owner != str(paths.REPOSITORY) else paths.KUBECONFIG),
        kubectl=str(gotools.program("kubectl")),
        helm=str(gotools.program("helm")),
        processes={name: "running" if alive else "ended" for name, alive in running.items()},
        **addresses,
    )


def _start() -> None:
    paths.STATE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(paths.STATE / "logs", ignore_errors=True)
    OWNER.write_text(json.dumps({"checkout": str(paths.REPOSITORY), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}))
    with console.step("network and containerd"):
        network.create(containerd.cni_folder())
        containerd.start()
    with console.step("etcd and kube-apiserver"):
        controlplane.start_api(node.PLANE)
    with console.step("controllers, scheduler, kubelet, kube-proxy, CoreDNS"):
        controlplane.start_controllers(node.PLANE)
        controlplane.start_scheduler(node.PLANE)
        node.start_agents()
    images.bring_to_node(*baseimages.tags_on_node())
    with console.step("add-ons applied"):
        addons.apply(node.PLANE.kubeconfig("admin"), local_images=True)
    with console.step("node Ready"):
        node.wait_until_ready()
    with console.step("add-ons Ready"):
        addons.wait_until_ready(node.PLANE.kubeconfig("admin"), timeout_seconds=ADDONS_TIMEOUT_SECONDS)
    _write_own_kubeconfig()


def _tear_down() -> None:
    """Idempotent, and careful about what a crash may have left half done."""
    _FOLDER.stop("devices", "metrics", "kwok", "coredns", "kube-proxy", "kubelet", grace_seconds=3)
    containerd.end_containers()
    _FOLDER.stop("containerd", "kube-scheduler", "kube-controller-manager", grace_seconds=3)
    _FOLDER.stop("kube-apiserver", "etcd", grace_seconds=1)
    containerd.unmount(containerd.RUN, paths.STATE)
    containerd.remove_empty_cgroups()
    network.remove()
    if paths.STATE.exists():
        for entry in paths.STATE.iterdir():
            if entry.name not in KEPT:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.rmtree(containerd.RUN, ignore_errors=True)
    paths.KUBECONFIG.unlink(missing_ok=True)


def _write_own_kubeconfig() -> None:
    credentials.write_kubeconfig(
        paths.KUBECONFIG, server=node.PLANE.url, credentials=node.PLANE.credentials, identity="admin"
    )


def _require_healthy() -> Status:
    found = status()
    ended = [name for name, state in found.processes.items() if state != "running"]
    if ended:
        raise processes.LabError(
            f"The lab is damaged: {', '.join(ended)} ended (logs in {paths.STATE / 'logs'}); "
            "run `python3 -m lab down`, then `python3 -m lab up`."
        )
    with console.step("the lab is already running: check"):
        node.wait_until_ready()
        addons.wait_until_ready(node.PLANE.kubeconfig("admin"), timeout_seconds=ADDONS_TIMEOUT_SECONDS)
    _write_own_kubeconfig()
    return found


def _refuse_foreign() -> None:
    owner = _owner()
    if owner != str(paths.REPOSITORY):
        raise processes.LabError(
            f"A lab that {owner} started is running on this machine, and a machine can have only one. Stop it there "
            "with `python3 -m lab down`, or here with `python3 -m lab down --force`."
        )


def _refuse_busy_ports() -> None:
    busy = network.busy_ports()
    if busy:
        listed = ", ".join(f"{port} ({name})" for name, port in busy.items())
        raise processes.LabError(
            f"127.0.0.1: another program listens on {listed}; stop it, because the lab needs these ports."
        )


def _any_alive() -> bool:
    return any(_FOLDER.is_running(name) for name in _FOLDER.names())


def _owner() -> str:
    try:
        return str(json.loads(OWNER.read_text())["checkout"])
    except FileNotFoundError:
        return ""


def _require_root(command: str) -> None:
    if os.geteuid() != 0:
        raise processes.LabError(f"lab {command}: needs root (bridge, mounts, cgroups); run it with sudo or as root.")


@contextmanager
def _machine_lock() -> Iterator[None]:
    """One `up` or `down` at a time on this machine."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with Path(paths.STATE / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise processes.LabError(
                f"Another lab command is running on this machine ({lock.read().strip()}); wait until it ends."
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} of {paths.REPOSITORY}")
        lock.flush()
        yield


def as_json(found: Status) -> str:
    return json.dumps(asdict(found), indent=2)
