"""`kubectl sluice`: the command line.

A command's module is imported when the command is typed: importing all of them takes longer than most commands do.
"""

import errno
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from kubectl_sluice.cli import exits
from kubectl_sluice.cli.options import Context, Kubeconfig, Namespace, OperatorNamespace, register
from kubectl_sluice.cli.start import quick_imports

SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


class Unloaded(NamedTuple):
    """A command or a group of commands that is not imported yet."""

    purpose: str
    module: str
    attribute: str = "show"
    """The command's coroutine function, or the group's `typer.Typer`."""
    forever: bool = False
    """See `register`."""

    def load(self, name: str) -> Any:
        """The command as typer builds it."""
        with quick_imports():
            found = getattr(importlib.import_module(f"kubectl_sluice.cli.{self.module}"), self.attribute)
        if isinstance(found, typer.Typer):
            around = typer.Typer(add_completion=False)
            around.add_typer(found, name=name, help=self.purpose)
            return typer.main.get_group(around).commands[name]
        alone = typer.Typer(add_completion=False, context_settings=SETTINGS)
        register(alone, name, found, self.purpose, forever=self.forever)
        return typer.main.get_command(alone)


ENTRIES: Final = {
    "status": Unloaded(
        "Show what serves, what is being released, the evidence so far, and what it waits for; without a name, one line "
        "for each model of the namespace.",
        "releases.status",
        forever=True,
    ),
    "explain": Unloaded(
        "Explain why it waits or why it was rolled back, in sentences with numbers and thresholds, and what to do next.",
        "releases.explain",
    ),
    "history": Unloaded("List past releases with their outcome, or show the audit trail of one.", "releases.history"),
    "bom": Unloaded(
        "Print a CycloneDX bill of materials of what serves: model, digest, signer, server image, validation data.",
        "evidence.bom",
    ),
    "wait": Unloaded(
        "Wait until the requested version is promoted (exit status 0), rolled back or aborted (2), or the time is up "
        "(3).",
        "releases.wait",
        "wait",
    ),
    "predict": Unloaded(
        "Send one request through the gateway and show the answer, which version answered and how fast.",
        "releases.predict",
        "predict",
    ),
    "plan": Unloaded(
        "Show what applying a manifest would release: steps, requests, time and devices. Nothing is applied.",
        "releases.plan",
    ),
    "profile": Unloaded(
        "Put load on a separate pod and say what slows the model down, what would help and by how much.",
        "profiling.profile",
    ),
    "batch": Unloaded(
        "Show the progress of a BatchInference: rows, speed, time left, and how earlier runs ended; -w has a progress "
        "bar.",
        "batch",
    ),
    "replay": Unloaded(
        "Run the judge over recorded counters and print the verdict after every scrape.", "evidence.replay"
    ),
    "calibrate": Unloaded(
        "Try the policy on the service's own past: how often it would have rolled back the same version, and why.",
        "evidence.calibrate",
    ),
    "reference": Unloaded(
        "Make the bins that an observer counts requests by, from training or validation data, as a ConfigMap.",
        "evidence.reference",
    ),
    "record": Unloaded(
        "Write the counters of a release, or of two versions, from Prometheus' history, for replay.", "evidence.record"
    ),
    "promote": Unloaded("Go to 100 % without further proof; during the bake, end it now.", "releases.steer", "promote"),
    "skip": Unloaded("Go to the next step without further proof.", "releases.steer", "skip"),
    "abort": Unloaded("Send all traffic back to the stable version and end the release.", "releases.steer", "abort"),
    "pause": Unloaded("Stay at this step; evidence against the candidate still rolls back.", "releases.steer", "pause"),
    "resume": Unloaded("Continue after a pause, or from a step that waits for a person.", "releases.steer", "resume"),
    "retry": Unloaded(
        "Retry a version that was rolled back or aborted, from the step that failed.", "releases.steer", "retry"
    ),
    "rollback": Unloaded(
        "Go back to a version that served before; at once if it served recently.", "releases.steer", "rollback"
    ),
    "tree": Unloaded("Show the objects of a model as a tree with the state of each.", "releases.tree"),
    "doctor": Unloaded(
        "Check operator, gateway, Prometheus, policies and permissions, and say how to fix what is wrong.",
        "kube.doctor",
    ),
    "dashboard": Unloaded(
        "Show all of it as a web page on this machine, with the kubeconfig's credentials.", "dashboard", forever=True
    ),
    "runtime": Unloaded("Check model servers.", "profiling.runtime", "app"),
    "completion": Unloaded("Print a script that completes kubectl-sluice in a shell.", "completion"),
}


class Commands(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    @property
    def unloaded(self) -> dict[str, Any]:
        """Stand-ins that know only their purpose."""
        return {name: TyperCommand(name, help=entry.purpose) for name, entry in ENTRIES.items()}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = ENTRIES[name].load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


class Group(TyperGroup):
    """Typer's, with commands that are not imported yet."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # typer requires a mutable mapping, but only reads it
        self.commands = Commands()  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the list of commands with their purposes; after it, the program ends."""
        self.commands = Commands().unloaded
        super().format_help(ctx, formatter)


app = typer.Typer(
    name="kubectl sluice",
    cls=Group,
    help="Watch and control releases of ML models.\n\n" + exits.HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # a slow import for all other commands

        print(metadata.version("sluice"))
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    *,
    namespace: Namespace = None,
    kube_context: Context = None,
    kubeconfig: Kubeconfig = None,
    operator_namespace: OperatorNamespace = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that may also stand before the command, as they may with kubectl."""
    given = {
        "namespace": namespace,
        "context": kube_context,
        "kubeconfig": kubeconfig,
        "operator_namespace": operator_namespace,
    }
    before = {name: value for name, value in given.items() if value is not None}
    context.default_map = {name: before | {"check": before} for name in ENTRIES}


def main() -> int:
    """Runs the command line; the exit status."""
    _open_closed_streams()
    try:
        code = _run()
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        with Path(os.devnull).open("w") as nothing:  # else Python flushes once more when it exits
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            typer.echo(f"error: standard output: {error.strerror}", err=True)
        return exits.FAILED
    return code


def _open_closed_streams() -> None:
    """A caller may have closed any of them; Python then has None in its place."""
    nothing = Path(os.devnull)
    sys.stdin = sys.stdin or nothing.open()
    sys.stdout = sys.stdout or nothing.open("w")
    sys.stderr = sys.stderr or nothing.open("w")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _run() -> int:
    try:
        code: int | None = app(prog_name="kubectl sluice", standalone_mode=False)
    except typer.Abort:
        return exits.INTERRUPTED
    except TyperException as error:
        if error.format_message():  # empty where the help has been shown
            typer.echo(f"error: {error.format_message()} (see --help)", err=True)
        return exits.USAGE
    return code or exits.OK
