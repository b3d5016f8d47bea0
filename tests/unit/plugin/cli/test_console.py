"""What others wrote cannot steer the terminal of whoever reads it."""

import io
import json

import pytest
import yaml
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kubectl_sluice.cli import console

CLEARS = "before\x1b[2J\x1b]0;title\x9cafter"
"""Clears the screen and names the window."""
SHOWN = "before\\u001b[2J\\u001b]0;title\\u009cafter"


def table() -> Table:
    found = Table()
    found.add_column("message")
    found.add_row(CLEARS)
    return found


@pytest.mark.parametrize(
    "shown",
    [CLEARS, Text(CLEARS), table(), Panel(CLEARS), Group(Text(CLEARS, "bold red"), table())],
    ids=["string", "text", "table", "panel", "group"],
)
def test_control_characters_are_shown_and_not_obeyed(shown: object, capsys: pytest.CaptureFixture[str]) -> None:
    console.stdout().print(shown)
    console.stderr().print(shown)
    for text in capsys.readouterr():
        assert "before\\u001b[2J" in text, "a column was measured before: its end may be cut off"
        assert "\x1b" not in text


def test_a_name_between_colons_stays_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.stdout().print("registry:warning:1")
    console.stderr().print("registry:warning:1")
    assert all(text == "registry:warning:1\n" for text in capsys.readouterr())


def test_the_styles_of_a_terminal_are_its_own() -> None:
    out = io.StringIO()
    console.SafeConsole(file=out, force_terminal=True, color_system="standard", width=80).print(Text(CLEARS, "red"))
    assert out.getvalue() == f"\x1b[31m{SHOWN}\x1b[0m\n"


def test_what_is_redrawn_in_place_is_harmless_too() -> None:
    out = io.StringIO()
    terminal = console.SafeConsole(file=out, force_terminal=True, width=80)
    with Live(table(), console=terminal, auto_refresh=False) as live:
        live.update(Text(CLEARS), refresh=True)
    assert SHOWN in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
    assert "\x1b]" not in out.getvalue()


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\r", "\x7f", "\x9b", "\u202e", "\u2066"])
def test_every_way_out_is_closed(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = {"message": f"a{character}b"}
    console.say(f"a{character}b")
    console.line(f"a{character}b")
    console.show("json", document, "")
    console.show_next("json", document)
    console.show("yaml", document, "")
    assert character not in "".join(capsys.readouterr())


@pytest.mark.parametrize("message", [CLEARS, "a\x9bb\u202ec", "tab\tand\nline", "grüße \\u001b"])
def test_documents_stay_what_they_are(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    for output, load in (("json", json.loads), ("yaml", yaml.safe_load)):
        console.show(output, {"message": message}, "")
        assert load(capsys.readouterr().out) == {"message": message}, output


def test_text_keeps_its_lines_and_letters(capsys: pytest.CaptureFixture[str]) -> None:
    console.show("text", {}, "1\tone\n2\tzwölf ↔ 十二")
    assert capsys.readouterr().out.split() == ["1", "one", "2", "zwölf", "↔", "十二"]
