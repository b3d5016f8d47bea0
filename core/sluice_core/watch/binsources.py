"""Counters by bins that a watch compares with a reference: their owners, and their queries.

    features of requests   sluice_observed_total            against the reference that the observer exposes beside them
    answers                sluice_observed_answers_total    the same; of the stable version alone
    a distribution         predictions_total{revision="…"}  against the version's own first day

Each has its own share of the promise, and none is blind because another one is.
"""

from dataclasses import dataclass, replace
from typing import Final

from sluice_judge.schema import promql

FEATURES: Final = "features"
ANSWERS: Final = "answers"
_REVISION: Final = "{{revision}}"
_NO_LABEL: Final = (
    "queryNamespaceLabel of the operator's configuration is empty, so nobody knows whose counters these are"
)
_NO_OBSERVER: Final = "see whether the observer runs, and Prometheus scrapes it"
_NO_ANSWERS: Final = f"{_NO_OBSERVER}, and whether its reference has answers (kubectl sluice reference --answers)"
_NOT_SCRAPED: Final = "check that Prometheus scrapes it and that the labels are right"


@dataclass(frozen=True, slots=True)
class BinSource:
    """Counters of one version, and their reference."""

    name: str
    """Distinguishes it from the others of the same version."""
    title: str
    """Its name for people."""
    tolerance: float
    """How far they may be from the reference, as relative entropy in nats."""
    counters: str
    """Their selector."""
    labels: tuple[str, ...]
    """The labels to sum by: two that name the owner, and `feature` and the bin's, or the bin's alone."""
    owner: tuple[str, str]
    """The values of the first two; an empty one is not checked, since the selector contains it."""
    remedy: str
    """What to check if there are no counters."""
    joins: bool = True
    """Whether it may be queried together with others' (`joined`): otherwise it is a user's own pattern."""
    reference: str = ""
    """The selector of a gauge with the reference's rows; empty: the version's own past is the reference."""
    prefix: str = ""
    """Prefix of the names of features, so that none is taken for another."""
    uncounted: str = ""
    """What says what happened to requests that are not counted."""
    problem: str = ""
    """Why it cannot be queried at all."""

    @property
    def bin(self) -> str:
        """The label of the bin."""
        return self.labels[-1]

    def owns(self, namespace: str, value: str) -> bool:
        """Whether a series with these values of the first two labels belongs to it."""
        return namespace == self.owner[0] and (not self.owner[1] or value == self.owner[1])


def of_features(namespace: str, model: str, *, tolerance: float, label: str) -> BinSource:
    """The observer's counters of requests. label: the label with which Prometheus names the namespace; empty: none."""
    owner = f'{{{label}=~"{namespace}",model=~"{model}"}}'
    return BinSource(
        FEATURES,
        FEATURES,
        tolerance,
        f"sluice_observed_total{owner}",
        (label, "model", "feature", "bin"),
        (namespace, model),
        _NO_OBSERVER,
        reference=f"sluice_observer_reference_rows{owner}",
        uncounted=f'sluice_observer_copies_total{{model="{model}"}} says what became of the copies',
        problem="" if label else _NO_LABEL,
    )


def of_answers(namespace: str, model: str, revision: str, *, tolerance: float, label: str) -> BinSource:
    """The observer's counters of a version's answers."""
    owner = f'{{{label}=~"{namespace}",revision=~"{revision}"}}'
    return BinSource(
        ANSWERS,
        ANSWERS,
        tolerance,
        f"sluice_observed_answers_total{owner}",
        (label, "revision", "feature", "bin"),
        (namespace, revision),
        _NO_ANSWERS,
        reference=f"sluice_observer_reference_answer_rows{owner}",
        prefix="answer ",
        uncounted=f'sluice_observer_answers_total{{model="{model}"}} says what became of the copies',
        problem="" if label else _NO_LABEL,
    )


def of_objective(
    objective: str,
    selector: str,
    bin_label: str,
    place: tuple[str, str],
    revision: str,
    *,
    tolerance: float,
    label: str,
) -> BinSource:
    """Counters of another program, named by an objective. Raises `promql.InvalidSelector`.

    If one label is the revision, or a text with it, those of many models are queried together.
    """
    namespace, model = place
    written = promql.parsed(selector)
    filled = written.filled({"revision": revision, "namespace": namespace, "name": model})
    pairs = zip(written.matchers, filled.matchers, strict=True)
    exact = [now for before, now in pairs if _REVISION in before.text and before.operator == "="]
    whose = exact[-1] if exact else next(each for each in filled.matchers if revision in each.text)
    source = BinSource(
        f"objective/{objective}",
        objective,
        tolerance,
        str(filled.narrowed(label, namespace)),
        (label, whose.label, bin_label),
        (namespace, ""),
        _NOT_SCRAPED,
        joins=False,
        problem="" if label else _NO_LABEL,
    )
    if not exact:
        return source
    others = [str(each) for each in filled.matchers if each is not whose]
    value = whose.text.strip('"')
    joining = [f'{label}=~"{namespace}"', f'{whose.label}=~"{value}"']
    return replace(
        source,
        counters=f"{filled.name}{{{','.join([*others, *joining])}}}",
        owner=(namespace, value),
        joins=True,
    )
