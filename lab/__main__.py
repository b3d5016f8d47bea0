"""Command line of the lab: `python3 -m lab --help`."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from lab import (
    addons,
    apiserver,
    coldstart,
    devices,
    gateways,
    gotools,
    images,
    keda,
    kwok,
    lifecycle,
    metricsserver,
    processes,
    sparkoperator,
)

DESCRIPTION = "A real one-node Kubernetes on this machine, without Docker: for the demo and the end-to-end tests."
ALL = "all"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except processes.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=_HANDLERS[name])
        return made

    command("setup", "install packages, build programs and images (cached); `up` does it as well")
    build = command("build", "build Go programs (cached); no root needed")
    build.add_argument(
        "tools", nargs="+", choices=(ALL, *gotools.TOOLS), metavar="TOOL", help=f"a folder of lab/tools, or `{ALL}`"
    )
    command("up", "start the node with gateway, Prometheus and object store; quick if it is already running")
    command("down", "stop it and remove the cluster's state; images and programs stay cached").add_argument(
        "--force", action="store_true", help="also when another checkout started it"
    )
    command("status", "addresses, kubeconfig and state of each process; exit status 1 unless running").add_argument(
        "--output", choices=("text", "json"), default="text"
    )

    image = command("image", "build an image and load it on the node, unless nothing changed")
    image.add_argument("directory", type=Path, help="build context with a Containerfile")
    image.add_argument("tag", help="for example localhost/sluice/operator:dev")
    image.add_argument("--file", type=Path, help="Containerfile, when it is not DIRECTORY/Containerfile")
    image.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")

    addon = command(
        "addons", "apply Gateway API, Contour, Prometheus and object store to another cluster, such as kind"
    )
    addon.add_argument("--kubeconfig", type=Path, help="default: kubectl's own")
    addon.add_argument("--timeout", type=int, default=300, metavar="SECONDS")

    fake = command("kwok", "add fake nodes and the kwok process that plays their kubelets")
    fake.add_argument("--nodes", type=int, default=10, help="the number of fake nodes (0 stops kwok)")

    gpus = command("gpus", "offer fake devices: registers a device plugin with the real kubelet")
    gpus.add_argument("--count", type=int, default=4, help="how many devices the node offers (0 stops the plugin)")
    gpus.add_argument("--resource", default=devices.RESOURCE, help="extended resource under which they are offered")

    metrics = command("metrics", "start or stop the resource metrics API, for autoscaling on CPU")
    metrics.add_argument("action", choices=("up", "down"))

    scaler = command("keda", "start or stop KEDA, for autoscaling on requests and queues; built the first time")
    scaler.add_argument("action", choices=("up", "down"))

    spark = command("spark-operator", "start or stop the Spark operator, for SparkApplications; built the first time")
    spark.add_argument("action", choices=("up", "down"))

    gateway = command("gateway", "start or stop another gateway next to Contour; built the first time")
    gateway.add_argument("name", choices=tuple(gateways.GATEWAYS))
    gateway.add_argument("action", choices=("up", "down"))

    server = command("apiserver", "an API server without a node, on free ports of 127.0.0.1; no root needed")
    server.add_argument("action", choices=("up", "down"))
    server.add_argument("--dir", type=Path, required=True, help="folder for its state")
    return parser


def _build(options: argparse.Namespace) -> None:
    coldstart.build(*(gotools.TOOLS if ALL in options.tools else options.tools))


def _up(_options: argparse.Namespace) -> None:
    _print_text(lifecycle.up())


def _status(options: argparse.Namespace) -> None:
    found = lifecycle.status()
    if options.output == "json":
        print(lifecycle.as_json(found))
    else:
        _print_text(found)
    if found.state != "running":
        raise processes.LabError(f"state: {found.state}")


def _image(options: argparse.Namespace) -> None:
    pairs = [pair.partition("=") for pair in options.build_arg]
    images.build(options.directory, options.tag, {name: value for name, _, value in pairs}, containerfile=options.file)


def _addons(options: argparse.Namespace) -> None:
    addons.apply(options.kubeconfig, local_images=False)
    addons.wait_until_ready(options.kubeconfig, timeout_seconds=options.timeout)


def _gateway(options: argparse.Namespace) -> None:
    if options.action == "down":
        gateways.down(options.name)
    else:
        started = gateways.up(options.name)
        print(f"{started.address}  Gateway {started.namespace}/{started.gateway}")


def _metrics(options: argparse.Namespace) -> None:
    if options.action == "down":
        metricsserver.down()
    else:
        metricsserver.up()


def _keda(options: argparse.Namespace) -> None:
    if options.action == "down":
        keda.down()
    else:
        keda.up()


def _spark_operator(options: argparse.Namespace) -> None:
    if options.action == "down":
        sparkoperator.down()
    else:
        sparkoperator.up()


def _apiserver(options: argparse.Namespace) -> None:
    directory = options.dir.resolve()
    if options.action == "down":
        apiserver.stop(directory)
    else:
        print(apiserver.start(directory, dies_with_caller=False).kubeconfig)


def _print_text(found: lifecycle.Status) -> None:
    for name, value in asdict(found).items():
        if isinstance(value, dict):
            value = ", ".join(f"{process} {state}" for process, state in value.items())
        print(f"{name:12} {value}")


_HANDLERS = {
    "build": _build,
    "setup": lambda _options: coldstart.setup(),
    "up": _up,
    "down": lambda options: lifecycle.down(force=options.force),
    "status": _status,
    "image": _image,
    "addons": _addons,
    "kwok": lambda options: kwok.ensure(options.nodes),
    "gpus": lambda options: devices.ensure(options.count, options.resource),
    "metrics": _metrics,
    "keda": _keda,
    "spark-operator": _spark_operator,
    "gateway": _gateway,
    "apiserver": _apiserver,
}

if __name__ == "__main__":
    sys.exit(main())
