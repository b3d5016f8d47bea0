"""Objectives on output tokens a second."""

from typing import Final

from sluice_judge.kinds import kind_of
from sluice_judge.schema.objectives import Latency, Objective, Throughput

TOKENS: Final = kind_of(Objective(name="tokens", throughput=Throughput(percentile=95, minimum_tokens_per_second=15)))


def test_words() -> None:
    assert TOKENS.words.event("50") == TOKENS.events("50") == "below 20 tokens/s"
    assert TOKENS.words.event(None) == "below ? tokens/s"
    assert TOKENS.words.unit == "requests"


def test_a_number_of_tokens_is_a_time_for_each() -> None:
    same = kind_of(Objective(name="l", latency=Latency(percentile=95, maximum_millis=67)))

    assert TOKENS.tests.rules(()) == same.tests.rules(())
    assert TOKENS.feed == "server/TimePerOutputToken"
