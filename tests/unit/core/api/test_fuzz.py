"""Whatever is written as a query is taken apart or refused in words, in a time that its length allows."""

from hypothesis import strategies as st

from sluice_judge.schema import promql
from tests.support import effort
from tests.support.fuzzing import TEXTS, examples, run

LONGEST = 1024
"""Characters that the API server lets through."""
VALUES = {"revision": "digits-1a2b", "namespace": "shop", "name": "digits"}
PIECES = st.sampled_from(
    [
        *(
            'up{revision="{{revision}}"}',
            'up{pod=~"{{revision}}-.*",',
            '{__name__=~"a|b",',
            'a="b",',
            'a=~"',
            "up{",
            "}",
        ),
        *(
            "{{revision}}",
            "{{name}}",
            "{{",
            "}}",
            '"',
            "\\",
            "\\\\",
            "|",
            "(",
            ",",
            "=",
            "=~",
            " ",
            "\t",
            "\n",
            "a",
            "\x85",
        ),
    ]
)
REPEATED = st.builds(
    lambda piece, times: (piece * times)[: LONGEST - 200], PIECES, st.sampled_from([1, 1, 1, 40, 1000])
)
QUERIES = st.lists(REPEATED | TEXTS, max_size=8).map(lambda pieces: "".join(pieces)[:LONGEST])


@examples
def test_queries(count: int) -> None:
    def read(text: str) -> None:
        try:
            asked = str(promql.parsed(text).filled(VALUES).narrowed("namespace", "shop"))
        except promql.InvalidSelector:
            pass
        else:
            assert asked.endswith('namespace="shop"}')
            assert "{{" not in asked

    def check(text: str) -> None:
        assert effort.is_within(50, lambda: read(text))

    run(count, check, text=QUERIES)
