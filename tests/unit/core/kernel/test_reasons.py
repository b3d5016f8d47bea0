"""The table of reasons: the only place that spells them, without a word that nobody says."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kubectl_sluice.views.releases import reasons as views
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import reasons
from sluice_core.kernel.reasons import CALM, ForeignReason, Numbered, PodReason, Reason
from sluice_core.parsing.podproblems import models
from sluice_judge.grounds import Ground
from tests.support.packages import ROOT, modules, tree

TABLE: Final = Path(reasons.__file__)
SERVING: Final = ROOT / "serving-runtime"
APART: Final = ("sluice_core/api/", "sluice_judge/", "sluice_batch/")
"""The words of the API; the judge's, which are compared with the table below; and a program that may not import the core."""
OTHER_WORDS: Final = {"Programmed": "a condition of a Gateway"}
"""What is spelled as a reason is, and is none."""
WORDS: Final = frozenset(map(str, (*Reason, *PodReason)))


@functools.cache
def parsed() -> dict[Path, ast.Module]:
    """The modules that must not spell a reason."""
    return {
        path: tree(path) for path in modules() if path != TABLE and not any(f"/{home}" in str(path) for home in APART)
    }


def literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """Strings that are a reason; not the members of an enum, which are words of another kind, such as of phases."""
    members = {
        statement.value
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in each.bases)
        for statement in each.body
        if isinstance(statement, ast.Assign)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in members and node.value in WORDS - set(OTHER_WORDS):
            yield node


def named(tree: ast.AST) -> Iterator[str]:
    """`Reason.BAKING`, as its word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            table = {"Reason": Reason, "PodReason": PodReason}.get(node.value.id)
            if table is not None and node.attr in table.__members__:
                yield str(table[node.attr])


def test_a_reason_is_spelled_in_the_table_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{n.lineno}: {n.value!r}" for path, tree in parsed().items() for n in literals(tree)
    ]
    assert not found


@pytest.mark.parametrize("text", ['x == "Baking"', 'f"Weight{5}"', '{"Frozen": 1}', 'class A:\n    B = "Idle"'])
def test_a_spelled_reason_is_found(text: str) -> None:
    assert list(literals(ast.parse(text)))


def test_every_exception_is_still_needed() -> None:
    spelled = {n.value for tree in parsed().values() for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    assert set(OTHER_WORDS) <= spelled & WORDS


def test_every_reason_is_given_somewhere() -> None:
    given = {word for tree in parsed().values() for word in named(tree)}
    given |= {*Ground, *Action, *Outcome, Reason.WEIGHT, Reason.MIRROR}  # verdicts and the timeline take them over
    assert not WORDS - given


def test_what_persons_ask_for_what_the_judge_says_and_how_releases_end_are_reasons() -> None:
    assert {*Action, *Ground, *Outcome} <= {*Reason}


@pytest.mark.parametrize("reason", [*Reason, *PodReason, Numbered(Reason.WEIGHT, 12.5), Numbered(Reason.MIRROR, 100)])
def test_a_reason_is_read_back(reason: Reason | PodReason | Numbered) -> None:
    again = Reason.of(str(reason))
    assert (again, again.kind, again.marks) == (reason, reason.kind, reason.marks)
    assert isinstance(again, ForeignReason) is isinstance(reason, PodReason)


@pytest.mark.parametrize("text", ["", "Evicted", "Weight", "Weight1.2.3", "Weight-5", "Baking5"])
def test_any_text_is_a_reason(text: str) -> None:
    assert Reason.of(text) == text


def test_what_is_not_ours_is_worth_a_warning() -> None:
    assert CALM not in Reason.of("Evicted").marks
    assert CALM in Reason.of("Weight5").marks
    assert CALM not in Reason.of("Baking5").marks


RELEASES: Final = [
    tree
    for path, tree in parsed().items()
    if "rollout" in path.parts and ({"gates", "abtest"} & {*path.parts} or path.stem == "fuse")
]


def test_every_decision_is_explained() -> None:
    given = {word for tree in RELEASES for word in named(tree)}
    assert Reason.BAKING in given
    assert given - {Reason.ARM_ENDED} <= set(views.MEANINGS)


def test_the_engines_read_what_a_decision_does_and_compare_no_reason() -> None:
    """`gates` and `validation` ask for the state of a validation, which is also the reason that is shown."""
    rooms, states = {"rollout", "decide.py"}, {"gates", "validation.py"}
    engines = [
        path
        for path in parsed()
        if "sluice_core" in path.parts and rooms & {*path.parts} and not states & {*path.parts}
    ]
    compared = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in engines
        for node in ast.walk(parsed()[path])
        if isinstance(node, ast.Compare)
        and "batch" not in path.parts
        and any(any(named(side)) for side in (node.left, *node.comparators))
    ]
    assert {"engine", "abtest", "lifecycle", "decide"} <= {path.stem for path in engines}
    assert not compared


def test_the_downloader_says_what_there_are_remedies_for() -> None:
    failures = ast.parse((SERVING / "storage-initializer" / "sluice_storage" / "failures.py").read_text())
    table = next(node for node in failures.body if isinstance(node, ast.ClassDef) and node.name == "Reason")
    said = {each.value for each in ast.walk(table) if isinstance(each, ast.Constant)}
    assert said - {"DownloadFailed"} == {str(word) for word in models.DOWNLOAD_REMEDIES}


@pytest.mark.parametrize(
    ("word", "program"),
    [
        (PodReason.WARM_UP_FAILED, "storage-initializer/sluice_warmup/__main__.py"),
        (PodReason.WARM_UP_TOO_SLOW, "storage-initializer/sluice_warmup/__main__.py"),
        (PodReason.MODEL_NOT_LOADABLE, "fastapi/sluice_fastapi/model.py"),
        (PodReason.MODEL_NOT_LOADABLE, "kserve/sluice_kserve/predictor.py"),
        (PodReason.MODEL_NOT_LOADABLE, "llamacpp/sluice_llamacpp/problems.py"),
        (PodReason.MODEL_NOT_LOADABLE, "triton/model.py"),
    ],
)
def test_the_last_words_of_a_program_are_known(word: PodReason, program: str) -> None:
    assert f'"{word}: ' in (SERVING / program).read_text()


def test_what_lets_a_release_continue_is_no_warning() -> None:
    continuing = "CandidateReady Proven Idle PreviewOver SkippedByPerson PromotedByPerson ArmsReady ArmIsBetter"
    assert all(CALM in Reason(word).marks for word in continuing.split())
