"""The table that every gateway has to pass before a preset says `tested`: docs/gateways.md has the answers.

The tests of a gateway go on from one another in this order: each one says which route it needs.
"""

import math
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths
from sluice_core.render import common
from sluice_judge.model import Arm
from sluice_judge.samples import columns
from tests.e2e.gateways import backend, twin
from tests.e2e.gateways.field import EMPTY, GRPC_FITS, HEADER, NOBODY, REFUSING, REVISIONS, TIMEOUT_SECONDS, Field
from tests.e2e.gateways.traffic import Traffic, call, reaches, send
from tests.support import patience
from tests.support.live.scene import wait_until

A, B, C, D = REVISIONS
REQUESTS: Final = 2000
FAILURES: Final = 200
USERS: Final = 60
"""Of these, none being B's has a probability of 2e-6."""
CALLS: Final = 300
OK: Final = 0
INTERNAL: Final = 13
FAILED: Final = f"{columns.GRPC}{INTERNAL}"
RATE: Final = 150.0
CALL_RATE: Final = 50.0
FOUR_SIGMA: Final = 4.5
"""A fair split is outside with probability 7e-6."""

Record = Callable[[str, Any], None]


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a gateway beside its preset; docs/gateways.md says the same."""

    keeps_timeouts: bool = True
    """Whether it keeps to the rule's `timeouts.request`."""
    counts_missing_endpoints: bool = True
    """Whether its answer for a Service without endpoints is counted as that Service's."""
    names_callee: bool = True
    """Whether the answer to a gRPC call names the revision."""


TOLD: Final = {
    "contour": Told(),
    "envoy-gateway": Told(counts_missing_endpoints=False),
    "traefik": Told(keeps_timeouts=False, counts_missing_endpoints=False, names_callee=False),
}


def told(field: Field) -> Told:
    return TOLD[field.preset.name]


def fair(part: int, whole: int, share: float) -> bool:
    """Whether `part` of `whole` fits the share."""
    return abs(part - share * whole) <= FOUR_SIGMA * math.sqrt(whole * share * (1 - share))


def test_a_model_that_nobody_has_asked_is_no_silence_without_a_series_of_it(field: Field) -> None:
    """Envoy has series of a backend before its first request; otherwise the release waits for one."""
    field.go({A: 995, B: 5})
    field.pass_on()
    field.scraped()
    unasked = field.judged(A, B, None)
    assert bool(unasked.sight.blind) is not bool(field.preset.backend), unasked.sight.blind
    assert ("send it one request" in unasked.sight.blind) is not bool(field.preset.backend)

    wait_until(lambda: reaches(field.address), "the first answer", seconds=30)
    field.scraped()
    assert field.judged(A, B, unasked.next_state.text).sight.blind == ""
    field.go({A: 750, B: 250})
    field.pass_on()
    field.scraped()
    assert field.judged(A, B, None).sight.blind == "", "a new weight takes no series away"
    field.go({A: 1000})
    field.go({A: 1000}, leaving=frozenset({B}))


def test_the_first_route_serves(field: Field) -> None:
    field.go({A: 1000})
    wait_until(lambda: reaches(field.address), "the first answer")
    counts = send(field.address, FAILURES)
    assert counts.answers == {(200, A): FAILURES}


def test_weights_and_headers(field: Field, record_property: Record) -> None:
    """The share is the weight, and each answer names the revision that gave it."""
    field.go({A: 900, B: 100})
    field.pass_on()
    counts = send(field.address, REQUESTS)
    record_property("90/10", dict(counts.by_revision()))
    assert not counts.lost
    assert counts.strays == 0
    assert set(counts.by_revision()) == {A, B}
    assert fair(counts.by_revision()[B], REQUESTS, 0.1), counts.by_revision()


def test_a_share_of_half_a_percent(field: Field, record_property: Record) -> None:
    """The first step of a release under `maximumRequestsAtRisk` may be as small as this."""
    field.go({A: 995, B: 5})
    field.pass_on()
    counts = send(field.address, 2 * REQUESTS)
    record_property("99.5/0.5", dict(counts.by_revision()))
    assert counts.by_revision()[B] > 0
    assert fair(counts.by_revision()[B], 2 * REQUESTS, 0.005), counts.by_revision()


def test_the_candidate_header_reaches_the_candidate_alone(field: Field) -> None:
    field.go({A: 900, B: 100}, header=B)
    field.pass_on()
    chosen = send(field.address, FAILURES, headers=dict([HEADER]))
    assert chosen.answers == {(200, B): FAILURES}
    others = send(field.address, REQUESTS)
    assert fair(others.by_revision()[B], REQUESTS, 0.1), others.by_revision()
    field.go({A: 1000})


@pytest.mark.slow
def test_three_arms_whose_users_keep_them(field: Field) -> None:
    """By the cookie that the first answer sets; when the arm has ended, they are the stable version's again."""
    field.go({A: 600, B: 200, C: 200}, arms=(A, B, C))
    field.pass_on()
    counts = send(field.address, REQUESTS)
    assert not counts.lost
    assert all(fair(counts.by_revision()[arm], REQUESTS, 0.2) for arm in (B, C)), counts.by_revision()
    users = [first_answer(field) for _ in range(USERS)]
    assert {revision for revision, _ in users} == {A, B, C}
    for revision, cookie in users:
        assert send(field.address, 2, headers={"Cookie": cookie}).answers == {(200, revision): 2}
    field.go({A: 800, C: 200}, arms=(A, C))
    field.pass_on()
    for revision, cookie in users:
        now = A if revision == B else revision
        assert send(field.address, 1, headers={"Cookie": f"theme=dark; {cookie}"}).answers == {(200, now): 1}
    field.go({A: 1000})
    field.go({A: 1000}, leaving=frozenset({B, C}))


def first_answer(field: Field) -> tuple[str, str]:
    """(revision, cookie) that a new user gets."""
    request = urllib.request.Request(field.address.url, headers={"Host": field.address.host})
    with urllib.request.urlopen(request, timeout=patience.HANG_SECONDS) as response:
        return response.headers[naming.REVISION_HEADER], response.headers["Set-Cookie"].partition(";")[0]


def test_what_is_not_exposed_is_not_reached(field: Field) -> None:
    """Neither by the weights nor with the header that leads to the candidate."""
    field.go({A: 1000}, header=B)
    field.pass_on()
    for path in ("/administration", "/fail/more", "/slower", "//administration", "/slow/../administration"):
        for headers in ({}, dict([HEADER])):
            assert send(field.address, 2, path=path, headers=headers).by_revision(200) == {}, path
    assert send(field.address, 2).by_revision(200) == {A: 2}
    assert send(field.address, 2, headers=dict([HEADER])).by_revision(200) == {B: 2}
    assert [field.served(revision, "/administration") for revision in (A, B)] == [0, 0]


def test_timeouts(field: Field, record_property: Record) -> None:
    field.go({A: 1000})
    field.pass_on()
    counts = send(field.address, 8, path="/slow")
    record_property("slower than the limit", dict(counts.answers))
    assert backend.SLOW_SECONDS > TIMEOUT_SECONDS
    codes = {code for code, _ in counts.answers}
    assert codes == ({504} if told(field).keeps_timeouts else {200})


def copies(field: Field, percent: int, requests: int) -> int:
    """Of so many requests to A, how many were copied to B."""
    field.go({A: 1000}, mirror=(B, percent))
    field.pass_on()
    before = field.served(B)
    counts = send(field.address, requests)
    assert counts.answers == {(200, A): requests}, "copies must not change what users get"
    return field.served_in_the_end(B) - before


def test_mirror(field: Field, record_property: Record) -> None:
    """As the preset says: all copied, a percentage kept to or ignored, or no copies at all."""
    field.go({A: 1000})
    if not field.preset.request_mirror:
        before = field.served(B)
        field.write(replace(field.paths, mirror=(B, 100)))
        field.pass_on()
        record_property("answers with copies", dict(send(field.address, FAILURES).answers))
        assert field.served(B) == before
        field.write(replace(field.paths, mirror=None))
        field.pass_on()
        return
    mirror = Arm(B, naming.service_name(B, common.MIRROR), naming.SERVICE_PORT, mirrored=True)
    before = sum(field.counted(mirror).values())
    assert copies(field, 100, FAILURES) == FAILURES
    part = copies(field, 20, REQUESTS)
    record_property("copies at 20 %", part)
    assert fair(part, REQUESTS, 0.2) if field.preset.mirror_percent else part == REQUESTS
    field.scraped()
    assert sum(field.counted(mirror).values()) - before == FAILURES + part
    field.go({A: 1000})


@pytest.mark.slow
def test_copies_to_two(field: Field, record_property: Record) -> None:
    """To a candidate and to an observer at the same time, where the preset says so; the candidate's are counted as such."""
    field.go({A: 1000})
    if not field.preset.request_mirror:
        return
    mirror = Arm(B, naming.service_name(B, common.MIRROR), naming.SERVICE_PORT, mirrored=True)
    field.scraped()
    counted, before = sum(field.counted(mirror).values()), {one: field.served(one) for one in (B, C)}
    field.go({A: 1000}, mirror=(B, 100), observer=100)
    field.pass_on()
    counts = send(field.address, FAILURES)
    assert counts.answers == {(200, A): FAILURES}, "copies must not change what users get"
    got = {one: field.served_in_the_end(one) - before[one] for one in (B, C)}
    record_property("copies to the candidate and to the observer", got)
    if field.preset.mirrors_several:
        assert got == {B: FAILURES, C: FAILURES}
        field.scraped()
        assert sum(field.counted(mirror).values()) - counted == FAILURES, "without those of the observer"
    field.go({A: 1000})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "port"),
    [pytest.param(NOBODY, backend.PORT, id="no endpoints"), pytest.param(C, 9, id="nobody listens")],
)
def test_copies_to_nobody(field: Field, record_property: Record, app: str, port: int) -> None:
    """An observer that goes down stays on the route: that is nothing to those who ask."""
    field.go({A: 1000})
    if not field.preset.request_mirror:
        return
    field.go({A: 1000}, observer=100)
    field.pass_on()
    try:
        with Traffic(field.address, rate=RATE, call_rate=0) as traffic:
            field.observe(app, target_port=port)
            field.pass_on()
            sent = traffic.sent
            wait_until(lambda: traffic.sent - sent > FAILURES, "requests whose copies reach nobody")
        assert field.paths.observer == 100
        assert field.programmed(), "a route with such a copy is still a good one"
    finally:
        field.observe(C)
    record_property("requests", traffic.sent)
    assert not traffic.lost
    assert set(traffic.counts.by_revision()) == {A}
    field.go({A: 1000})


def test_errors_are_counted_as_those_of_their_revision(field: Field, record_property: Record) -> None:
    """A model server's own errors, and those that the gateway answers for a revision that it cannot reach."""
    field.go({A: 400, B: 200, REFUSING: 200, EMPTY: 200})
    field.pass_on()
    arms = {revision: field.arm(revision) for revision in (A, B, REFUSING, EMPTY)}
    before = {revision: field.counted(arm) for revision, arm in arms.items()}
    counts = send(field.address, REQUESTS, path="/fail")
    field.scraped()
    counted = {revision: errors(field.counted(arm), before[revision]) for revision, arm in arms.items()}
    field.go({A: 1000})
    field.go({A: 1000}, leaving=frozenset({B, REFUSING, EMPTY}))
    record_property("answers", {f"{code} {name}": count for (code, name), count in counts.answers.items()})
    record_property("counted", counted)
    # Without a server there may be nobody who sets the header.
    answered = counts.by_revision()
    want = {**answered, EMPTY: answered[EMPTY] + answered[""]}
    want.pop("", None)
    assert {code for (code, name) in counts.answers if name in (A, B)} == {500}
    assert all(fair(want[revision], REQUESTS, 0.2) for revision in (B, REFUSING, EMPTY)), want
    if not told(field).counts_missing_endpoints:
        want[EMPTY] = 0
    assert {revision: sum(found.values()) for revision, found in counted.items()} == want


def test_a_tenant_whose_names_are_joined_alike_is_not_counted(field: Field) -> None:
    """Namespace and names give the same text where a gateway joins them by hyphens."""
    arm = field.arm(A)
    address = twin.serve(field)
    try:
        send(field.address, 20)
        field.scraped()
        before = field.counted(arm)
        send(address, FAILURES, path="/fail")
        send(field.address, 20)
        field.scraped()
        assert sum(field.counted(arm).values()) == sum(before.values()) + 20
    finally:
        twin.remove(field)


def errors(counted: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Of the server's kind, those that are new, by code."""
    new = {code: count - before.get(code, 0) for code, count in counted.items() if code[0] == "5"}
    return {code: count for code, count in new.items() if count}


TRANSITIONS: Final[tuple[tuple[str, dict[str, int], str, dict[str, Any]], ...]] = (
    ("a new backend and its first share", {A: 995, B: 5}, "", {}),
    ("a step", {A: 750, B: 250}, "", {}),
    ("the candidate header begins", {A: 750, B: 250}, "", {"header": B}),
    ("to the whole; the header's rule ends", {B: 1000}, "", {}),
    ("a swap back", {A: 1000}, "", {}),
    ("a swap forth", {B: 1000}, "", {}),
    ("the drained one leaves", {B: 1000}, A, {}),
    ("two arms enter", {B: 600, C: 200, D: 200}, "", {"arms": (B, C, D)}),
    ("an arm ends", {B: 800, D: 200}, "", {"arms": (B, D)}),
    ("its backend leaves", {B: 800, D: 200}, C, {"arms": (B, D)}),
    ("an abort", {B: 1000}, "", {}),
    ("the last one leaves", {B: 1000}, D, {}),
    ("an observer gets copies", {B: 1000}, "", {"observer": 100}),
    ("copies begin", {B: 1000}, "", {"mirror": (A, 100)}),
    ("copies end and a share begins", {B: 900, A: 100}, "", {}),
    ("superseded: one falls, another enters", {B: 900, C: 100}, "", {}),
    ("the superseded one leaves", {B: 900, C: 100}, A, {}),
    ("the other one is promoted at once", {C: 1000}, "", {}),
    ("the former one leaves", {C: 1000}, B, {}),
)


@pytest.mark.slow
def test_no_request_is_lost_on_the_way(field: Field, record_property: Record) -> None:
    """Every transition that the engine makes, under steady traffic."""
    field.go({A: 1000})
    field.go({A: 1000}, leaving=frozenset({B, C, D, REFUSING, EMPTY}))
    if GRPC_FITS:
        field.speak(REVISIONS)
        wait_until(lambda: not call(field.address, 1).lost, "the first call is answered")
    field.pass_on()
    lost: dict[str, dict[str, int]] = {}
    with Traffic(field.address, rate=RATE, call_rate=CALL_RATE if GRPC_FITS else 0) as traffic:
        for name, shares, leaving, further in TRANSITIONS:
            if further.keys() & {"mirror", "observer"} and not field.preset.request_mirror:
                continue
            before, sent = traffic.lost, traffic.sent
            field.go(shares, leaving=frozenset({leaving} - {""}), **further)
            field.pass_on()
            lost[name] = dict(traffic.lost - before)
            record_property(name, f"{sum(lost[name].values())} lost of {traffic.sent - sent}")
            assert set(shares) == {revision for revision in shares if weight(field.paths, revision)}
    record_property("requests and calls", (traffic.counts.total, traffic.calls.total))
    assert traffic.counts.strays == 0
    assert not {name: found for name, found in lost.items() if found}
    assert not traffic.lost
    assert set(traffic.counts.by_revision()) == {A, B, C, D}


def weight(paths: Paths, revision: str) -> int:
    return sum(permille for name, permille in paths.weights if name == revision)


@pytest.mark.skipif(not GRPC_FITS, reason="grpcio is of another Python than that of the Pods")
def test_calls_are_shared_and_counted_by_revision(field: Field, record_property: Record) -> None:
    """gRPC has the shares of those revisions that speak it, and each is counted in its place; C speaks none."""
    field.write(Paths(((C, 400), (A, 400), (B, 200))))
    field.speak((A, B))
    wait_until(lambda: not call(field.address, 1).lost, "the first call is answered")
    field.pass_on()
    before = {revision: field.counted_calls(field.arm(revision)).get(FAILED, 0) for revision in (A, B)}
    good, failed = call(field.address, CALLS), call(field.address, CALLS, method="Fail")
    field.scraped()
    record_property("calls 67/33", dict(good.by_revision()))
    assert good.by_revision(OK).total() == failed.by_revision(INTERNAL).total() == CALLS
    assert fair(good.by_revision()[B], CALLS, 1 / 3), good.by_revision()
    assert good.strays + failed.strays == (0 if told(field).names_callee else 2 * CALLS)
    assert call(field.address, 2, method="Administer").by_revision(OK) == {}
    for revision in (A, B):
        counted = field.counted_calls(field.arm(revision))
        record_property(f"counted of {revision}", counted)
        if field.preset.grpc_requests is not None:
            assert counted[FAILED] - before[revision] == failed.by_revision()[revision]
            assert counted["grpc-0"] >= good.by_revision()[revision]
