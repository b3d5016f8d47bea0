"""Output: answers to standard output, remarks to standard error; colours only on a terminal.

Much of the text is foreign: messages of servers and pods, labels, notes. Its control characters would steer the
terminal, so they are shown escaped, such as \\u001b.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from kubectl_sluice.cli import exits
from sluice_core import errors
from sluice_core.api import yamltext
from sluice_core.views.words import harmless as harmless

PIPE_COLUMNS: Final = 120
"""Width of tables where no terminal determines it."""


class Failure(Exception):
    """Ends a command with a message for a person."""


class SafeConsole(Console):
    """Writes the escape sequences of its own styles and no others, and text between colons as it is."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def stdout() -> Console:
    """Standard output; rich itself heeds NO_COLOR and TERM=dumb. No markup: messages may contain brackets."""
    console = SafeConsole()
    return console if console.is_terminal else SafeConsole(width=PIPE_COLUMNS)


def stderr() -> Console:
    return SafeConsole(stderr=True, soft_wrap=True)


def say(message: str) -> None:
    """One remark on standard error; above text that is redrawn in place, which a separate console would write into."""
    print(harmless(message), file=sys.stderr, flush=True)


def line(*words: str) -> None:
    """One line on standard output, at once."""
    print(harmless(" ".join(words)), flush=True)


def show(output: str, document: Any, text: RenderableType | str) -> None:
    """A command's answer in the requested format: a document for programs, or text for people."""
    match output:
        case "json":
            print_json(document)
        case "yaml":
            print_yaml(document)
        case _ if isinstance(text, str):
            stdout().print(text, soft_wrap=True)
        case _:
            stdout().print(text)


def show_next(output: str, document: Any) -> None:
    """One of a stream of documents in the requested format; JSON in one line each."""
    if output == "yaml":
        print("---")
        print_yaml(document)
    else:
        line(json.dumps(document, ensure_ascii=False))


def print_yaml(value: Any) -> None:
    """One YAML document on standard output."""
    line(yamltext.dumped(value, width=PIPE_COLUMNS).removesuffix("\n"))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    line(json.dumps(value, indent=2, ensure_ascii=False))


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Shows on a terminal what is awaited, as long as it lasts; yields a function that replaces the text."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _newer: None
        return
    with console.status(Text(f"{what} …", "dim")) as status:
        yield lambda newer: status.update(Text(f"{newer} …", "dim"))


def run(command: Coroutine[Any, Any, int]) -> int:
    """Runs a command; an error that people can fix becomes one line instead of a traceback."""
    try:
        return asyncio.run(command)
    except (Failure, errors.ApiError) as error:
        stderr().print(Text.assemble(("error: ", "bold red"), str(error)))
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
