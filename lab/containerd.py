"""containerd of the node: its configuration, its start, and the end of every container that it left."""

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Final

from lab import gotools, paths, processes

RUN: Final = Path("/run/sluice-lab")
SOCKET: Final = RUN / "containerd.sock"
ROOT: Final = paths.STATE / "containerd"  # images: kept over `down`, so that the next start is quick
PAUSE_IMAGE: Final = "localhost/sluice-lab/pause:1"
SHIM: Final = "containerd-shim-runc-v2"
METADATA: Final = "io.cri-containerd.container.metadata"
"""What the kubelet's side of containerd notes of a container."""
REGISTRIES: Final = paths.STATE / "registries"
SEARCH_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


def configuration() -> str:
    """containerd's TOML (version 3)."""
    return f"""version = 3
root = "{ROOT}"
state = "{RUN / "containerd"}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.nri.v1.nri",
]

[grpc]
  address = "{SOCKET}"

[plugins.'io.containerd.internal.v1.opt']
  path = "{ROOT / "opt"}"

[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{REGISTRIES}"

[plugins.'io.containerd.cri.v1.runtime']
  # In a machine that may not lower oom_score_adj every sandbox fails without this.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "{cni_folder()}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def cni_folder() -> Path:
    return paths.STATE / "cni"


def start() -> None:
    config = paths.STATE / "containerd.toml"
    RUN.mkdir(parents=True, exist_ok=True)
    REGISTRIES.mkdir(parents=True, exist_ok=True)
    config.write_text(configuration())
    program = gotools.program("containerd")
    folder = processes.ProcessFolder(paths.STATE)
    folder.start(
        "containerd",
        [program, f"--config={config}", "--log-level=warn"],
        environment={"PATH": f"{program.parent}:{SEARCH_PATH}"},  # the shim is looked up on PATH
    )
    processes.wait_until(
        lambda: _answers(folder),
        what=f"containerd at {SOCKET}",
        timeout_seconds=30,
        hint=f"See {folder.log('containerd')}.",
    )


def is_running() -> bool:
    return processes.ProcessFolder(paths.STATE).is_running("containerd")


def ctr(*arguments: str) -> str:
    return processes.run([gotools.program("ctr"), f"--address={SOCKET}", "--namespace=k8s.io", *arguments])


def image_digests() -> dict[str, str]:
    """Name -> digest of the manifest. Every image has its id, `sha256:...`, for a name beside those that it was given."""
    rows = (line.split() for line in ctr("images", "list").splitlines()[1:])
    return {name: digest for name, _, digest, *_ in rows}


def used_image_ids() -> frozenset[str]:
    """Ids of the images that containers were made from, also where a name of theirs stands for another one by now."""
    return frozenset(image for name in ctr("containers", "list", "--quiet").split() if (image := _image_id(name)))


def _image_id(container: str) -> str:
    """Empty for a pod's sandbox, and for a container that has ended meanwhile."""
    try:
        extensions = json.loads(ctr("containers", "info", container)).get("Extensions") or {}
    except processes.LabError as error:
        if "not found" in str(error):
            return ""
        raise
    if METADATA not in extensions:
        return ""
    return str(json.loads(base64.b64decode(extensions[METADATA]["value"]))["Metadata"]["ImageRef"])


def end_containers() -> None:
    """End every container of this containerd, whether it still runs or crashed, and forget them.

    The shims carry our socket in their command line, and a container's processes are their descendants.
    """
    parents = _parents()
    shims = [pid for pid in parents if _is_our_shim(pid)]
    doomed = [*_descendants(shims, parents), *shims]
    records = [record for pid in doomed if (record := processes.record_of("container", pid))]
    processes.end(records, grace_seconds=0)
    if not is_running() and ROOT.exists() and gotools.is_built(gotools.TOOLS["containerd"]):
        start()
    if is_running() and (names := ctr("containers", "list", "--quiet").split()):
        for name in ctr("tasks", "list", "--quiet").split():
            ctr("tasks", "delete", "--force", name)
        ctr("containers", "delete", *names)


def unmount(*folders: Path) -> None:
    """Unmount everything below the folders, the deepest first."""
    mounts = [line.split()[1].replace("\\040", " ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    ours = [mount for mount in mounts if any(Path(mount).is_relative_to(folder) for folder in folders)]
    for mount in sorted(ours, key=len, reverse=True):
        processes.run(["umount", "--lazy", mount])


def remove_empty_cgroups() -> None:
    """Remove what the kubelet's hierarchy left; the kernel refuses a group that still holds a process."""
    for root in Path("/sys/fs/cgroup").glob("**/kubepods"):
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _answers(folder: processes.ProcessFolder) -> bool:
    folder.require_running("containerd")
    try:
        ctr("version")
    except processes.LabError:
        return False
    return True


def _parents() -> dict[int, int]:
    """Process id -> parent's process id, of everything that runs."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def _is_our_shim(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return Path(words[0]).name == SHIM and str(SOCKET) in words


def _descendants(roots: list[int], parents: dict[int, int]) -> list[int]:
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family - set(roots))
