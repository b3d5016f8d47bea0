"""The series of an answer, and their scrape targets."""

import functools
from collections.abc import Mapping

from sluice_judge import hashing
from sluice_judge.model import Answered, Answers, Series


def series_of(answers: Answers, key: str) -> tuple[Series, ...]:
    """The series that answer a question; none if it has no answer."""
    answer = answers.get(key)
    return _once(answer.series) if isinstance(answer, Answered) else ()


def is_known(answers: Answers, key: str) -> bool:
    """Whether a question has an answer without series that are all NaN; otherwise its result is unknown, not 0."""
    answer = answers.get(key)
    return isinstance(answer, Answered) and not answer.unreadable


def target(labels: Mapping[str, str]) -> str:
    """A short name of the scrape target: its instance, or its job if it has none."""
    instance = labels.get("instance", "")
    return _hashed("" if instance else labels.get("job", ""), instance)


@functools.lru_cache(maxsize=4096)
def _hashed(job: str, instance: str) -> str:
    return hashing.stable_hash([job, instance], 8)


def _once(found: tuple[Series, ...]) -> tuple[Series, ...]:
    """Each instance from one job of one Prometheus: what is scraped twice must not be evidence twice."""
    seen = [(one, one.labels.get("instance", ""), _observer(one.labels)) for one in found]
    chosen: dict[str, tuple[str, ...]] = {}
    for _, instance, observer in seen:
        chosen[instance] = min(observer, chosen.get(instance, observer))
    return tuple([one for one, instance, observer in seen if not instance or observer == chosen[instance]])


def _observer(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in ("job", "prometheus", "prometheus_replica"))
