"""Where text goes: answers to standard output, remarks to standard error; colours only on a terminal."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from sluice import errors
from sluice.cli import exits

PIPE_COLUMNS: Final = 120
"""Width of tables where no terminal sets one."""


class Failure(Exception):
    """Ends a command with a message for a person."""


def stdout() -> Console:
    """Standard output; rich itself heeds NO_COLOR and TERM=dumb. No markup: messages may contain brackets."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=PIPE_COLUMNS)


def stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def say(message: str) -> None:
    """One remark on standard error."""
    stderr().print(Text(message))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)


def run(command: Coroutine[Any, Any, int]) -> int:
    """Runs a command; what people can mend becomes one line instead of a traceback."""
    try:
        return asyncio.run(command)
    except (Failure, errors.ApiError) as error:
        stderr().print(Text.assemble(("error: ", "bold red"), str(error)))
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
