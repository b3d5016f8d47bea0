"""Which kind an objective is, and that nobody else asks."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from pydantic.alias_generators import to_snake

from sluice_judge import kinds
from sluice_judge.kind import Traits
from sluice_judge.kinds import kind_of
from sluice_judge.samples import columns, series
from sluice_judge.schema.objectives import Objective
from tests.support.packages import ROOT, modules
from tests.support.simulated.trials import ACCURACY, ERRORS, LATENCY, make_trial

OWN_FIELDS = set(Objective.model_fields) - {"name", "required"}
"""Those that only objectives of one kind have."""
FILES = {file.name for file in pkgutil.iter_modules(kinds.__path__)}
OTHERS = [path for path in modules() if not {"api", "schema", "kinds"} & {*path.parts}]
NAMED = re.compile(r"\bfailureRatio\b|\ba (latency|throughput|distribution)\b")
NAMING = {
    "core/sluice_core/decide/facts.py",  # which kind counts what a gateway does not
    "core/sluice_core/rollout/beginning.py",  # which kind decides an A/B test
    "core/sluice_core/watch/subject.py",  # which kinds are watched
    "plugin/kubectl_sluice/views/releases/objectives.py",  # which kind counts refusals
}
PAGES = ("kinds/rolloutpolicy.md", "release-judge.md")
READERS = {ROOT / "core/sluice_core/rollout/validation.py"}
"""They read a field of the same name that is not an objective's: the limits of a labelled data set."""


@pytest.mark.parametrize("objective", [ERRORS, ACCURACY, LATENCY], ids=lambda objective: objective.name)
def test_objective_is_of_one_kind(objective: Objective) -> None:
    assert [kind for of in kinds.KINDS if (kind := of(objective))] == [kind_of(objective)]
    assert kind_of(objective).objective == objective


def test_objective_of_a_newer_version_is_neither_counted_nor_proven() -> None:
    """As after a downgrade: its field is not known, so it is as good as absent."""
    kind = kind_of(Objective(name="drift"))

    assert kind.tests.rules(()).terms == ()
    assert kind.counting.requests_and_events({"200": 5.0, "500": 1.0}, None) == (0, 0)
    assert kind.counting.columns_of(5.0, 1.0) == {columns.TOTAL: 5.0, columns.EVENTS: 1.0}
    assert kind.sampling.questions(make_trial()) == {}
    assert kind.sampling.samples(make_trial(), {}, ()) == series.Samples((), {})
    assert kind.tests.boundaries(series.Samples((), {}), sharing=1) is None
    assert kind.own.series(make_trial()) == ()
    assert kind.traits == Traits()


def test_only_kinds_read_what_only_some_objectives_have() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in OTHERS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in OWN_FIELDS and path not in READERS
    }

    assert found == set()


def test_nobody_else_imports_a_single_kind() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in OTHERS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in (f"{node.module}.{alias.name}" for alias in node.names)
        if any(f"sluice_judge.kinds.{file}" in name for file in FILES)
    }

    assert found == set()


def test_who_else_names_a_kind() -> None:
    """What a new kind needs beside its file, its test and its page is named here. The list may only shrink."""
    found = {
        str(path.relative_to(ROOT))
        for path in OTHERS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED.search(node.value)
        if node.value != ast.get_docstring(ast.parse(path.read_text()), clean=False)
    }

    assert found == NAMING


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_kind_has_its_test_and_its_page(file: str) -> None:
    assert (Path(__file__).parent / f"test_{file}.py").exists()
    module = importlib.import_module(f"sluice_judge.kinds.{file}")
    field = (module.__doc__ or "").split(":")[0].split(",")[0]
    assert to_snake(field) in OWN_FIELDS, f"the docstring of {file} begins with the field of the objective"
    assert all(f"`{field}`" in (ROOT / "docs" / page).read_text() for page in PAGES)
