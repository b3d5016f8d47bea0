"""A client's request: the parts of its JSON that are needed here. llama.cpp reads everything else."""

import json
from dataclasses import dataclass

NESTED = "the body has too many brackets within each other"


class Refused(Exception):
    """An error in the OpenAI API's form."""

    def __init__(self, status, kind, message):
        super().__init__(message)
        self.status = status
        self.document = {"error": {"code": status, "type": kind, "message": message}}


@dataclass(frozen=True, slots=True)
class Request:
    """One request to generate."""

    body: bytes
    """For llama.cpp."""
    chat: bool
    stream: bool
    prompt_bytes: int
    shows_progress: bool
    """Whether the client wants to see how far the prompt is computed. A stream's events say so in any case."""


def read(body, *, chat, alias, adapters):
    """adapters: their names, in the order of loading. Raises Refused."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Refused(400, "invalid_request_error", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused(400, "invalid_request_error", NESTED) from error
    if not isinstance(document, dict):
        raise Refused(400, "invalid_request_error", "the body must be a JSON object")
    name = document.get("model", alias)
    if name != alias and name not in adapters:
        names = ", ".join((alias, *adapters))
        raise Refused(404, "not_found_error", f"there is no model {name!r}; use {names}")
    stream = document.get("stream", False)
    if not isinstance(stream, bool):
        raise Refused(400, "invalid_request_error", "stream must be true or false")
    said = [message.get("content") for message in _messages(document)] if chat else document.get("prompt")
    shows_progress = bool(document.get("return_progress", False))
    if adapters:
        document["lora"] = [{"id": i, "scale": float(each == name)} for i, each in enumerate(adapters)]
    if stream:
        document["return_progress"] = True
    if adapters or stream:
        body = json.dumps(document).encode()
    return Request(body, chat, stream, text_bytes(said), shows_progress)


def text_bytes(said):
    """Bytes of all text in a prompt or in messages' contents, in any form that the API allows. A token counts as
    one."""
    total, left = 0, [said]
    while left:
        each = left.pop()
        if isinstance(each, str):
            total += len(each.encode(errors="replace"))
        elif isinstance(each, list):
            left.extend(each)
        elif isinstance(each, dict):
            left.append(each.get("text", ""))
        else:
            total += 1
    return total


def _messages(document):
    messages = document.get("messages")
    return [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
