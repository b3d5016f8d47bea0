"""The series of an answer, and who was scraped for them."""

import functools
from collections.abc import Mapping

from sluice.core.judge.model import Answered, Answers, Series
from sluice.core.kernel import naming


def series_of(answers: Answers, key: str) -> tuple[Series, ...]:
    """The series that answer a question; none where it has no answer."""
    answer = answers.get(key)
    return _once(answer.series) if isinstance(answer, Answered) else ()


def target(labels: Mapping[str, str]) -> str:
    """A short name of the scraped target: its instance, or its job where it has none."""
    instance = labels.get("instance", "")
    return _hashed("" if instance else labels.get("job", ""), instance)


@functools.lru_cache(maxsize=4096)
def _hashed(job: str, instance: str) -> str:
    return naming.stable_hash([job, instance], 8)


def _once(found: tuple[Series, ...]) -> tuple[Series, ...]:
    """Each instance as one job of one Prometheus shows it: what is scraped twice must not be evidence twice."""
    chosen: dict[str, tuple[str, ...]] = {}
    for one in found:
        instance = one.labels.get("instance", "")
        chosen[instance] = min(_observer(one.labels), chosen.get(instance, _observer(one.labels)))
    return tuple(
        one
        for one in found
        if not (instance := one.labels.get("instance", "")) or _observer(one.labels) == chosen[instance]
    )


def _observer(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in ("job", "prometheus", "prometheus_replica"))
