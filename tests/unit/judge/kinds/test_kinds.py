"""Which kind an objective is, and that nobody else asks."""

import ast

import pytest

from sluice_judge import columns, kinds, series
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.kinds.codes import ResponseCodes
from sluice_judge.kinds.latency import GatewayLatency
from sluice_judge.kinds.query import QueriedCounters
from sluice_judge.schema.objectives import Objective
from tests.support.packages import ROOT, modules
from tests.support.trials import ACCURACY, ERRORS, LATENCY, make_trial

OWN_FIELDS = set(Objective.model_fields) - {"name", "required"}
"""Those that only objectives of one kind have."""
READERS = {ROOT / "core/sluice_core/rollout/validation.py"}
"""They read a field of the same name that is not an objective's: the limits of a labelled data set."""


@pytest.mark.parametrize(
    ("objective", "want"),
    [(ERRORS, ResponseCodes), (ACCURACY, QueriedCounters), (LATENCY, GatewayLatency)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_kind_of(objective: Objective, want: type[Kind]) -> None:
    kind = kind_of(objective)

    assert (type(kind), kind.objective) == (want, objective)


@pytest.mark.parametrize("objective", [ERRORS, ACCURACY, LATENCY], ids=lambda objective: objective.name)
def test_objective_is_of_one_kind(objective: Objective) -> None:
    assert [kind for kind in kinds.KINDS if kind.of(objective)] == [type(kind_of(objective))]


def test_objective_of_a_newer_version_is_neither_counted_nor_proven() -> None:
    """As after a downgrade: its field is not known, so it is as good as absent."""
    kind = kind_of(Objective(name="drift"))

    assert kind.rules(()).terms == ()
    assert kind.requests_and_events({"200": 5.0, "500": 1.0}, None) == (0, 0)
    assert kind.columns_of(5.0, 1.0) == {columns.TOTAL: 5.0, columns.EVENTS: 1.0}
    assert kind.questions(make_trial()) == {}
    assert kind.samples(make_trial(), {}, ()) == series.Samples((), {})
    assert kind.boundaries(series.Samples((), {}), sharing=1) is None
    assert not kind.more_is_better


def test_only_kinds_read_what_only_some_objectives_have() -> None:
    others = [path for path in modules() if not {"api", "schema", "kinds"} & {*path.parts}]
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in others
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in OWN_FIELDS and path not in READERS
    }

    assert found == set()
