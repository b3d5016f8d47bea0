"""What the summary says about a release, from what was seen of it."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from demo import chat, languagemodels, picture, release, summary
from demo.counting import Counts, Fate, Tally
from demo.release import Objective, Observation, Result
from demo.stories import STORIES, Story
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"


def make_objective(name: str = "errors", **changes: float | None) -> Objective:
    plain = Objective(
        name,
        stable=(1, 1000),
        candidate=(2, 100),
        rollback=0.0,
        rollback_threshold=2.5,
        advance=0.0,
        advance_threshold=1.3,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def make_observation(weight: int, outcome: str = "", requests: int = 0, *objectives: Objective) -> Observation:
    return Observation(
        time=1000.0 + requests,
        model="v2",
        weight=weight,
        step=1,
        verdict="Wait",
        outcome=outcome,
        reason="",
        message="",
        revision="digits-2",
        candidate_requests=requests,
        harmed_requests=requests // 10,
        objectives=objectives or (make_objective(),),
    )


def make_result(**changes: object) -> Result:
    plain = Result(
        model="v3",
        story="wrong",
        expected="RolledBack",
        outcome="RolledBack",
        seconds=12.34,
        candidate_requests=80,
        harmed_requests=60,
        lost_requests=0,
        model_failures=0,
        decided_by=make_objective("accuracy", rollback=3.0),
        expected_decision="accuracy",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


PROMOTION = [make_observation(5, "", 50), make_observation(100, "", 400), make_observation(100, "Promoted", 900)]
ROLLBACK = [make_observation(5, "", 50), make_observation(0, "RolledBack", 90), make_observation(0, "RolledBack", 95)]


def test_requests_until_the_verdict_do_not_include_the_bake_or_what_came_after() -> None:
    moments = [release.verdict_moment(seen) for seen in (PROMOTION, ROLLBACK, PROMOTION[:1], [])]
    assert [moment and moment.candidate_requests for moment in moments] == [400, 90, 50, None]


def test_a_roll_back_is_decided_by_the_strongest_evidence() -> None:
    objectives = (make_objective("errors", rollback=1.0), make_objective("accuracy", rollback=4.0))
    decided = release.deciding_objective([make_observation(0, "RolledBack", 90, *objectives)])
    assert decided is not None
    assert decided.name == "accuracy"


def test_a_promotion_is_decided_by_what_was_proven_last() -> None:
    before = (make_objective("latency", advance=9.0), make_objective("errors", advance=1.1))
    after = (make_objective("latency", advance=0.0), make_objective("errors", advance=9.0))
    seen = [make_observation(50, "", 100, *before), make_observation(100, "Promoted", 200, *after)]
    decided = release.deciding_objective(seen)
    assert decided is not None
    assert decided.name == "errors"


def test_without_objectives_nothing_decided() -> None:
    seen = [dataclasses.replace(make_observation(0, "Aborted"), objectives=())]
    assert release.deciding_objective(seen) is None
    assert release.deciding_objective([]) is None


def test_objectives_are_read_from_a_status_as_the_operator_writes_it() -> None:
    entry = {
        "name": "errors",
        "stable": {"requests": 100, "failures": 1},
        "candidate": {"requests": 10},
        "rollbackLog10": "-inf",
        "rollbackThresholdLog10": "2.5",
        "advanceLog10": "nonsense",
    }
    [read] = release.objectives_of({"objectives": [entry]})
    assert (read.stable, read.candidate) == ((1, 100), (0, 10))
    assert read.rollback_margin == float("-inf")
    assert (read.advance, read.advance_threshold) == (None, None)


UNEXPECTED: dict[str, dict[str, object]] = {
    "another outcome": {"outcome": "Promoted"},
    "another objective": {"decided_by": make_objective("errors")},
    "no objective": {"decided_by": None},
    "a lost request": {"lost_requests": 1},
}


@pytest.mark.parametrize("changes", UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_what_was_not_expected_fails_the_demo(changes: dict[str, object]) -> None:
    assert make_result().as_expected
    assert not summary.succeeded([make_result(), make_result(**changes)], [], Counts({}))


def test_a_request_lost_between_releases_fails_the_demo() -> None:
    tally = Tally()
    tally.add(Fate.LOST, 1, "503")
    assert summary.succeeded([make_result()], [], Counts({}))
    assert not summary.succeeded([make_result()], [], Counts({"digits-1": tally}))
    assert not summary.succeeded([], [], Counts({}))


def test_summary_file_has_the_promised_fields(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "summary.json"
    summary.write([make_result()], [], Counts({}), path)
    [entry] = json.loads(path.read_text())["releases"]
    assert {
        "model", "expected", "outcome", "seconds", "candidateRequests", "harmedRequests", "lostRequests", "decidedBy"
    } <= entry.keys()  # fmt: skip
    assert entry["decidedBy"]["evidenceLog10"] == 3.0
    assert entry["seconds"] == 12.3


def test_table_names_the_deciding_objective_with_its_counts() -> None:
    console = Console(file=io.StringIO(), width=160)
    summary.show(console, [make_result(), make_result(decided_by=None, outcome="Aborted")], [], Counts({}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "accuracy: 2 of 100 against 1 of 1000; evidence 10^3.0 of 10^2.5" in text
    assert "Aborted, expected RolledBack" in text


def test_picture_is_drawn_from_the_saved_files(tmp_path: Path) -> None:
    rows = [
        {"time": 1000 + second, "revision": revision, "requests": 10, "wrong": 1, "failed": 0, "over50Millis": 0}
        for second in range(30)
        for revision in ("digits-1", "digits-2", "")
    ]
    requests = tmp_path / "requests.jsonl"
    requests.write_text("\n".join(map(json.dumps, rows)))
    picture.save_observations(PROMOTION, tmp_path / "observations.json")
    seen = picture.load_observations(tmp_path / "observations.json")
    assert seen == PROMOTION
    drawn = picture.draw(seen, requests, tmp_path / "rollout.png")
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_the_smallest_manifest_is_valid_and_has_nine_lines() -> None:
    text = (EXAMPLES / "digits.yaml").read_text()
    deployment = ModelDeployment.model_validate(yaml.safe_load(text))
    assert len(text.splitlines()) <= 9
    policy = RolloutPolicy.model_validate(yaml.safe_load((EXAMPLES / "digits-policy.yaml").read_text()))
    assert deployment.spec.rollout.policy_ref is not None
    assert deployment.spec.rollout.policy_ref.name == policy.metadata.name
    assert [objective.name for objective in policy.spec.objectives] == ["errors", "rejections", "latency", "accuracy"]


@pytest.mark.parametrize(
    ("story", "plan"),
    [pytest.param(story, plan, id=f"{name} {plan.model}") for name, story in STORIES.items() for plan in story.plans],
)
def test_each_bad_model_names_an_objective_of_the_policy(story: Story, plan: release.Plan) -> None:
    policy = yaml.safe_load((EXAMPLES / f"{story.name}-policy.yaml").read_text())
    names = {objective["name"] for objective in policy["spec"]["objectives"]}
    assert (plan.expected == release.PROMOTED) != (plan.decided_by in names)


def test_what_is_released_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languagemodels, "FOLDER", tmp_path)
    keys = {f"s3://models/{key}" for key in chat.made_models()}
    assert {plan.uri for plan in chat.PLANS} < keys
