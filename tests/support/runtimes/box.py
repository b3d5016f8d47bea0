"""A container of a pod template on this machine, without a cluster: its image's files, in separate namespaces.

It applies the template like Kubernetes: user, read-only root file system, mounts, variables, command and arguments,
probes, the pause before SIGTERM. Its first process is PID 1, as in a Pod. Needs root and buildah.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from demo import cluster as clusters
from demo.cluster import Image
from lab import baseimages, hostpackages, images, processes
from tests.support import patience
from tests.support.live import together
from tests.support.runtimes.forwarding import Forward, Namespace

Object = dict[str, Any]

USER: Final = "65532"
POLL_SECONDS: Final = 0.05
SET_UP: Final = """
set -e
ip link set lo up
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount --bind "$MODELS" "$ROOT/models"
[ "$WRITABLE" = yes ] || mount -o remount,bind,ro "$ROOT/models"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
for device in null zero random urandom; do
    touch "$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
done
mkdir "$ROOT/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
touch "$ROOT/dev/termination-log"
mount --bind "$MESSAGE" "$ROOT/dev/termination-log"
[ "$READ_ONLY" = no ] || mount -o remount,bind,ro "$ROOT"
exec chroot --userspec="$USER:$USER" --groups= "$ROOT" env --chdir="$FOLDER" "$@"
"""


@dataclass(frozen=True, slots=True)
class Files:
    """A mounted image's file system, and the image's process settings."""

    root: Path
    config: Object

    @property
    def environment(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.config.get("Env") or ())
        return {name: value for name, _, value in pairs}


def build(image: Image) -> None:
    """Builds the image unless nothing has changed; it stays on this machine."""
    hostpackages.ensure_debian()
    baseimages.ensure_python()
    with together.locked(together.IMAGES):
        clusters.stage(image)
        images.make(image.context, image.tag, containerfile=image.containerfile)


def mounted(image: Image) -> Files:
    """The files of a built image; `unmount` ends it."""
    with together.locked(together.IMAGES):  # buildah finally unmounts everything when it has counted no mounts
        container = processes.run([*images.buildah(), "from", "--quiet", image.tag]).strip()
        root = Path(processes.run([*images.buildah(), "mount", container]).strip())
    for mount_point in ("models", "proc", "sys", "dev", "tmp"):
        (root / mount_point).mkdir(exist_ok=True)
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")  # the kubelet writes it in a Pod
    described = json.loads(processes.run([*images.buildah(), "inspect", container]))
    return Files(root, described["OCIv1"]["config"] | {"container": container})


def unmount(files: Files) -> None:
    with together.locked(together.IMAGES):
        processes.run([*images.buildah(), "rm", files.config["container"]])


def run_python(files: Files, script: str, folder: Path) -> None:
    """Runs a script with the image's Python and packages; /models is `folder`, writable. Raises with its output."""
    file = folder / ".script.py"  # a file, because TorchScript reads the source of what it compiles
    file.write_text(script)
    command = ["python3", f"/models/{file.name}"]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | files.environment
    folder.chmod(0o777)
    message = folder.with_name(f"{folder.name}.message")
    message.touch()
    done = subprocess.run(
        _boxed(files, folder, message, environment, command, writable=True), capture_output=True, text=True, check=False
    )
    file.unlink()
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def _boxed(
    files: Files,
    models: Path,
    message: Path,
    environment: Mapping[str, str],
    command: Sequence[str],
    *,
    folder: str = "/",
    writable: bool = False,
) -> list[str]:
    settings: dict[str, object] = {
        "FOLDER": folder,
        "ROOT": files.root,
        "MODELS": models,
        "MESSAGE": message,
        "USER": USER,
    }
    settings |= {"WRITABLE": "yes" if writable else "no", "READ_ONLY": "no" if writable else "yes"}
    namespaces = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--propagation=private"]
    inside = ["-i", *(f"{name}={value}" for name, value in environment.items()), *command]
    given = [f"{name}={value}" for name, value in settings.items()]
    return ["env", *given, "unshare", *namespaces, "sh", "-c", SET_UP, "sh", *inside]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a server ended."""

    exit_code: int
    seconds: float
    """From SIGTERM to the end of its process."""


class Box:
    """The first container of a pod template, running."""

    def __init__(self, files: Files, template: Object, models: Path, folder: Path) -> None:
        """models: the downloader's result. folder: for the log."""
        self.container: Object = template["spec"]["containers"][0]
        self._message = folder / "message"
        self._message.write_text("")
        self._message.chmod(0o666)
        self._log = folder / "log"
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | files.environment
        environment |= {entry["name"]: entry["value"] for entry in self.container.get("env", ()) if "value" in entry}
        command = self.container.get("command") or files.config.get("Entrypoint") or []
        arguments = self.container.get("args") or ([] if "command" in self.container else files.config.get("Cmd") or [])
        self._environment = environment
        self.began = time.monotonic()
        with self._log.open("w") as log:
            self._unshare = subprocess.Popen(
                _boxed(
                    files,
                    models,
                    self._message,
                    environment,
                    [*command, *arguments],
                    folder=self.container.get("workingDir") or files.config.get("WorkingDir") or "/",
                ),
                stdout=log,
                stderr=log,
            )
        self.pid = self._wait_for_child()
        self._namespace = Namespace(self.pid)
        self._forwards: dict[int, Forward] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:  # PID 1 takes all others with it; killing `unshare` alone leaves them
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(self.pid, signal.SIGKILL)
        self._unshare.wait()
        for forward in self._forwards.values():
            forward.close()
        self._namespace.close()

    def address(self, port: int) -> str:
        """The container port's address from here, as host:port."""
        if port not in self._forwards:
            self._forwards[port] = Forward(self._namespace, port)
        return f"127.0.0.1:{self._forwards[port].port}"

    def wait_begun(self, port: int, requests: int) -> None:
        """Until the server has read something of so many open connections to the container's port."""
        forward = self._forwards[port]
        deadline = time.monotonic() + patience.HANG_SECONDS
        while forward.begun < requests:
            assert time.monotonic() < deadline, f"the server has begun {forward.begun} of {requests} requests"
            time.sleep(POLL_SECONDS)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def message(self) -> str:
        """What the kubelet would report after the end: the termination message, or the end of the log."""
        return self._message.read_text() or self.log[-2048:]

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._unshare.poll()

    def users(self) -> set[int]:
        """The user ids of its processes."""
        own = Path(f"/proc/{self.pid}/ns/pid").readlink()
        found = set()
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                with contextlib.suppress(OSError):
                    if (process / "ns" / "pid").readlink() == own:
                        found.add(process.stat().st_uid)
        return found

    def is_read_only(self, path: str) -> bool:
        """Whether the last mount there is read-only."""
        mounts = [line.split() for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()]
        options = [mount[5] for mount in mounts if mount[4] == path]
        return "ro" in options[-1].split(",")

    def passes(self, probe: str) -> bool:
        """Whether startupProbe, readinessProbe or livenessProbe succeeds now."""
        how: Object = self.container[probe]
        timeout = float(how.get("timeoutSeconds", 1))
        if "httpGet" in how:
            return self._answers(how["httpGet"]["port"], how["httpGet"]["path"], timeout)
        if "tcpSocket" in how:
            return self._connects(how["tcpSocket"]["port"])
        return self._executes(how["exec"]["command"], timeout)

    def wait_ready(self, seconds: float) -> float:
        """Seconds from its start until the startup probe and the readiness probe passed; fails if it ends before."""
        limit = patience.seconds(seconds)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.exit_code is not None:
                raise AssertionError(f"ended with exit code {self.exit_code}:\n{self.log[-3000:]}")
            if self.passes("startupProbe") and self.passes("readinessProbe"):
                return time.monotonic() - self.began
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"not ready within {limit:.0f} s:\n{self.log[-3000:]}")

    def terminate(self, before_signal: Callable[[], object] = lambda: None) -> Ending:
        """Like the kubelet with a deleted Pod: the hook, SIGTERM, and a kill when the time is over."""
        hook: Object = self.container.get("lifecycle", {}).get("preStop", {})
        began = time.monotonic()
        running = subprocess.Popen(self._inside(hook["exec"]["command"])) if "exec" in hook else None
        before_signal()
        time.sleep(max(0.0, hook.get("sleep", {}).get("seconds", 0) - (time.monotonic() - began)))
        if running is not None:
            assert running.wait(patience.HANG_SECONDS) == 0
        signalled = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        code = self._unshare.wait(patience.HANG_SECONDS)
        return Ending(code, time.monotonic() - signalled)

    def _wait_for_child(self) -> int:
        """The PID on this machine of PID 1 inside."""
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        deadline = time.monotonic() + patience.HANG_SECONDS
        while time.monotonic() < deadline:
            for number in children.read_text().split() if children.exists() else ():
                if Path(f"/proc/{number}/ns/net").exists():
                    return int(number)
            time.sleep(0.005)
        raise AssertionError(f"the container did not start:\n{self.log}")

    def _answers(self, port: int, path: str, timeout: float) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.sock = self._namespace.connect(port)
            connection.sock.settimeout(timeout)
            connection.request("GET", path, headers={"Connection": "close"})
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _connects(self, port: int) -> bool:
        try:
            self._namespace.connect(port).close()
        except OSError:
            return False
        return True

    def _executes(self, command: Sequence[str], timeout: float) -> bool:
        try:
            done = subprocess.run(self._inside(command), capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _inside(self, command: Sequence[str]) -> list[str]:
        """The command beside the server."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--ipc", "--root", "--wd=/"]
        enter += [f"--setuid={USER}", f"--setgid={USER}", "env", "-i"]
        return [*enter, *(f"{name}={value}" for name, value in self._environment.items()), *command]


def is_possible() -> bool:
    """Whether this machine supports all that; installs missing programs where possible."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def refuses(address: str) -> bool:
    """Whether a new connection there is refused."""
    host, _, port = address.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return not connection.recv(1)
    except OSError:
        return True
