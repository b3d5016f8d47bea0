"""Images that the lab makes itself: two bases for other people's Containerfiles, and one for each program of a Pod.

localhost/sluice-lab/debian:slim   Debian 12 minbase without docs and locales
localhost/sluice-lab/python:3.11   the same + python3, libpython3.11, ca-certificates
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import console, containerd, gotools, hostpackages, images, processes

SUITE: Final = "bookworm"
MIRROR: Final = "http://deb.debian.org/debian"
ROOTFS_VERSION: Final = "1"  # raise it when the recipe below changes

SLIM_CONTAINERFILE: Final = 'FROM scratch\nCOPY . /\nCMD ["/bin/sh"]\n'
PYTHON_CONTAINERFILE: Final = f"""FROM {images.SLIM_BASE}
RUN apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 libpython3.11 ca-certificates \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \\
 && ln -s /usr/bin/python3 /usr/local/bin/python \\
 && mkdir -p /usr/local/lib/python3.11/site-packages \\
 && echo /usr/local/lib/python3.11/site-packages > /usr/lib/python3/dist-packages/site-packages.pth
CMD ["python3"]
"""
PAUSE_CONTAINERFILE: Final = 'FROM scratch\nCOPY program /bin/sleep\nENTRYPOINT ["/bin/sleep", "infinity"]\n'
# dpkg leaves these out of every package that is installed later; the same paths are removed from the first ones.
UNWANTED: Final = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
EMPTIED: Final = ("var/cache/apt", "var/lib/apt/lists", "var/log")
FROM: Final = re.compile(r"^FROM (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProgramImage:
    """An image of one program, in place of a public image.

    public: name without tag, as in manifests/quickstart. base: `scratch` for a static program that needs no other one.
    """

    public: str
    tag: str
    program: str
    path: str
    base: str = "scratch"

    @property
    def local(self) -> str:
        return f"{images.PREFIX}/{self.public.rpartition('/')[2]}:{self.tag}"


PROGRAM_IMAGES: Final = (
    ProgramImage("ghcr.io/projectcontour/contour", "v1.33.8", "contour", "/bin/contour"),
    ProgramImage("docker.io/prom/prometheus", "v3.16.0", "prometheus", "/bin/prometheus"),
    ProgramImage("docker.io/versity/versitygw", "v1.8.0", "versitygw", "/usr/local/bin/versitygw"),
    # Envoy is linked against the C library.
    ProgramImage("docker.io/envoyproxy/envoy", "v1.40.0", "envoy", "/usr/local/bin/envoy", images.SLIM_BASE),
)


def ensure() -> None:
    """Build all of them that changed; their order matters, a base comes before what stands on it."""
    ensure_python()
    _ensure_program(containerd.PAUSE_IMAGE, PAUSE_CONTAINERFILE, Path("/bin/busybox"))
    for image in PROGRAM_IMAGES:
        ensure_program_image(image)


def ensure_python() -> None:
    """Build the two bases of other images."""
    _ensure_slim()
    _build_unless_same(images.PYTHON_BASE, PYTHON_CONTAINERFILE, context=None)


def ensure_program_image(image: ProgramImage) -> None:
    """Build it unless nothing changed; its program has to be built."""
    source = hostpackages.ensure_envoy() if image.program == "envoy" else gotools.program(image.program)
    text = f'FROM {image.base}\nCOPY program {image.path}\nENTRYPOINT ["{image.path}"]\n'
    _ensure_program(image.local, text, source)


def tags_on_node() -> tuple[str, ...]:
    """What the node needs before the first Pod starts."""
    return (containerd.PAUSE_IMAGE, *(image.local for image in PROGRAM_IMAGES))


def rootfs() -> Path:
    """debootstrap takes its time and gives other bytes each time, so the result is kept by the recipe's version."""
    return images.folder() / f"rootfs-{SUITE}-{ROOTFS_VERSION}"


def _ensure_slim() -> None:
    if not rootfs().exists():
        with console.step("make the base image's root file system (debootstrap, once)"):
            _debootstrap(rootfs())
    _build_unless_same(images.SLIM_BASE, SLIM_CONTAINERFILE, context=rootfs())


def _debootstrap(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / "rootfs"
        processes.run(["debootstrap", "--variant=minbase", SUITE, made, MIRROR], timeout_seconds=1200)
        exclusions = "".join(f"path-exclude=/{path}/*\n" for path in UNWANTED)
        (made / "etc/dpkg/dpkg.cfg.d/slim").write_text(exclusions)
        for path in (*UNWANTED, *EMPTIED):
            shutil.rmtree(made / path, ignore_errors=True)
            (made / path).mkdir(parents=True, exist_ok=True)
        (made / "var/cache/apt/archives/partial").mkdir(parents=True)
        made.rename(target)


def _ensure_program(tag: str, containerfile: str, program: Path) -> None:
    with tempfile.TemporaryDirectory(dir=images.folder()) as scratch:
        _link_or_copy(program, Path(scratch) / "program")
        _build_unless_same(tag, f"# {program}\n{containerfile}", context=Path(scratch))


def _build_unless_same(tag: str, containerfile: str, *, context: Path | None) -> None:
    """The text decides alone: the path of a built program holds the hash of its pins, so bytes need not be read."""
    base_keys = "".join(images.inputs_key(base) for base in FROM.findall(containerfile))
    key = hashlib.sha256(f"{containerfile}{base_keys}".encode()).hexdigest()[:12]
    if images.is_built(tag, key):
        return
    with console.step(f"build image {tag}"), tempfile.TemporaryDirectory(dir=images.folder()) as scratch:
        file = Path(scratch) / "Containerfile"
        file.write_text(containerfile)
        images.build_as(key, context or Path(scratch), tag, {}, containerfile=file)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
