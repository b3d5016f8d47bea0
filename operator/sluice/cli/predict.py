"""`kubectl sluice predict`: one request through the gateway, as a user of the model sends it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from sluice.adapters import http, v2
from sluice.cli import cluster, console, exits
from sluice.cli.console import Failure
from sluice.cli.options import Gateway, ModelTarget, OutputFormat
from sluice.views import example

TIMEOUT_SECONDS: Final = 60.0
File: TypeAlias = Annotated[
    str | None, typer.Option("--file", "-f", metavar="FILE", help="V2 request body; - reads standard input.")
]
Sample: TypeAlias = Annotated[
    bool, typer.Option("--sample", help="Instead, print a request body made from the model's metadata.")
]


async def predict(
    target: ModelTarget, output: OutputFormat, *, file: File = None, sample: Sample = False, gateway: Gateway = None
) -> int:
    """Sends one request, or prints one to send."""
    body = None if sample else read_body(file)
    async with cluster.session(target) as session:
        release = await session.fetch()
        address = await session.fetch_address(release.deployment, gateway)
    if body is None:
        return await _print_sample(address)
    try:
        answer = await http.post_json(address.infer_url, host=address.host, body=body, timeout_seconds=TIMEOUT_SECONDS)
    except http.GatewayUnreachable as error:
        raise Failure(str(error)) from error
    return _print_answer(answer, output)


def read_body(file: str | None) -> bytes:
    """The request body from a file or, for `-`, from standard input; checked to be JSON before anyone is asked."""
    if file is None:
        raise Failure("pass the request body with -f body.json (or -f - for standard input); --sample prints one")
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failure(f"-f {file}: {error.strerror}") from error
    try:
        json.loads(body)
    except ValueError as error:
        raise Failure(f"-f {file}: this is not JSON: {error}; --sample prints a valid body") from error
    return body


async def _print_sample(address: example.Address) -> int:
    try:
        metadata = await v2.fetch_metadata(address, timeout_seconds=TIMEOUT_SECONDS)
    except v2.MetadataUnavailable as error:
        raise Failure(f"no sample: {error}; check with kubectl sluice status whether the model is ready") from error
    print(json.dumps(example.sample_body(metadata)))
    return exits.OK


def _print_answer(answer: http.HttpAnswer, output: OutputFormat) -> int:
    content = _json_or_text(answer.text)
    succeeded = 200 <= answer.status < 300
    if output is not OutputFormat.TEXT:
        document = {
            "status": answer.status,
            "revision": answer.revision,
            "milliseconds": round(answer.seconds * 1000, 1),
            "answer": content,
        }
        console.show(output, document, "")
        return exits.OK if succeeded else exits.FAILED
    if not succeeded:
        by = f"revision {answer.revision}" if answer.revision else "the gateway itself"
        raise Failure(f"{by} answered {answer.status}: {_reason(content)}")
    console.print_json(content)
    console.say(f"answered by {answer.revision or 'an unknown revision'} in {answer.seconds * 1000:.1f} ms")
    return exits.OK


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _reason(content: Any) -> str:
    """V2 servers answer `{"error": …}`; gateways answer text, or nothing at all."""
    if isinstance(content, dict) and "error" in content:
        return str(content["error"])
    return str(content).strip() or "(empty answer)"
