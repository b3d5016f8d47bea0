"""What a language model is asked while it is profiled."""

import json

import pytest

from kubectl_sluice.cli.profiling import languagemodel
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from tests.support.cases import builders

CHAT = json.dumps({"messages": [], "stream": False}).encode()


def runtime(*protocols: str) -> ServingRuntime:
    return builders.make_runtime(protocols=list(protocols))


@pytest.mark.parametrize(
    ("name", "path", "payload", "server", "want"),
    [
        ("by the runtime", None, None, runtime("OpenAI"), "/v1/completions"),
        ("by the path", "/v1/completions", None, None, "/v1/completions"),
        ("the user's chat", None, CHAT, runtime("OpenAI", "V2"), "/v1/chat/completions"),
        ("embeddings are no text", "/v1/embeddings", b'{"input": "x"}', runtime("OpenAI"), None),
        ("a body that is none", "/v1/completions", b"mine", None, None),
        ("a list", "/v1/completions", b"[]", None, None),
        ("another path than the body's", "/v1/completions", CHAT, None, None),
        ("another server", None, None, runtime("V2"), None),
        ("nobody knows", None, None, None, None),
    ],
)
def test_texts_are_streamed(
    name: str, path: str | None, payload: bytes | None, server: ServingRuntime | None, want: str | None
) -> None:
    found = languagemodel.request(path, payload, server, "m")
    assert (found[0] if found else None) == want, name
    if found:
        asked = json.loads(found[1])
        assert (asked["stream"], asked["model"]) == (True, "m")
