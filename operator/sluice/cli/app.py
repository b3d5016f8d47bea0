"""`kubectl sluice`: the command line."""

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from sluice.api.v1alpha1.modelrollout import Action
from sluice.cli import console, durations, exits, history, predict, status, steer, wait
from sluice.cli.options import Context, Gateway, Kubeconfig, Name, Namespace, Output, OutputOption, Target

app = typer.Typer(
    name="kubectl sluice",
    help="See and steer releases of ML models.\n\n" + exits.HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Note = Annotated[str | None, typer.Option("--note", help="Why; kept in the release's audit trail.")]


def _seconds(text: str) -> int:
    try:
        return durations.parse_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("status")
def status_command(
    name: Name,
    namespace: Namespace = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until Ctrl-C.")] = False,
    gateway: Gateway = None,
    output: OutputOption = Output.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """What serves, what is being released, the evidence so far, and what it waits for."""
    target = Target(name, namespace, context, kubeconfig)
    code = console.run(status.show(target, watch=watch, output=output, gateway=gateway))
    return exits.OK if watch and code == exits.INTERRUPTED else code


@app.command("history")
def history_command(
    name: Name,
    rollout: Annotated[
        str | None,
        typer.Argument(metavar="[RELEASE]", help="One release: shows who did what, when and why.", show_default=False),
    ] = None,
    namespace: Namespace = None,
    output: OutputOption = Output.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Past releases with their outcome, or the audit trail of one."""
    return console.run(history.show(Target(name, namespace, context, kubeconfig), rollout=rollout, output=output))


@app.command("wait")
def wait_command(
    name: Name,
    namespace: Namespace = None,
    timeout: Annotated[
        int, typer.Option("--timeout", parser=_seconds, metavar="DURATION", help="30s, 5m, 1h, 1h30m.")
    ] = "1h",  # type: ignore[assignment]
    output: OutputOption = Output.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Wait until the requested version is promoted (exit 0), rolled back or aborted (2), or time is up (3)."""
    return console.run(wait.wait(Target(name, namespace, context, kubeconfig), timeout_seconds=timeout, output=output))


@app.command("predict")
def predict_command(
    name: Name,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="V2 request body; - reads standard input.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Print a request body made from the model's metadata instead.")
    ] = False,
    namespace: Namespace = None,
    gateway: Gateway = None,
    output: OutputOption = Output.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> int:
    """Send one request through the gateway; shows the answer, who answered and how fast."""
    target = Target(name, namespace, context, kubeconfig)
    return console.run(predict.predict(target, file=file, sample=sample, gateway=gateway, output=output))


def _steering_command(action: Action, purpose: str) -> None:
    def command(
        name: Name,
        note: Note = None,
        namespace: Namespace = None,
        output: OutputOption = Output.TEXT,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
    ) -> int:
        return console.run(steer.ask(Target(name, namespace, context, kubeconfig), action, note=note, output=output))

    app.command(str(action).lower(), help=purpose)(command)


_steering_command(Action.PROMOTE, "Go to 100 % without further proof; in the bake: end it now.")
_steering_command(Action.ABORT, "Give all traffic back to the stable version and end the release.")
_steering_command(Action.PAUSE, "Stay at this weight; evidence against the candidate still rolls back.")
_steering_command(Action.RESUME, "Go on after a pause.")
_steering_command(Action.RETRY, "Release a version again that was rolled back or aborted.")


def main() -> None:
    """Entry point of the script `kubectl-sluice`, which kubectl runs as `kubectl sluice`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = app(prog_name="kubectl sluice", standalone_mode=False)
    except typer.Abort:
        code = exits.INTERRUPTED
    except TyperException as error:
        if error.format_message():  # empty where the help has been shown
            typer.echo(f"error: {error.format_message()} (--help explains)", err=True)
        code = exits.USAGE
    sys.exit(code)
