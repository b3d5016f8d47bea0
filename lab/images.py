"""Images without a registry: buildah builds them into the cache, `ctr` brings them to the node.

An image is built again only when its inputs change. Its inputs are the Containerfile, every file of the context that
no ignore file excludes, the build arguments, and the inputs of a base image that was built here.
"""

import fnmatch
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from lab import console, containerd, paths, processes

PREFIX: Final = "localhost/sluice-lab"
IN_USE: Final = "image is in use by a container"
SLIM_BASE: Final = f"{PREFIX}/debian:slim"
PYTHON_BASE: Final = f"{PREFIX}/python:3.11"

# Public base -> what takes its place here, where no registry need be reachable.
LOCAL_BASES: Final = {
    "docker.io/library/debian:bookworm-slim": SLIM_BASE,
    "docker.io/library/python:3.11-slim-bookworm": PYTHON_BASE,
}
MOUNTED: Final = Path("/run/sluice-images")
"""buildah's account of what is mounted. Not the lab's folder: without it the next command would unmount all of it."""
ALWAYS_IGNORED: Final = (".git", ".venv", "**/__pycache__", "**/*.pyc", "**/.*_cache", ".hypothesis")


def build(
    context: Path, tag: str, build_args: Mapping[str, str] | None = None, *, containerfile: Path | None = None
) -> str:
    """Build `tag` from a context folder unless nothing changed, and bring it to the node if that runs; see `make`."""
    key = make(context, tag, build_args, containerfile=containerfile)
    if containerd.is_running():
        bring_to_node(tag)
    return key


def make(
    context: Path, tag: str, build_args: Mapping[str, str] | None = None, *, containerfile: Path | None = None
) -> str:
    """Build `tag` from a context folder unless nothing changed.

    containerfile: default is `Containerfile` in the context. A public base named by `ARG BASE=` gives way to the one
    made here unless build_args name another. Returns the twelve-digit hash of the inputs.
    """
    file = containerfile or context / "Containerfile"
    if not file.exists():
        raise processes.LabError(f"{file}: no such file; name a folder with a Containerfile, or use --file")
    arguments = {**local_base(file.read_text()), **(build_args or {})}
    _require_bases(arguments)
    key = inputs_hash(context, file, arguments)
    if not is_built(tag, key):
        with console.step(f"build image {tag}"):
            build_as(key, context, tag, arguments, containerfile=file)
    return key


def local_base(containerfile: str) -> dict[str, str]:
    """The build argument that puts a base made here in place of the public one, as in `ARG BASE=docker.io/...`."""
    for line in containerfile.splitlines():
        name, _, default = line.strip().removeprefix("ARG ").partition("=")
        if line.strip().startswith("ARG ") and default.strip() in LOCAL_BASES:
            return {name.strip(): LOCAL_BASES[default.strip()]}
    return {}


def is_built(tag: str, key: str) -> bool:
    """Whether the image exists and was built from the inputs that the key stands for."""
    return _record(tag).get("inputs") == key and _exists(tag)


def inputs_key(tag: str) -> str:
    """The key that the image was built under; empty when it was not built here."""
    return _record(tag).get("inputs", "")


def build_as(key: str, context: Path, tag: str, build_args: Mapping[str, str], *, containerfile: Path) -> None:
    """Build in any case, remember the key, and drop what only earlier builds need: each left its own copies of layers."""
    _build(context, containerfile, tag, build_args)
    drop_unused()
    (folder() / f"{_file_name(tag)}.json").write_text(json.dumps({"tag": tag, "inputs": key}))


def drop_unused() -> None:
    """Layers that no image needs any more. What another process builds on goes with the next build."""
    try:
        processes.run([*buildah(), "rmi", "--prune"])
    except processes.LabError as error:
        if IN_USE not in str(error):
            raise


def bring_to_node(*tags: str) -> None:
    """Import the images whose content the node does not have yet, and drop those that newer ones replaced."""
    present = containerd.image_digests()
    for tag in tags:
        imported = paths.STATE / "imported" / _file_name(tag)
        key = inputs_key(tag)
        if tag in present and imported.exists() and imported.read_text() == key:
            continue
        with console.step(f"import image {tag}"), tempfile.TemporaryDirectory(dir=folder()) as scratch:
            archive = Path(scratch) / "image.tar"
            processes.run([*buildah(), "push", "--quiet", tag, f"docker-archive:{archive}:{tag}"])
            containerd.ctr("images", "import", str(archive))
        imported.parent.mkdir(parents=True, exist_ok=True)
        imported.write_text(key)
    left = untagged(containerd.image_digests())
    if left and (unused := left - containerd.used_image_ids()):
        with console.step(f"drop {len(unused)} replaced images"):
            containerd.ctr("images", "delete", "--sync", *sorted(unused))


def untagged(digests: Mapping[str, str]) -> frozenset[str]:
    """Ids of the images that no name but their id stands for any more; see `containerd.image_digests`."""
    ids = frozenset(name for name in digests if name.startswith("sha256:"))
    named = frozenset(digest for name, digest in digests.items() if name not in ids)
    return frozenset(name for name in ids if digests[name] not in named)


def inputs_hash(context: Path, containerfile: Path, build_args: Mapping[str, str]) -> str:
    """Twelve hex digits over everything that decides what the build gives."""
    bases = {value: inputs_key(value) for value in build_args.values() if value.startswith(PREFIX)}
    digest = hashlib.sha256(json.dumps([dict(build_args), bases], sort_keys=True).encode())
    digest.update(containerfile.read_bytes())
    for path in context_files(context, ignore_patterns(context, containerfile)):
        mode = path.lstat().st_mode
        digest.update(f"\n{path.relative_to(context)} {mode:o} ".encode())
        digest.update(str(path.readlink()).encode() if stat.S_ISLNK(mode) else _file_digest(path))
    return digest.hexdigest()[:12]


def context_files(context: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """Files of a context in a stable order, without the ignored ones. A later `!pattern` takes files in again."""
    keeps_some = any(pattern.startswith("!") for pattern in patterns)
    for where, folders, files in os.walk(context):
        base = Path(where)
        folders[:] = sorted(
            name for name in folders if keeps_some or not is_ignored((base / name).relative_to(context), patterns)
        )
        for name in sorted(files):
            path = base / name
            if not is_ignored(path.relative_to(context), patterns):
                yield path


def ignore_patterns(context: Path, containerfile: Path) -> tuple[str, ...]:
    """Patterns of the first ignore file that buildah would read too, after those that always hold."""
    own = containerfile.with_name(f"{containerfile.name}.containerignore")
    for candidate in (own, context / ".containerignore", context / ".dockerignore"):
        if candidate.exists():
            lines = (line.strip() for line in candidate.read_text().splitlines())
            return (*ALWAYS_IGNORED, *(line for line in lines if line and not line.startswith("#")))
    return ALWAYS_IGNORED


def is_ignored(path: Path, patterns: tuple[str, ...]) -> bool:
    """Whether the last pattern that matches the path, or a folder above it, excludes it."""
    candidates = [str(path), *(str(parent) for parent in path.parents if parent != Path())]
    ignored = False
    for pattern in patterns:
        keeps = pattern.startswith("!")
        plain = pattern.lstrip("!").strip("/")
        variants = (plain, plain.removeprefix("**/"))
        if any(fnmatch.fnmatchcase(candidate, variant) for candidate in candidates for variant in variants):
            ignored = not keeps
    return ignored


def _build(context: Path, containerfile: Path, tag: str, build_args: Mapping[str, str]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".containerignore") as ignore:
        ignore.write("\n".join(ignore_patterns(context, containerfile)) + "\n")
        ignore.flush()
        how = ("--isolation=chroot", "--network=host", "--layers", "--pull=missing", "--quiet")
        what = (f"--ignorefile={ignore.name}", f"--file={containerfile}", f"--tag={tag}")
        arguments = (f"--build-arg={name}={value}" for name, value in build_args.items())
        processes.run([*buildah(), "build", *how, *what, *arguments, str(context)], timeout_seconds=1800)


def buildah() -> list[str]:
    """The program, with the storage that images are built into."""
    if shutil.which("buildah") is None:
        raise processes.LabError("buildah: not found; run `python3 -m lab setup` first")
    return [
        "buildah",
        f"--root={folder() / 'storage'}",
        f"--runroot={MOUNTED}",
        "--storage-driver=overlay",
    ]


def folder() -> Path:
    """Where images, their storage and the base's root file system are kept."""
    path = paths.cache() / "images"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _require_bases(build_args: Mapping[str, str]) -> None:
    for name, value in build_args.items():
        if value in LOCAL_BASES.values() and not _exists(value):
            raise processes.LabError(f"{name}={value}: not built yet; run `python3 -m lab setup` first")


def _exists(tag: str) -> bool:
    try:
        processes.run([*buildah(), "images", "--quiet", tag])
    except processes.LabError:
        return False
    return True


def _record(tag: str) -> dict[str, str]:
    try:
        return dict(json.loads((folder() / f"{_file_name(tag)}.json").read_text()))
    except FileNotFoundError:
        return {}


def _file_name(tag: str) -> str:
    return tag.replace("/", "_").replace(":", "_")


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
