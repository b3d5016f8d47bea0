"""The answer of a language model, shown as it arrives."""

import sys
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.options import OutputFormat
from kubectl_sluice.cli.releases import answers
from kubectl_sluice.loadgen.chunks import BrokenAnswer, StreamedAnswer
from kubectl_sluice.views.example import Address
from sluice_core.adapters import http
from sluice_core.views import words
from sluice_core.views.words import harmless

IDLE_SECONDS: Final = 60.0
"""How long a stream may be silent."""
CONTROLS_KEPT: Final = "\n\t"
"""Control characters that remain in text for people."""


async def show(address: Address, path: str, body: bytes, output: OutputFormat) -> int:
    """Sends the request, writes the text to standard output as it arrives, and reports its speed at the end."""
    began = time.perf_counter()
    try:
        async with http.streamed_json(
            address.url(path), host=address.host, body=body, timeout_seconds=IDLE_SECONDS
        ) as stream:
            if not stream.streamed:
                text = "\n".join([line async for line in stream.lines])
                return answers.show(
                    http.HttpAnswer(stream.status, stream.revision, text, time.perf_counter() - began), output
                )
            answer, parts = StreamedAnswer(began), list[str]()
            problem = await _read(stream.lines, answer, parts, quiet=output is not OutputFormat.TEXT)
    except http.GatewayUnreachable as error:
        raise Failure(str(error)) from error
    _end(stream, answer, "".join(parts), problem, output)
    return exits.FAILED if problem else exits.OK


async def _read(lines: AsyncIterator[str], answer: StreamedAnswer, parts: list[str], *, quiet: bool) -> str:
    """Reads all of it, written as it arrives unless `quiet`; why it is incomplete, or empty."""
    try:
        async for line in lines:
            text = answer.take(line, time.perf_counter())
            parts.append(text)
            if text and not quiet:
                sys.stdout.write(_printable(text))
                sys.stdout.flush()
    except BrokenAnswer as error:
        return f"the answer broke off after {words.plural(answer.pieces, 'piece')}: {error}"
    finally:
        if answer.pieces and not quiet:
            sys.stdout.write("\n")
            sys.stdout.flush()
    return answer.problem()


def _end(stream: http.HttpStream, answer: StreamedAnswer, text: str, problem: str, output: OutputFormat) -> None:
    seconds = time.perf_counter() - answer.asked
    if output is not OutputFormat.TEXT:
        console.show(output, _document(stream, answer, text, problem, seconds), "")
    elif problem:
        raise Failure(f"{answers.who(stream.revision)}: {problem}")
    else:
        console.say(f"answered by {stream.revision or 'an unknown revision'} in {_speed(answer, seconds)}")


def _document(
    stream: http.HttpStream, answer: StreamedAnswer, text: str, problem: str, seconds: float
) -> dict[str, Any]:
    first, rate = answer.first_seconds, answer.tokens_per_second
    return {
        "status": stream.status,
        "revision": stream.revision,
        "milliseconds": round(seconds * 1000, 1),
        "firstTokenMilliseconds": None if first is None else round(first * 1000, 1),
        "tokens": answer.tokens,
        "tokensPerSecond": None if rate is None else round(rate, 1),
        "problem": problem,
        "answer": text,
    }


def _speed(answer: StreamedAnswer, seconds: float) -> str:
    tokens = words.plural(answer.tokens, "token" if answer.counted else "piece")
    first, rate = answer.first_seconds, answer.tokens_per_second
    parts = (
        f"{seconds:.2f} s: {tokens}",
        "" if first is None else f"the first after {first * 1000:.0f} ms",
        "" if rate is None else f"then {rate:.1f} a second",
    )
    return ", ".join(part for part in parts if part)


def _printable(text: str) -> str:
    """The text without terminal control, except line breaks."""
    return "".join(each if each in CONTROLS_KEPT else harmless(each) for each in text)
