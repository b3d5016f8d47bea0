"""`kubectl sluice predict`: one request through the gateway, as a user of the model sends it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from kubectl_sluice.adapters import triton
from kubectl_sluice.cli import exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Gateway, ModelTarget, OutputFormat
from kubectl_sluice.cli.releases import answers, streaming
from kubectl_sluice.loadgen import chunks
from kubectl_sluice.views import example
from sluice_core.adapters import http

TIMEOUT_SECONDS: Final = 60.0
PROMPT_TOKENS: Final = 256
"""The most bytes of an answer to --prompt."""
File: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Request body, of the protocol V2, or of OpenAI's (with messages or prompt), whose answer is shown as it comes; "
        "- reads standard input.",
    ),
]
Prompt: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        help=f"Instead, a text that a language model is to go on with, {PROMPT_TOKENS} tokens.",
    ),
]
Sample: TypeAlias = Annotated[
    bool, typer.Option("--sample", help="Instead, print a request body made from the model's metadata.")
]


async def predict(
    target: ModelTarget,
    output: OutputFormat,
    *,
    file: File = None,
    prompt: Prompt = None,
    sample: Sample = False,
    gateway: Gateway = None,
) -> int:
    """Sends one request, or prints one to send."""
    if prompt is not None and (file is not None or sample):
        raise Failure("--prompt is a request of its own; leave out -f and --sample")
    body = None if sample or prompt is not None else read_body(file)
    async with cluster.session(target) as session:
        release = await session.fetch()
        address = await session.fetch_address(release.deployment, gateway)
    if prompt is not None:
        body = chunks.completion(address.model, prompt, PROMPT_TOKENS)
    if body is None:
        return await _print_sample(address, session)
    asked = chunks.request(body, address.model)
    if asked is not None:
        return await streaming.show(address, *asked, output)
    try:
        answer = await http.post_json(address.infer_url, host=address.host, body=body, timeout_seconds=TIMEOUT_SECONDS)
    except http.GatewayUnreachable as error:
        raise Failure(str(error)) from error
    return answers.show(answer, output)


def read_body(file: str | None) -> bytes:
    """The request body from a file or, for `-`, from standard input; checked to be JSON before it is sent."""
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


async def _print_sample(address: example.Address, session: cluster.Session) -> int:
    try:
        metadata = await triton.fetch_metadata(
            address.gateway, host=address.host, model=address.model, timeout_seconds=TIMEOUT_SECONDS
        )
    except triton.MetadataUnavailable as error:
        raise Failure(f"no sample: {error}; check whether the model is ready: {session.command('status')}") from error
    print(json.dumps(example.sample_body(metadata)))
    return exits.OK
