"""Bodies of requests: made up, and packed to travel."""

import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubectl_sluice.loadgen import payload

ROOT = Path(__file__).parents[4]


@given(
    st.dictionaries(st.sampled_from(["name", "inputs"]), st.none() | st.just([]), max_size=2)
    | st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.text(max_size=3),
                        "datatype": st.sampled_from(["BOOL", "BYTES", "FP32", "INT64", ""]),
                        "shape": st.lists(st.integers(-1, 5) | st.just(5000), max_size=3),
                    }
                ),
                max_size=3,
            )
        }
    )
)
def test_bodies_are_made_up_as_for_the_warm_up(metadata: dict[str, Any]) -> None:
    """The rule stands twice, since the generator travels alone; it must stay one rule."""
    sys.path.insert(0, str(ROOT / "serving-runtime" / "storage-initializer"))
    try:
        from sluice_warmup import protocols
    finally:
        sys.path.pop(0)
    try:
        want: bytes | None = protocols.body_of(metadata)
    except protocols.NoPayload:
        want = None
    try:
        body: bytes | None = payload.body_of(metadata)
    except ValueError:
        body = None
    assert body == want


@given(st.binary(max_size=500))
def test_a_payload_travels_as_text(body: bytes) -> None:
    assert payload.unpacked(payload.packed(body)) == body
    assert payload.packed(body).isascii()
