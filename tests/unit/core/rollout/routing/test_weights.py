"""The way from one set of weights to another: a table of single writes, and laws over all ways."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice_core.kernel.snapshot import Paths, Route
from sluice_core.rollout import steps
from sluice_core.rollout.routing import weights
from sluice_core.rollout.routing.weights import Target, Weights

MOST_WRITES = 9
"""A swap to a new version that leaves two behind, all of them by way of traces, on a route that somebody else wrote."""


def route(observed: Weights, *, programmed: bool = True, answered: bool = True) -> Route:
    return Route(Paths(observed), generation=1, programmed=programmed, answered=answered)


ONE = (("a", 1000),)
TWO = (("a", 950), ("b", 50))
PROMOTED = (("a", 0), ("b", 1000))
FULL = (("a", 1000), *((f"old{number}", 0) for number in range(15)))
HELD_FULL = (*FULL[2:], ("a", 0), ("a", 1000))
HELD = (("b", 0), ("b", 1000))


@pytest.mark.parametrize(
    ("observed", "shares", "leaving", "want"),
    [
        pytest.param(None, {"a": 1000}, "", Target(ONE, False), id="the first route is written at once"),
        pytest.param(ONE, {"a": 1000}, "", Target(ONE, False), id="nothing to do"),
        pytest.param(ONE, {"a": 950, "b": 50}, "", Target((("a", 1000), ("b", 0)), True), id="a new one enters at 0"),
        pytest.param((("a", 1000), ("b", 0)), {"a": 950, "b": 50}, "", Target(TWO, False), id="then gets its share"),
        pytest.param(
            ONE, {"a": 1000, "b": 0}, "", Target((("a", 1000), ("b", 0)), False), id="one without share enters"
        ),
        pytest.param(PROMOTED, {"a": 1000}, "", Target((("a", 999), ("b", 1)), True), id="a swap goes through both"),
        pytest.param(
            (("a", 999), ("b", 1)), {"a": 1000}, "", Target((("a", 1000), ("b", 0)), False), id="then it is done"
        ),
        pytest.param(TWO, {"a": 1000}, "", Target((("a", 1000), ("b", 0)), False), id="an abort takes one write"),
        pytest.param(PROMOTED, {"b": 1000}, "a", Target((("b", 1000),), False), id="a drained one goes"),
        pytest.param(PROMOTED, {"b": 900, "c": 100}, "a", Target((*PROMOTED, ("c", 0)), True), id="in before out"),
        pytest.param(TWO, {"a": 1000, "c": 0}, "", Target((("a", 1000), ("b", 0)), False), id="down before in"),
        pytest.param(
            TWO, {"a": 900, "c": 100}, "", Target((("a", 1000), ("b", 0)), False), id="stable has the share meanwhile"
        ),
        pytest.param(
            ONE, {"a": 600, "b": 200, "c": 200}, "", Target((("a", 1000), ("b", 0), ("c", 0)), True), id="arms enter"
        ),
        pytest.param(
            (("a", 600), ("b", 200), ("c", 200)),
            {"a": 800, "c": 200},
            "",
            Target((("a", 800), ("b", 0), ("c", 200)), False),
            id="an arm ends, the others keep theirs",
        ),
        pytest.param(
            (("a", 0), ("b", 500), ("c", 500)),
            {"a": 1000},
            "",
            Target((("a", 998), ("b", 1), ("c", 1)), True),
            id="a swap away from two",
        ),
        pytest.param(FULL, {"a": 950, "b": 50}, "", Target(FULL, False), id="where there is no room nobody enters"),
        pytest.param(
            FULL,
            {"a": 950, "b": 50},
            ["old3"],
            Target((*FULL[:4], *FULL[5:]), False),
            id="out before in where it is full",
        ),
        pytest.param(
            FULL[:15],
            {"a": 800, "b": 100, "c": 100},
            "",
            Target((*FULL[:15], ("b", 0)), True),
            id="as many as have room",
        ),
        pytest.param((("a", 7),), {"a": 1000}, "", Target(ONE, False), id="foreign weights are put back"),
        pytest.param((("a", 7),), {"a": 950, "b": 50}, "", Target(ONE, False), id="before a new one enters"),
        pytest.param((("a", 7),), {"b": 1000}, "", Target(ONE, False), id="though all of it is for the new one"),
        pytest.param((("b", 0), ("b", 1000)), {"b": 1000}, "", Target((("b", 1000),), False), id="nobody stands twice"),
        pytest.param(
            (("x", 500), ("a", 500)), {"a": 1000}, "x", Target((("x", 0), ("a", 1000)), False), id="foreign one"
        ),
    ],
)
def test_the_next_write(observed: Weights | None, shares: dict[str, int], leaving: str, want: Target) -> None:
    seen = route(observed) if observed is not None else None
    assert weights.target(route=seen, shares=shares, leaving=frozenset(leaving), positional=False) == want


@pytest.mark.parametrize(
    ("observed", "shares", "leaving", "want"),
    [
        pytest.param(PROMOTED, {"b": 1000}, "a", Target(HELD, False), id="a place is held"),
        pytest.param(HELD, {"b": 1000}, "", Target(HELD, False), id="and stays held"),
        pytest.param(
            HELD, {"b": 950, "c": 50}, "", Target((("c", 0), ("b", 1000)), True), id="until a new one takes it"
        ),
        pytest.param(
            (("c", 0), ("b", 1000)), {"b": 950, "c": 50}, "", Target((("c", 1), ("b", 999)), True), id="then a trace"
        ),
        pytest.param(
            (("c", 1), ("b", 999)), {"b": 950, "c": 50}, "", Target((("c", 50), ("b", 950)), False), id="and its share"
        ),
        pytest.param(TWO, {"a": 1000}, "", Target((("a", 999), ("b", 1)), True), id="an abort leaves a trace"),
        pytest.param(
            (("a", 999), ("b", 1)), {"a": 1000}, "", Target((("a", 1000), ("b", 0)), False), id="and then nothing"
        ),
        pytest.param(
            (("a", 1000), ("b", 0)), {"b": 1000}, "", Target((("a", 999), ("b", 1)), True), id="a swap begins"
        ),
        pytest.param(
            (("a", 999), ("b", 1)), {"b": 1000}, "", Target((("a", 1), ("b", 999)), True), id="goes through both"
        ),
        pytest.param((("a", 1), ("b", 999)), {"b": 1000}, "", Target(PROMOTED, False), id="and is done"),
        pytest.param(
            (("a", 900), ("b", 100), ("c", 0)),
            {"a": 900, "c": 100},
            "",
            Target((("a", 899), ("b", 100), ("c", 1)), True),
            id="in before down, where both are there",
        ),
        pytest.param(
            (("a", 900), ("b", 900), ("c", 0)),
            {"a": 900, "c": 100},
            "",
            Target((("a", 899), ("b", 1), ("c", 100)), True),
            id="foreign weights give no trace",
        ),
        pytest.param(
            PROMOTED,
            {"b": 950, "c": 50},
            "a",
            Target((*PROMOTED, ("c", 0)), True),
            id="not while somebody stands there",
        ),
        pytest.param(
            HELD_FULL,
            {"a": 950, "b": 50},
            "",
            Target((*HELD_FULL[:14], ("b", 0), ("a", 1000)), True),
            id="a held place is room",
        ),
        pytest.param((("a", 1000), ("b", 0)), {"a": 1000}, "b", Target(ONE, False), id="the last place is given up"),
        pytest.param(
            (("a", 1000), ("b", 0), ("c", 0)), {"a": 1000}, "bc", Target(ONE, False), id="and the held ones before it"
        ),
        pytest.param(
            (("a", 800), ("b", 0), ("c", 200)),
            {"a": 800, "c": 200},
            "b",
            Target((("a", 800), ("a", 0), ("c", 200)), False),
            id="an ended arm's place is held by the stable version",
        ),
        pytest.param(
            (("a", 0), ("a", 0), ("c", 1000)),
            {"c": 1000},
            "a",
            Target((("c", 0), ("c", 0), ("c", 1000)), False),
            id="a place that a former stable version held",
        ),
        pytest.param((("b", 500), ("b", 500)), {"b": 1000}, "", Target((("b", 1000),), False), id="foreign edit"),
        pytest.param(
            (("a", 0), ("b", 0), ("c", 0)),
            {"b": 950, "c": 50},
            "a",
            Target((("a", 0), ("b", 950), ("c", 50)), False),
            id="nobody moves up where a person has taken all weights",
        ),
    ],
)
def test_the_next_write_where_positions_count(
    observed: Weights, shares: dict[str, int], leaving: str, want: Target
) -> None:
    got = weights.target(route=route(observed), shares=shares, leaving=frozenset(leaving), positional=True)
    assert got == want


@pytest.mark.parametrize(
    ("observed", "shares", "empty", "want"),
    [
        pytest.param(PROMOTED, {"a": 1000}, "a", PROMOTED, id="no rollback to a version without pods"),
        pytest.param(PROMOTED, {"a": 1000}, "ab", (("a", 999), ("b", 1)), id="unless the other one has none either"),
        pytest.param(TWO, {"a": 1000}, "a", TWO, id="in a step everybody keeps what he has"),
        pytest.param(TWO, {"a": 1000}, "b", (("a", 1000), ("b", 0)), id="who has none gives at once"),
        pytest.param(TWO, {"a": 750, "b": 250}, "a", (("a", 750), ("b", 250)), id="a share of his may be given"),
        pytest.param(
            (("a", 500), ("b", 400), ("c", 100)),
            {"a": 1000},
            "ac",
            (("a", 500), ("b", 400), ("c", 100)),
            id="who has none keeps what nobody else may have",
        ),
        pytest.param(
            (("a", 600), ("b", 200), ("c", 200)),
            {"a": 800, "c": 200},
            "a",
            (("a", 600), ("b", 200), ("c", 200)),
            id="an arm's users stay with it",
        ),
        pytest.param(
            (("a", 1), ("b", 2)), {"a": 1000}, "a", (("a", 333), ("b", 667)), id="foreign weights in proportion"
        ),
        pytest.param((("a", 0), ("b", 0)), {"a": 1000}, "a", (("a", 1000), ("b", 0)), id="where nobody has anything"),
    ],
)
def test_nobody_without_endpoints_gets_more(
    observed: Weights, shares: dict[str, int], empty: str, want: Weights
) -> None:
    got = weights.target(
        route=route(observed), shares=shares, leaving=frozenset(), positional=False, held=frozenset(empty)
    )
    assert got.weights == want


@pytest.mark.parametrize(("positional", "want"), [(False, ONE), (True, (("a", 0), ("a", 1000)))])
def test_a_backend_that_spoils_the_route_goes_at_once(positional: bool, want: Weights) -> None:
    spoiled = route((("x", 500), ("a", 500)), programmed=False)
    leaving = frozenset("x")
    got = weights.target(
        route=spoiled, shares={"a": 1000}, leaving=leaving, positional=positional, missing=frozenset("x")
    )
    assert got == Target(want, False)


def test_one_without_a_service_holds_no_share_of_others() -> None:
    """Before the version whose shares they are has entered; of neither of these any pod is left."""
    both = frozenset("xb")
    got = weights.target(
        route=route((("x", 936), ("b", 64))),
        shares={"a": 1000},
        leaving=both,
        positional=False,
        held=both,
        missing=frozenset("x"),
    )
    assert got == Target((("x", 0), ("b", 1000)), False)


def test_one_that_is_there_keeps_a_trace_whatever_spoils_the_route() -> None:
    """Its ControllerRevision was deleted by hand, and the gateway refuses the route for another reason."""
    spoiled = route((("a", 0), ("x", 1000)), programmed=False)
    got = weights.target(route=spoiled, shares={"a": 1000}, leaving=frozenset("x"), positional=False)
    assert got == Target((("a", 999), ("x", 1)), True)


def test_a_gateway_that_has_not_answered_yet_spoils_nothing() -> None:
    silent = route((("b", 50), ("a", 950)), programmed=False, answered=False)
    got = weights.target(route=silent, shares={"a": 1000}, leaving=frozenset("b"), positional=False)
    assert got == Target((("b", 0), ("a", 1000)), False)


@pytest.mark.parametrize(
    ("observed", "shares", "leaving", "held", "want"),
    [
        pytest.param(None, {"a": 1000}, "", "", ONE, id="none yet"),
        pytest.param(ONE, {"a": 500, "b": 500}, "", "", (("a", 500), ("b", 500)), id="a new one with its share"),
        pytest.param(ONE, {"a": 500, "b": 500}, "", "b", (("a", 1000), ("b", 0)), id="which has no pods yet"),
        pytest.param((("a", 0), ("b", 1000)), {"a": 1000}, "", "", (("a", 1000), ("b", 0)), id="a swap"),
        pytest.param((("a", 1000), ("b", 0)), {"a": 1000}, "b", "", ONE, id="whose drain is over"),
        pytest.param(
            (("x", 800), ("b", 200)), {"a": 1000}, "x", "x", (("b", 0), ("a", 1000)), id="of which nothing is left"
        ),
        pytest.param(
            (("x", 800), ("b", 200)), {"a": 1000}, "x", "xa", (("x", 800), ("b", 200), ("a", 0)), id="before its heir"
        ),
        pytest.param((("x", 1000),), {"a": 1000}, "x", "xa", ONE, id="where nobody answers"),
    ],
)
def test_a_service_selects_others_in_one_write(
    observed: Weights | None, shares: dict[str, int], leaving: str, held: str, want: Weights
) -> None:
    seen = route(observed) if observed is not None else None
    got = weights.at_once(route=seen, shares=shares, leaving=frozenset(leaving), held=frozenset(held))
    assert got == Target(want, intermediate=False)


NAMES = "abcde"


@st.composite
def whole_routes(draw: st.DrawFn) -> Weights:
    """What our own writes leave: one to four backends whose weights sum to the whole, some of them held twice."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    route = list(_divided(draw, names).items())
    serving = next(name for name, permille in route if permille)
    for index in draw(st.lists(st.integers(0, 3), max_size=2)):
        route.insert(min(index, len(route) - 1), (serving, 0))
    return tuple(route)


@st.composite
def wanted_shares(draw: st.DrawFn) -> dict[str, int]:
    return _divided(draw, draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)))


def _divided(draw: st.DrawFn, names: list[str]) -> dict[str, int]:
    # Eight of a thousand or nothing: no share is so small that a half-way state could not be told from it.
    cuts = sorted(8 * draw(st.integers(0, 125)) for _ in names[1:])
    return dict(zip(names, (b - a for a, b in zip([0, *cuts], [*cuts, 1000], strict=True)), strict=True))


def foreign_routes() -> st.SearchStrategy[Weights]:
    return st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 1000)), max_size=5).map(tuple)


def way(observed: Weights, shares: Mapping[str, int], leaving: frozenset[str], *, positional: bool) -> Iterator[Target]:
    """The writes one after another, until one changes nothing."""
    for _ in range(MOST_WRITES + 1):
        seen = route(observed) if observed else None
        target = weights.target(route=seen, shares=shares, leaving=leaving, positional=positional)
        if target.weights == observed:
            return
        yield target
        observed = target.weights


leavers = st.frozensets(st.sampled_from(NAMES))
either = st.booleans()


@example((("b", 0), ("a", 0), ("b", 0), ("b", 1), ("a", 2)), {"c": 1000}, frozenset("a"), True)
@given(foreign_routes() | whole_routes(), wanted_shares(), leavers, either)
def test_every_write_sums_to_the_whole_and_the_way_ends_where_it_should(
    observed: Weights, shares: dict[str, int], leaving: frozenset[str], positional: bool
) -> None:
    writes = list(way(observed, shares, leaving, positional=positional))
    assert len(writes) <= MOST_WRITES
    assert all(sum(permille for _, permille in write.weights) == steps.WHOLE for write in writes)
    last = writes[-1].weights if writes else observed
    assert {name: share for name, share in weights.added(last).items() if name in shares} == shares
    assert not (set(weights.added(last)) - set(shares)) & leaving
    assert not writes or not writes[-1].intermediate
    assert positional or len(last) == len({name for name, _ in last})


@given(foreign_routes() | whole_routes(), wanted_shares(), leavers, either)
def test_no_write_gives_more_to_who_has_no_endpoints_while_another_one_has_some(
    observed: Weights, shares: dict[str, int], empty: frozenset[str], positional: bool
) -> None:
    for _ in range(MOST_WRITES + 1):
        before = weights.added(observed)
        write = weights.target(
            route=route(observed), shares=shares, leaving=frozenset(), positional=positional, held=empty
        )
        after, whole = weights.added(write.weights), sum(before.values())
        assert sum(after.values()) == steps.WHOLE
        for name in empty & after.keys() if whole and not empty.issuperset(before) else ():
            assert after[name] * whole <= before.get(name, 0) * steps.WHOLE
        if write.weights == observed:
            return
        observed = write.weights
    raise AssertionError("the way does not end")


@given(whole_routes(), wanted_shares(), leavers, either)
def test_no_write_swaps_completely_and_none_moves_weights_and_backends(
    observed: Weights, shares: dict[str, int], leaving: frozenset[str], positional: bool
) -> None:
    for write in way(observed, shares, leaving, positional=positional):
        before, after = weights.added(observed), weights.added(write.weights)
        assert {n for n, w in before.items() if w} & {n for n, w in after.items() if w}, "a complete swap"
        assert not {n for n, w in after.items() if w} - set(before), "a new backend with weight"
        moved = any(before[name] != after[name] for name in before.keys() & after.keys())
        assert not moved or before.keys() == after.keys(), "weights moved in a write that changes the backends"
        entered, left = after.keys() - before.keys(), before.keys() - after.keys()
        assert not (entered and left), "one came in the same write in which another went"
        assert not any(before[name] for name in left), "one went while it had weight"
        observed = write.weights


@given(whole_routes(), st.lists(st.tuples(wanted_shares(), leavers), min_size=1, max_size=4))
def test_a_place_is_never_handed_from_one_version_to_another(
    observed: Weights, history: list[tuple[dict[str, int], frozenset[str]]]
) -> None:
    """Over several releases: a version with traffic never moves, and a place is without traffic, and held, in between."""
    for shares, leaving in history:
        for write in way(observed, shares, leaving, positional=True):
            for (old, had), (new, has) in zip(observed, write.weights, strict=False):
                if old != new:
                    assert (had, has) == (0, 0)
                    assert [old for old, _ in observed].count(old) > 1 or [n for n, _ in write.weights].count(new) > 1
            assert all(permille == 0 for _, permille in observed[len(write.weights) :])
            assert all(permille == 0 for _, permille in write.weights[len(observed) :])
            observed = write.weights


@given(whole_routes(), wanted_shares(), leavers)
def test_where_positions_count_a_share_begins_and_ends_with_a_trace(
    observed: Weights, shares: dict[str, int], leaving: frozenset[str]
) -> None:
    for write in way(observed, shares, leaving, positional=True):
        before, after = weights.added(observed), weights.added(write.weights)
        assert all(had or has <= 1 for had, has in ((before.get(name, 0), after[name]) for name in after))
        assert all(had <= 1 or has for had, has in ((before[name], after.get(name, 0)) for name in before))
        observed = write.weights


@given(whole_routes(), wanted_shares(), leavers)
def test_who_stands_twice_has_traffic_in_one_place_at_most(
    observed: Weights, shares: dict[str, int], leaving: frozenset[str]
) -> None:
    for write in way(observed, shares, leaving, positional=True):
        serving = [name for name, permille in write.weights if permille]
        assert len(serving) == len(set(serving))


def test_two_places_are_used_in_turn() -> None:
    observed: Weights = (("v0", 1000),)
    places = []
    for number in range(1, 6):
        old, new = f"v{number - 1}", f"v{number}"
        stages: tuple[tuple[dict[str, int], frozenset[str]], ...] = (
            ({old: 950, new: 50}, frozenset()),
            ({new: 1000}, frozenset()),
            ({new: 1000}, frozenset({old})),
        )
        for shares, leaving in stages:
            for write in way(observed, shares, leaving, positional=True):
                observed = write.weights
                assert len(observed) <= 2
        places.append([name for name, permille in observed if permille] == [new] and observed.index((new, 1000)))
    assert places == [1, 0, 1, 0, 1]
