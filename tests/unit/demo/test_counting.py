"""Every request has exactly one fate, and nothing is counted twice or forgotten."""

import time

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.counting import Book, Counts, Exporter, Fate, Tally, fate

SEVEN = b'{"outputs":[{"name":"label","datatype":"INT64","shape":[1],"data":[7]}]}'
FATES = {
    "right": (200, SEVEN, 7, Fate.RIGHT),
    "wrong": (200, SEVEN, 1, Fate.WRONG),
    "200 without a label": (200, b"<html>", 7, Fate.LOST),
    "the model failed": (500, b'{"error":"Failed to process the request(s)"}', 7, Fate.FAILED),
    "the server refused": (400, b'{"error":"unexpected shape"}', 7, Fate.FAILED),
    "no endpoint": (503, b"no healthy upstream", 7, Fate.LOST),
    "gateway time-out": (504, b"upstream request timeout", 7, Fate.LOST),
    "gateway, empty": (500, b"", 7, Fate.LOST),
    "no route": (404, b"", 7, Fate.LOST),
    "JSON, but not the server's": (503, b'["error"]', 7, Fate.LOST),
}


@pytest.mark.parametrize(("status", "body", "label", "want"), FATES.values(), ids=FATES.keys())
def test_fate_of_an_answer(status: int, body: bytes, label: int, want: Fate) -> None:
    assert fate(status, body, label) is want


REQUESTS = st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(Fate), st.floats(0, 2000)), max_size=60)


@given(REQUESTS)
def test_totals_and_seconds_hold_every_request_once(requests: list[tuple[str, Fate, float]]) -> None:
    book = Book()
    for revision, met, millis in requests:
        book.add(revision, met, millis)
    counts = book.counts()
    rows = book.take_seconds(before=time.time() + 2)
    for met in Fate:
        wanted = sum(known is met for _, known, _ in requests)
        assert counts.total.fates[met] == wanted
        assert sum(row[met.value] for row in rows) == wanted
    assert book.take_seconds(before=time.time() + 2) == []


def test_counts_do_not_change_after_they_were_taken() -> None:
    book = Book()
    book.add("a", Fate.RIGHT, 1)
    before = book.counts()
    book.add("a", Fate.LOST, 1)
    assert (before.total.requests, book.counts().total.requests) == (1, 2)


def test_latency_counts_answers_only_and_rounds_up() -> None:
    tally = Tally()
    for millis in (1.0, 49.2, 50.0, 50.1, 900.0):
        tally.add(Fate.RIGHT, millis)
    tally.add(Fate.LOST, 9999.0, "TimeoutError")
    assert tally.slower_than(50) == 2
    assert (tally.percentile_millis(50), tally.percentile_millis(100)) == (50, 900)
    assert tally.problems == {"TimeoutError": 1}
    assert Tally().percentile_millis(95) is None


def test_a_revision_that_never_answered_has_an_empty_tally() -> None:
    assert Counts({}).of("digits-1").requests == 0


def test_both_feedback_series_exist_from_the_first_answer_and_failures_are_no_feedback() -> None:
    exporter = Exporter()
    exporter.add("digits-1", Fate.RIGHT, 3)
    exporter.add("digits-1", Fate.FAILED, 3)
    exporter.add("", Fate.LOST, 3)
    text = prometheus_client.generate_latest(exporter.registry).decode()
    samples = {line for line in text.splitlines() if line.startswith("feedback")}
    assert samples == {
        'feedback_total{correct="true",revision="digits-1"} 1.0',
        'feedback_total{correct="false",revision="digits-1"} 0.0',
    }
    assert 'load_requests_total{fate="lost",revision=""} 1.0' in text
