"""`kubectl sluice`: the command line."""

import sys
from typing import Final

import typer
from typer.exceptions import TyperException

from sluice.api.v1alpha1.intent import Action
from sluice.cli import (
    batch,
    completion,
    doctor,
    exits,
    explain,
    history,
    plan,
    predict,
    profile,
    record,
    replay,
    runtime,
    status,
    steer,
    tree,
    wait,
)
from sluice.cli.options import register
from sluice.views.steering import COMMANDS

STEERING: Final = {
    Action.PROMOTE: "Go to 100 % without further proof; during the bake, end it now.",
    Action.SKIP_STEP: "Go to the next step without further proof.",
    Action.ABORT: "Send all traffic back to the stable version and end the release.",
    Action.PAUSE: "Stay at this step; evidence against the candidate still rolls back.",
    Action.RESUME: "Continue after a pause, or from a step that waits for a person.",
    Action.RETRY: "Retry a version that was rolled back or aborted, from the step that failed.",
    Action.ROLL_BACK: "Go back to a version that served before; at once if it served recently.",
}

app = typer.Typer(
    name="kubectl sluice",
    help="Watch and control releases of ML models.\n\n" + exits.HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

register(
    app,
    "status",
    status.show,
    "Show what serves, what is being released, the evidence so far, and what it waits for.",
    forever=True,
)
register(
    app,
    "explain",
    explain.show,
    "Explain why it waits or why it was rolled back, in sentences with numbers and thresholds, and what to do next.",
)
register(app, "history", history.show, "List past releases with their outcome, or show the audit trail of one.")
register(
    app,
    "wait",
    wait.wait,
    "Wait until the requested version is promoted (exit status 0), rolled back or aborted (2), or the time is up (3).",
)
register(
    app,
    "predict",
    predict.predict,
    "Send one request through the gateway and show the answer, which version answered and how fast.",
)
register(
    app,
    "plan",
    plan.show,
    "Show what applying a manifest would release: steps, requests, time and devices. Nothing is applied.",
)
register(
    app,
    "profile",
    profile.show,
    "Put load on a separate pod and say what slows the model down, what would help and by how much.",
)
register(
    app,
    "batch",
    batch.show,
    "Show the progress of a BatchInference: rows, speed, time left, and how earlier runs ended; -w has a progress bar.",
)
register(app, "replay", replay.show, "Run the judge over recorded counters and print the verdict after every scrape.")
register(
    app,
    "record",
    record.show,
    "Write the counters of a release, or of two versions, from Prometheus' history, for replay.",
)
for action, purpose in STEERING.items():
    register(app, COMMANDS[action], steer.command(action), purpose)

register(app, "tree", tree.show, "Show the objects of a model as a tree with the state of each.")
register(
    app,
    "doctor",
    doctor.show,
    "Check operator, gateway, Prometheus, policies and permissions, and say how to fix what is wrong.",
)
runtimes = typer.Typer(help="Check model servers.", no_args_is_help=True)
register(
    runtimes,
    "check",
    runtime.check,
    "Serve a model on a ServingRuntime and check whether it does what Sluice needs: readiness, probes, security, "
    "answers, metrics, and a restart that loses nothing. Everything that it creates is removed again.",
)
app.add_typer(runtimes, name="runtime")
register(app, "completion", completion.show, "Print a script that completes kubectl-sluice in a shell.")


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
            typer.echo(f"error: {error.format_message()} (see --help)", err=True)
        code = exits.USAGE
    sys.exit(code)
