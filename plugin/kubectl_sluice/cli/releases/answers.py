"""The answer to a single request, for a person."""

import json
from typing import Any

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.options import OutputFormat
from sluice_core.adapters import http


def show(answer: http.HttpAnswer, output: OutputFormat) -> int:
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
        raise Failure(f"{who(answer.revision)} answered {answer.status}: {_reason(content)}")
    console.print_json(content)
    console.say(f"answered by {answer.revision or 'an unknown revision'} in {answer.seconds * 1000:.1f} ms")
    return exits.OK


def who(revision: str) -> str:
    return f"revision {revision}" if revision else "the gateway itself"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _reason(content: Any) -> str:
    """V2 servers answer `{"error": …}`, OpenAI's `{"error": {"message": …}}`; gateways answer text, or nothing at all."""
    if isinstance(content, dict) and "error" in content:
        error = content["error"]
        return str(error["message"] if isinstance(error, dict) and "message" in error else error)
    return str(content).strip() or "(empty answer)"
