"""The answer of a language model as it arrives: server-sent events of the OpenAI protocol, one line at a time.

data: {"choices": [{"delta": {"content": "He"}}]}     a piece of a chat; {"choices": [{"text": "He"}]} of a completion
data: {"choices": [{…, "finish_reason": "stop"}]}     the server has said all
data: {"choices": [], "usage": {"completion_tokens": 9}}
data: [DONE]
data: {"error": {"message": "out of memory"}}         the answer broke off, inside of a 200
"""

import json
from collections.abc import Mapping
from typing import Any, Final

CHATS: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
PREFIX: Final = "data:"
DONE: Final = "[DONE]"
TEXTS: Final = ("content", "reasoning_content", "reasoning", "text")
"""Fields of a piece that hold the model's text."""


class BrokenAnswer(ValueError):
    """The server breaks the answer off, or sends something incomprehensible."""


class StreamedAnswer:
    """One answer so far; times in seconds, by the client's clock."""

    def __init__(self, asked: float) -> None:
        self.asked = asked
        self.times: list[float] = []
        """When each piece came."""
        self.finished = False
        """Whether the server has marked the end."""
        self._told: int | None = None

    @property
    def pieces(self) -> int:
        return len(self.times)

    @property
    def tokens(self) -> int:
        """As the server counts them; otherwise the pieces, most of which are one token."""
        return self.pieces if self._told is None else self._told

    @property
    def counted(self) -> bool:
        """Whether the server reports the number of tokens."""
        return self._told is not None

    @property
    def first_seconds(self) -> float | None:
        """From the request to the first piece."""
        return self.times[0] - self.asked if self.times else None

    @property
    def tokens_per_second(self) -> float | None:
        """After the first one; None for an answer of one token or none."""
        if self.pieces < 2 or self.tokens < 2 or self.times[-1] <= self.times[0]:
            return None
        return (self.tokens - 1) / (self.times[-1] - self.times[0])

    def take(self, line: str, now: float) -> str:
        """Reads a line; the text in it. Raises `BrokenAnswer`."""
        if not line.startswith(PREFIX):
            return ""  # an empty line between events, a comment that keeps the connection open, or an event's name
        said = line.removeprefix(PREFIX).strip()
        if said == DONE:
            self.finished = True
            return ""
        event = _parsed(said)
        if event.get("error"):
            raise BrokenAnswer(_message(event["error"]))
        self._count(event.get("usage"))
        choice = _first(event.get("choices"))
        text = _text(choice)
        if text:
            self.times.append(now)
        self.finished = self.finished or bool(choice.get("finish_reason"))
        return text

    def _count(self, usage: Any) -> None:
        told = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
        if isinstance(told, int) and told > 0:
            self._told = told

    def problem(self) -> str:
        """Why the answer is incomplete at its last line; empty where it is complete."""
        if self.finished:
            return ""
        return (
            f"the answer broke off after {self.pieces} pieces"
            if self.pieces
            else "the answer broke off before any text"
        )


def _parsed(said: str) -> Mapping[str, Any]:
    try:
        event = json.loads(said)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise BrokenAnswer(f"an event of the answer is no JSON object: {said[:100]}")
    return event


def _first(choices: Any) -> Mapping[str, Any]:
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _text(choice: Mapping[str, Any]) -> str:
    delta = choice.get("delta")
    piece = delta if isinstance(delta, dict) else choice
    return "".join(str(piece[name]) for name in TEXTS if piece.get(name))


def _message(error: Any) -> str:
    said = error.get("message") if isinstance(error, dict) else None
    return " ".join(str(said or error).split())[:300]


def request(body: bytes, model: str) -> tuple[str, bytes] | None:
    """(path, body) of a request for streamed text with a token count; None: the body asks for something else.

    model: inserted where the request names none. A request with `"stream": false` stays as it is.
    """
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    if not isinstance(asked, dict) or not ("messages" in asked or "prompt" in asked):
        return None
    streamed: dict[str, Any] = {"stream": True}
    if asked.get("stream") is not False and "stream_options" not in asked:
        streamed["stream_options"] = {"include_usage": True}
    path = CHATS if "messages" in asked else COMPLETIONS
    return path, json.dumps({"model": model, **streamed, **asked}).encode()


def completion(model: str, prompt: str, tokens: int, **more: Any) -> bytes:
    """A request that every language model answers."""
    return json.dumps({"model": model, "prompt": prompt, "max_tokens": tokens, **more}).encode()
