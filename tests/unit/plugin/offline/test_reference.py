"""The reference: from a sample of rows to bins, to a ConfigMap, and back."""

import json
import random
from collections.abc import Sequence

import pytest

from kubectl_sluice.offline import reference
from kubectl_sluice.offline.reference import BinnedFeature, Reference, SampledColumn, Value


def made(values: Sequence[Value], bins: int = 10) -> BinnedFeature | str:
    return reference.feature_of(SampledColumn("x", values), bins)


def feature(values: Sequence[Value], bins: int = 10) -> BinnedFeature:
    found = made(values, bins)
    assert isinstance(found, BinnedFeature)
    return found


def ages(seed: int = 1, mean: float = 40) -> list[Value]:
    rolls = random.Random(seed)
    return [rolls.gauss(mean, 10) for _ in range(2000)]


def test_numbers_get_quantiles_and_what_is_missing_a_bin() -> None:
    found = feature([*ages(), *([None] * 50), float("nan")])
    assert len(found.edges) == 9
    assert list(found.counts)[-2:] == ["(not a number)", "(missing)"]
    assert found.counts["(missing)"] == 51
    assert sum(found.counts.values()) == 2051


def test_infinity_is_in_an_outer_bin() -> None:
    found = feature([*ages(), float("inf"), float("-inf")])
    assert sum(found.counts.values()) == 2002


def test_categories_by_how_often_they_are_and_rare_ones_have_no_name() -> None:
    found = feature(["de"] * 500 + ["fr"] * 300 + ["somebody's name"] * 3 + [None] * 10 + [""] * 2)
    assert found.values == ("de", "fr")
    assert dict(found.counts) == {"de": 500, "fr": 300, "(other)": 3, "(missing)": 12}
    assert "somebody" not in json.dumps(found.to_wire())


def test_a_category_cannot_pass_for_a_bin_of_ours() -> None:
    found = feature(["(missing)"] * 200 + ["!x"] * 150 + ["=y"] * 100)
    assert list(found.counts) == ["=(missing)", "=!x", "==y", "(other)", "(missing)"]


def test_more_categories_than_bins() -> None:
    found = feature([f"c{number % 40}" for number in range(4000)], 16)
    assert len(found.values) == 15
    assert found.counts["(other)"] == 2500


@pytest.mark.parametrize(
    ("values", "why"),
    [
        pytest.param([1.0] * 199 + [None] * 500, "only 199 of 699 rows have a value", id="few"),
        pytest.param([3.0] * 500, "the same value", id="constant"),
        pytest.param([f"user-{number}" for number in range(500)], "free text or an identifier", id="identifiers"),
        pytest.param(["x" * 40] * 500, "free text or an identifier", id="long"),
    ],
)
def test_what_has_no_bins(values: Sequence[Value], why: str) -> None:
    found = made(values)
    assert isinstance(found, str)
    assert why in found


def test_the_document_comes_back_as_it_went() -> None:
    known = Reference(2000, (feature(ages()), feature(["a"] * 300)), (feature(["spam"] * 100 + ["ham"] * 200),))
    manifest = reference.configmap(known, "digits", "s3://data/train.parquet")
    assert manifest["metadata"]["annotations"] == {"sluice.dev/reference-data": "s3://data/train.parquet"}
    assert reference.parsed(manifest["data"]["reference.json"]) == known


def test_a_reference_that_is_too_large_is_refused() -> None:
    bins = {f"{'y' * 190}{number}": 1 for number in range(17)}
    every = tuple(BinnedFeature(f"{'x' * 100}{number}", bins, values=tuple(bins)[:15]) for number in range(64))
    with pytest.raises(ValueError, match="name fewer features"):
        reference.dumped(Reference(1, every))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1, "rows": "x"}', '{"version": 1, "rows": 1, "features": [3]}',
     '{"version": 1, "rows": 1, "features": [{"name": "x", "bins": {"a": "b"}}]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(reference.UnreadableReference):
        reference.parsed(text)


def test_which_features_have_moved_and_which_have_vanished() -> None:
    before = Reference(
        2000, (feature(ages()), BinnedFeature("gone", {"a": 1, "(other)": 0, "(missing)": 0}, values=("a",)))
    )
    shifted = reference.recounted(before.features[0], SampledColumn("x", ages(2, 48)))
    after = Reference(2000, (shifted, BinnedFeature("new", {"a": 1}, values=("a",))))
    moved = {move.name: move for move in reference.moves(before, after)}
    assert moved["x"].index is not None
    assert moved["x"].index > 0.25 > moved["x"].by_chance * 10
    assert (moved["gone"].why, moved["new"].why) == ("the feature has vanished", "the feature is new")


def test_other_bins_are_not_compared() -> None:
    [move] = reference.moves(Reference(1, (feature(ages()),)), Reference(1, (feature(ages(), 5),)))
    assert (move.index, move.why) == (None, "its bins are others")


def test_counting_again_by_bins_that_are_there() -> None:
    known = feature(["a"] * 200 + ["b"] * 200)
    again = reference.recounted(known, SampledColumn("x", ["a", "c", None, "b", "b"]))
    assert dict(again.counts) == {"a": 1, "b": 2, "(other)": 1, "(missing)": 1}
    numbers = reference.recounted(feature([0.0] * 200 + [1.0] * 200), SampledColumn("x", [0.0, 2.0, "text", None]))
    assert list(numbers.counts.values()) == [1, 1, 1, 1]
