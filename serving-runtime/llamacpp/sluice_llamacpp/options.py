"""The command's options. Whatever llama.cpp can be told besides is --set NAME=VALUE, by the names of its parameters."""

import argparse
import os

MORE = """\
--set changes a parameter of llama.cpp by its name in common_params, for example --set n_batch=512,
--set cache_type_k=GGML_TYPE_Q8_0, --set sampling.temp=0.2."""


def parsed(arguments=None):
    parser = argparse.ArgumentParser(prog="sluice_llamacpp", description=__doc__, epilog=MORE)
    parser.add_argument("--model", required=True, metavar="PATH", help="a .gguf file, or a folder with one model")
    parser.add_argument("--alias", required=True, metavar="NAME", help="the served name, the same for every version")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - the kubelet and the gateway come from other hosts
    parser.add_argument("--port", type=_number(0), default=8080)
    parser.add_argument(
        "--context-length",
        type=_number(1),
        metavar="N",
        help="tokens of one request; default: the model's, at most 4096",
    )
    parser.add_argument(
        "--parallel", type=_number(1), default=4, metavar="N", help="requests that are answered at once"
    )
    parser.add_argument(
        "--threads",
        type=_number(1),
        default=os.environ.get("LLAMACPP_THREADS"),
        metavar="N",
        help="default: LLAMACPP_THREADS, or the processors that the container may use",
    )
    parser.add_argument("--gpu-layers", type=_number(0), metavar="N", help="layers on a GPU; default: all that fit")
    parser.add_argument(
        "--lora",
        action=_Named,
        default={},
        metavar="NAME=PATH",
        help="an adapter (a file, or a folder with one), asked for by its name",
    )
    parser.add_argument("--set", action=_Named, default={}, metavar="NAME=VALUE", help="a parameter of llama.cpp")
    parser.add_argument(
        "--drain-seconds", type=_number(0), default=30, metavar="N", help="after SIGTERM, for answers in progress"
    )
    parser.add_argument(
        "--stalled-seconds", type=_number(1), default=60, metavar="N", help="for a client that reads nothing any more"
    )
    parser.add_argument(
        "--max-waiting", type=_number(0), default=512, metavar="N", help="requests that may wait; more get 503"
    )
    parser.add_argument(
        "--max-body-mebibytes", type=_number(1), default=16, metavar="N", help="larger requests get 413"
    )
    parser.add_argument("--verbose", action="store_true", help="llama.cpp's own log, not only its errors")
    options = parser.parse_args(arguments)
    if options.alias in options.lora:
        parser.error(f"--lora {options.alias}=...: --alias has this name; give the adapter another")
    return options


def processors():
    """Processors that this process may use; a container's limit is a quota, and more threads than that slow each other
    down."""
    allowed = len(os.sched_getaffinity(0))
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:  # noqa: PTH123 - not a file that somebody names
            quota, period = file.read().split()
        return max(1, min(allowed, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # "max": no limit
        return allowed


def _number(least):
    def number(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return number


class _Named(argparse.Action):
    """NAME=VALUE, repeatable; no name twice."""

    def __call__(self, parser, namespace, values, option_string=None):
        name, equals, value = values.partition("=")
        given = dict(getattr(namespace, self.dest))
        if not (name and equals and value):
            parser.error(f"{option_string} {values}: write {self.metavar}")
        if name in given:
            parser.error(f"{option_string} {values}: {name} is given twice")
        setattr(namespace, self.dest, given | {name: value})
