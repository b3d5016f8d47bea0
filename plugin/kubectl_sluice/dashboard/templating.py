"""HTML from templates: every value is escaped, and a missing one is an error."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sluice_core.views import words

FOLDER: Final = Path(__file__).parent / "templates"


class Templates:
    """The folder `templates`, compiled once."""

    def __init__(self, *, loopback: bool) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=_harmless,
        )
        self._environment.filters |= {"span": words.span, "count": words.count, "part": _part}
        self._environment.globals |= {"loopback": loopback, "plural": words.plural, "query": _query}

    def answer(self, request: Request, name: str, found: Mapping[str, Any], status: int = 200) -> Response:
        """A page, with its reader's name."""
        session = getattr(request.state, "session", None)
        query = f"?{request.url.query}" if request.url.query else ""
        text = self._environment.get_template(name).render(
            **found,
            user=session.user if session is not None else "",
            here=f"{request.url.path}{query}",
            made=time.strftime("%H:%M:%S", time.gmtime()),
        )
        return HTMLResponse(text, status)


def _harmless(value: Any) -> Any:
    """Without control of the text's direction, or of a terminal that it is copied to."""
    return words.harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _part(name: str) -> str:
    """One segment of a path."""
    return quote(name, safe="")


def _query(**fields: Any) -> str:
    """A query string without empty values."""
    pairs = [(name, value) for name, value in fields.items() if value not in ("", (), None)]
    return f"?{urlencode(pairs, doseq=True)}" if pairs else ""
