"""Requests to a language model while it is profiled."""

import json
from typing import Final

from kubectl_sluice.loadgen import chunks
from sluice_core.api.v1alpha1.servingruntime import Protocol, ServingRuntime

PROMPT: Final = "Write a long story about a river that flows uphill."
TOKENS: Final = 128
"""Tokens of each answer; the number is fixed, or the figures would differ from one minute to the next."""
OWN_PROMPT: Final = f"a prompt of {len(PROMPT.split())} words, {TOKENS} tokens an answer (give your own with --payload)"


def request(
    path: str | None, payload: bytes | None, runtime: ServingRuntime | None, model: str
) -> tuple[str, bytes] | None:
    """(path, body) of a request for a text stream; None where the model is asked for something else."""
    speaks = runtime is not None and runtime.spec.protocols[0] is Protocol.OPENAI
    if not speaks and path not in (chunks.CHATS, chunks.COMPLETIONS):
        return None
    given = chunks.completion(model, PROMPT, TOKENS, ignore_eos=True) if payload is None else _streamed(payload)
    made = chunks.request(given, model)
    return made if made is not None and path in (None, made[0]) else None


def _streamed(payload: bytes) -> bytes:
    """The user's request, streamed so that its first token shows."""
    try:
        asked = json.loads(payload)
    except ValueError:
        return payload
    return json.dumps({**asked, "stream": True}).encode() if isinstance(asked, dict) else payload
