"""Go programs of the lab: one small module each below `lab/tools/`, built once into a cache outside the checkout.

The cache folder of a tool is named after a hash of its folder and its recipe, so that a changed pin builds anew and
everything else is found again, also from another checkout:

    ~/.cache/sluice/tools/<name>-<hash>/<program>

Most of what the demo needs is one Go workspace, `lab/tools/go.work`: what these programs share, such as Kubernetes'
client, has one version there and is compiled once. The others keep the versions of their own `go.mod`.
"""

import fcntl
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab import console, paths, processes

KUBERNETES_VERSION: Final = "v1.36.3"

# Flags are part of Go's own cache key: with the same ones everywhere, packages shared by tools compile once.
GO_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-trimpath -buildvcs=false",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",  # but for the modules of the workspace
}
# The compiler collects no garbage before it has this much memory: a sixth less of its time than with GOGC=300.
COMPILER_MEMORY: Final = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
# Nor does it write what debuggers read, which the linker leaves out anyway: a ninth less of its time.
WITHOUT_DEBUGGING: Final = "-gcflags=all=-dwarf=false"
PARALLEL_STEPS: Final = 4  # one link of a large tool takes 1.4 GB of memory
BUILD_TIMEOUT_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class GoTool:
    """One module below `lab/tools/`.

    programs: names of the binaries that it gives. renames: last path element of the main package -> program name,
    where the two differ. stamps: linker variables (`-X`), because a module build knows no version of its own.
    on_demand: not part of the plain lab, built when somebody asks for it.
    """

    name: str
    programs: tuple[str, ...]
    tags: str = ""
    stamps: dict[str, str] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)
    on_demand: bool = False

    @property
    def source(self) -> Path:
        return paths.TOOLS_SOURCE / self.name

    @property
    def in_workspace(self) -> bool:
        return self.name in workspace_modules()

    @property
    def environment(self) -> dict[str, str]:
        return GO_ENVIRONMENT | ({"GOWORK": str(workspace_file())} if self.in_workspace else {})

    @property
    def ldflags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in self.stamps.items())])


_K8S_STAMP: Final = "k8s.io/component-base/version"

TOOLS: Final = {
    tool.name: tool
    for tool in (
        GoTool(
            "kubernetes",
            ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
            stamps={
                f"{_K8S_STAMP}.gitVersion": KUBERNETES_VERSION,
                f"{_K8S_STAMP}.gitMajor": KUBERNETES_VERSION.lstrip("v").split(".")[0],
                f"{_K8S_STAMP}.gitMinor": KUBERNETES_VERSION.split(".")[1],
            },
        ),
        GoTool("etcd", ("etcd",), renames={"server": "etcd"}),
        GoTool("containerd", ("containerd", "containerd-shim-runc-v2", "ctr")),
        GoTool("contour", ("contour",)),
        GoTool("coredns", ("coredns",)),
        GoTool("prometheus", ("prometheus",), tags="remove_all_sd,enable_kubernetes_sd"),
        GoTool("promtool", ("promtool",), tags="remove_all_sd", on_demand=True),
        GoTool("versitygw", ("versitygw",)),
        GoTool("helm", ("helm",)),
        GoTool("helm3", ("helm3",), renames={"helm": "helm3"}, on_demand=True),
        GoTool("kwok", ("kwok",), on_demand=True),
        GoTool(
            "keda", ("keda", "keda-adapter"), renames={"operator": "keda", "adapter": "keda-adapter"}, on_demand=True
        ),
        GoTool("spark-operator", ("spark-operator",), renames={"operator": "spark-operator"}, on_demand=True),
        GoTool("registry", ("registry",), on_demand=True),
        GoTool("kstatus", ("kstatus",), on_demand=True),
        GoTool("vegeta", ("vegeta",), on_demand=True),
        GoTool("envoy-gateway", ("envoy-gateway",), on_demand=True),
        GoTool("traefik", ("traefik",), on_demand=True),
    )
}


def workspace_file() -> Path:
    return paths.TOOLS_SOURCE / "go.work"


def workspace_modules() -> frozenset[str]:
    """Names of the tools whose versions the workspace decides together."""
    return frozenset(re.findall(r"^\s*\./(\S+)$", workspace_file().read_text(), flags=re.MULTILINE))


def fingerprint(tool: GoTool) -> str:
    """Twelve hex digits over everything that decides what the build gives."""
    recipe = json.dumps([tool.programs, tool.tags, tool.ldflags, tool.renames, GO_ENVIRONMENT], sort_keys=True)
    digest = hashlib.sha256(recipe.encode())
    for path in sorted(_inputs(tool)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _inputs(tool: GoTool) -> set[Path]:
    """The tool's own files, and in the workspace the pins of all its modules: the highest one of a version counts."""
    own = {path for path in tool.source.rglob("*") if path.is_file()}
    if not tool.in_workspace:
        return own
    pins = {paths.TOOLS_SOURCE / name / "go.mod" for name in workspace_modules()}
    return own | pins | {workspace_file()}


def folder(tool: GoTool) -> Path:
    return paths.cache() / "tools" / f"{tool.name}-{fingerprint(tool)}"


def is_built(tool: GoTool) -> bool:
    return all((folder(tool) / program).exists() for program in tool.programs)


def program(name: str) -> Path:
    """Path of a program by its name, for example `kubelet`. Its tool has to be built."""
    for tool in TOOLS.values():
        if name in tool.programs:
            return folder(tool) / name
    raise processes.LabError(f"{name}: no tool of lab/gotools.py gives this program")


def ensure(*names: str) -> None:
    """Build the named tools (all of them without names) that are not in the cache, one after another."""
    for name in names or tuple(TOOLS):
        tool = TOOLS[name]
        if not is_built(tool):
            with _locked(), console.step(f"build {name} (Go, once)"):
                _build(tool)


def fetch(*names: str) -> None:
    """Download the modules that the named tools are built from, and nothing else of those that a go.mod names."""
    for name in names:
        tool = TOOLS[name]
        if not is_built(tool):
            _go(["list", "-deps", f"-tags={tool.tags}", *_packages(tool)], tool)


def module_folder(tool_name: str, module: str) -> Path:
    """Folder of a module's source at the version that the tool's go.mod selects; downloaded when it is missing."""
    tool = TOOLS[tool_name]
    where = ["list", "-m", "-f", "{{.Dir}}", module]
    found = _go(where, tool).strip()
    if not found:  # the program is cached, but the module cache was emptied since
        _go(["mod", "download", module], tool)
        found = _go(where, tool).strip()
    return Path(found)


@contextmanager
def _locked() -> Iterator[None]:
    """One builder at a time on this machine, such as of two test processes."""
    lock = paths.cache() / "tools" / ".lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(tool: GoTool) -> None:
    if is_built(tool):
        return  # by whoever had the lock before
    target = folder(tool)
    # Built beside the target and renamed: a build that was cut off never looks like a finished one.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{tool.name}-") as scratch:
        output = Path(scratch) / "bin"
        output.mkdir()
        arguments = ["build", "-mod=readonly", f"-p={PARALLEL_STEPS}", WITHOUT_DEBUGGING]
        arguments += [f"-ldflags={tool.ldflags}", f"-tags={tool.tags}"]
        _go([*arguments, "-o", f"{output}/", *_packages(tool)], tool)
        for built, wanted in tool.renames.items():
            (output / built).rename(output / wanted)
        shutil.rmtree(target, ignore_errors=True)
        output.rename(target)


def _packages(tool: GoTool) -> list[str]:
    """What the tool's go.mod names as tools; the pattern `tool` would mean those of the whole workspace."""
    return [each["Path"] for each in json.loads(_go(["mod", "edit", "-json"], tool))["Tool"]]


def _go(arguments: list[str], tool: GoTool) -> str:
    if shutil.which("go") is None:
        raise processes.LabError(
            "go: not on PATH; install the Go version of lab/tools/*/go.mod or newer, then run again"
        )
    return processes.run(
        ["nice", "-n", "5", "go", *arguments],
        directory=tool.source,
        environment=tool.environment | COMPILER_MEMORY,
        timeout_seconds=BUILD_TIMEOUT_SECONDS,
    )
