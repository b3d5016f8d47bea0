"""The judge over recorded counters."""

import dataclasses
import json
import math
from collections.abc import Sequence

import pytest

from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.kernel.reasons import Reason
from sluice_judge.replay import lines, replay
from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective
from sluice_judge.schema.policy import CanaryStep, OnDeadline
from sluice_judge.schema.verdict import Verdict
from sluice_judge.stats import combine, eprocess, evidence, usual

FULL = Objective(
    name="errors",
    failure_ratio=FailureRatio(
        events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
    ),
)
SLOW = Objective(name="latency", latency=Latency(relative_tolerance="25%", ignore_below_millis=50))


def policy(*objectives: Objective, **changes: object) -> RolloutPolicySpec:
    return RolloutPolicySpec.model_validate(
        {"objectives": list(objectives or (FULL,)), "scrape_interval_seconds": 5, **changes}
    )


def recorded(
    scrapes: int,
    *,
    candidate: int = 50,
    bad: int = 0,
    stable: int = 950,
    stable_bad: int = 5,
    weights: Sequence[tuple[int, float]] = ((0, 5),),
) -> replay.CountsFile:
    """Cumulative counters every 5 s; weights: (from this scrape on, percent)."""
    texts = []
    for k in range(1, scrapes + 1):
        weight = next(percent for start, percent in reversed(weights) if start <= k)
        texts.append(
            json.dumps(
                {
                    "time": 5.0 * k,
                    "objective": "errors",
                    "weight": weight,
                    "stable": {"requests": stable * k, "failures": stable_bad * k},
                    "candidate": {"requests": candidate * k, "failures": bad * k},
                }
            )
        )
    return replay.read(texts)


def verdicts(found: Sequence[replay.Scrape]) -> list[str]:
    """Each verdict and reason, repetitions left out."""
    every = [f"{scrape.verdict}/{scrape.reason}" for scrape in found]
    return [text for index, text in enumerate(every) if index == 0 or text != every[index - 1]]


def test_bad_candidate_is_rolled_back_and_stays_so() -> None:
    found = list(replay.replay(recorded(20, bad=10), policy()))

    assert verdicts(found) == ["Wait/GatheringEvidence", "RollBack/WorseThanStable"]
    assert [scrape.time for scrape in found] == [5.0 * k for k in range(1, 21)]
    assert found[-1].message.startswith("errors: candidate 20 of 100 failed (20.0%)")


def test_evidence_is_that_of_the_tests_themselves() -> None:
    """F1 and F3 for the roll-back, F1 and F4 for the advance, computed here from the same increments."""
    found = list(replay.replay(recorded(8, bad=1), policy()))
    tests: list[evidence.SequentialTest] = [evidence.joint(1.25, 0.005)]
    tests += [evidence.relative_close(1.5), evidence.absolute_good(0.005)]
    running = [eprocess.start(test) for test in tests]
    seen = evidence.Counts(50, 1, 950, 5)
    usually = usual.Usual()
    for scrape in found[1:]:
        running = [process.observe(seen, dispersion=1.0, usual=usually.share) for process in running]
        usually = usually.observe(950, 5, time=scrape.time, dispersion=1.0)
        against, close, negligible = (process.log_evidence for process in running)
        proof = combine.mean_intersection(close, negligible)
        assert scrape.evidence["errors"].rollback == pytest.approx(against / math.log(10), abs=1e-6)
        assert scrape.evidence["errors"].advance == pytest.approx(proof / math.log(10), abs=1e-6)
    assert found[0].evidence["errors"] == replay.Evidence(0, 0)


def test_good_candidate_goes_through_steps_and_bake() -> None:
    """Evidence for an advance starts anew with each weight, and the interval of the change is none."""
    weights = ((0, 5), (60, 25), (120, 100))
    found = list(replay.replay(recorded(300, candidate=200, stable=800, stable_bad=0, weights=weights), policy()))

    assert verdicts(found) == [
        "Wait/GatheringEvidence",
        "Advance/Proven",
        "Wait/GatheringEvidence",
        "Advance/Proven",
        "Wait/Baking",
        "Advance/Promoted",
    ]
    assert found[58].evidence["errors"].advance > 1.3
    assert found[59].evidence["errors"].advance == 0
    assert found[60].evidence["errors"].advance > 0
    assert found[-1].time - found[119].time >= 600


def test_bake_has_its_own_evidence() -> None:
    def line(k: int, weight: float, stable: int, candidate: tuple[int, int]) -> str:
        arms = {"stable": {"requests": stable, "failures": 0}}
        arms["candidate"] = {"requests": candidate[0], "failures": candidate[1]}
        return json.dumps({"time": 5.0 * k, "objective": "errors", "weight": weight, **arms})

    texts = [line(k, 50, 500 * k, (500 * k, 0)) for k in range(1, 11)]
    texts += [line(10 + k, 100, 5000, (5000 + 1000 * k, 300 * k)) for k in range(1, 5)]
    alone = list(replay.replay(replay.read([*texts, lines.bake_wire(asks=False)]), policy()))
    assert verdicts(alone)[-1] == "RollBack/WorseThanStable"
    assert alone[10].verdict is Verdict.WAIT, "the interval of the change is no evidence"

    asking = list(replay.replay(replay.read(texts), policy()))
    assert verdicts(asking)[-2:] == ["Wait/Baking", "Probe/ProbingStable"]
    assert asking[-1].message.endswith("; the stable version is to be asked what it shows now")
    assert {scrape.verdict for scrape in asking} == {Verdict.WAIT, Verdict.ADVANCE, Verdict.PROBE}


@pytest.mark.parametrize(("weight", "waits"), [(5, False), (50, True)])
def test_minimum_seconds_of_the_release_are_kept_before_100_percent(weight: int, waits: bool) -> None:
    counted = recorded(60, candidate=500, stable=500, stable_bad=0, weights=((0, weight),))
    found = list(replay.replay(counted, policy(minimum_seconds=200)))

    assert ("Wait/MinimumTime" in verdicts(found)) is waits


def test_minimum_seconds_of_the_step_are_kept() -> None:
    steps = [CanaryStep(weight=5, minimum_seconds=200), CanaryStep(weight=100)]
    found = list(replay.replay(recorded(60, candidate=500, stable=500, stable_bad=0), policy(steps=steps)))

    assert verdicts(found) == ["Wait/GatheringEvidence", "Wait/MinimumTime", "Advance/Proven"]
    assert next(scrape.time for scrape in found if scrape.verdict is Verdict.ADVANCE) == 205


@pytest.mark.parametrize(
    ("on_deadline", "want"),
    [
        (OnDeadline.HOLD, "Wait/DeadlineExceeded"),
        (OnDeadline.PROMOTE, "Advance/DeadlineExceeded"),
        (OnDeadline.ROLL_BACK, "RollBack/DeadlineExceeded"),
    ],
)
def test_deadline(on_deadline: OnDeadline, want: str) -> None:
    undecided = policy(progress_deadline_seconds=60, on_deadline=on_deadline)

    assert verdicts(list(replay.replay(recorded(14, candidate=5), undecided)))[-1] == want


def test_silence_is_idleness() -> None:
    texts = [
        json.dumps(
            {
                "time": 5.0 * k,
                "objective": "errors",
                "weight": 5,
                "stable": {"requests": 10, "failures": 0},
                "candidate": {"requests": 1, "failures": 0},
            }
        )
        for k in range(1, 14)
    ]

    found = list(replay.replay(replay.read(texts), policy(idle_seconds=60)))
    assert verdicts(found) == ["Wait/GatheringEvidence", "Advance/Idle"]


def test_scrapes_before_the_first_weight_are_the_history_of_dispersion() -> None:
    """Stable fails in bursts: learnt from the history they are no evidence against a candidate that gets some."""
    texts, stable_failures = [], 0
    for k in range(1, 401):
        stable_failures += 12 * (k % 4 == 0)
        late = max(0, k - 390)
        texts.append(
            json.dumps(
                {
                    "time": 5.0 * k,
                    "objective": "errors",
                    "weight": 0 if k < 390 else 5,
                    "stable": {"requests": 1000 * k, "failures": stable_failures},
                    "candidate": {"requests": 50 * late, "failures": 12 * max(0, min(4, late - 3))},
                }
            )
        )
    known = list(replay.replay(replay.read(texts), policy()))
    unknown = list(replay.replay(replay.read(texts[388:]), policy()))

    assert known[0].message == "the candidate has no weight yet"
    assert (known[-1].verdict, unknown[-1].verdict) == (Verdict.WAIT, Verdict.ROLL_BACK)


def test_counters_that_begin_anew_count_in_full() -> None:
    texts = [lines.wire(line) for line in recorded(3).lines]
    again = [lines.wire(line) for line in recorded(4, bad=10).lines]
    moved = [text.replace('"time": ', '"time": 10') for text in again]
    found = list(replay.replay(replay.read([*texts, *moved]), policy()))

    assert found[3].verdict is Verdict.WAIT
    assert found[5].message.startswith("errors: candidate 30 of 250 failed"), "50 more, not 100 fewer"


def test_latency_is_judged_on_buckets() -> None:
    texts = []
    for k in range(1, 41):
        slow = {"0.05": 0, "0.1": 20 * k, "0.25": 50 * k, "+Inf": 50 * k}
        fast = {"0.05": 900 * k, "0.1": 995 * k, "0.25": 1000 * k, "+Inf": 1000 * k}
        arms = {"stable": {"buckets": fast}, "candidate": {"buckets": slow}}
        texts.append(json.dumps({"time": 5.0 * k, "objective": "latency", "weight": 5, **arms}))
    found = list(replay.replay(replay.read(texts), policy(SLOW)))

    assert verdicts(found) == ["Wait/GatheringEvidence", "RollBack/WorseThanStable"]
    assert "slower than 100 ms" in found[-1].message


def test_objective_that_is_never_recorded_keeps_the_release_waiting() -> None:
    found = list(replay.replay(recorded(200, candidate=500, stable=500, stable_bad=0), policy(FULL, SLOW)))

    assert verdicts(found) == ["Wait/GatheringEvidence"]
    assert set(found[-1].evidence) == {"errors", "latency"}


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            FULL.model_copy(update={"name": "other"}),
            "line 1: objective: 'errors' is not in the policy, which has other",
        ),
        (
            SLOW.model_copy(update={"name": "errors"}),
            "line 1: stable: has failures, but errors of the policy needs buckets",
        ),
    ],
)
def test_lines_that_do_not_fit_the_policy(objective: Objective, message: str) -> None:
    with pytest.raises(replay.Unreadable) as error:
        next(replay.replay(recorded(2), policy(objective)))

    assert str(error.value) == message


def test_two_weights_at_once_are_refused() -> None:
    other = FULL.model_copy(update={"name": "others"})
    [line] = recorded(1, weights=((0, 25),)).lines
    lines_of_two = (*recorded(1).lines, dataclasses.replace(line, objective="others"))
    with pytest.raises(replay.Unreadable, match=r"^line 1: weight: 25, but line 1 of the same time has 5$"):
        list(replay.replay(replay.CountsFile(lines_of_two), policy(FULL, other)))


def test_two_lines_of_one_time_are_refused() -> None:
    [line] = recorded(1).lines
    twice = (line, dataclasses.replace(line, number=7))
    with pytest.raises(replay.Unreadable, match=r"^line 7: time: 5, and so has line 1 of errors: merge them$"):
        list(replay.replay(replay.CountsFile(twice), policy()))


def test_wire_form() -> None:
    scrape = next(replay.replay(recorded(2), policy()))

    assert scrape.to_wire() == {
        "time": 5.0,
        "verdict": "Wait",
        "reason": "GatheringEvidence",
        "evidence": {"errors": {"rollback": 0.0, "advance": 0.0}},
    }


def bake(*, bad_from: int, probe: bool, stable_bad: int = 0, until: int = 140) -> tuple[list[replay.Scrape], float]:
    """Ten scrapes at 50 %, then the bake, in which from some scrape on 3 % fail; a probe from 20 to 40 with half of stable."""
    texts, stable, candidate = [], [0, 0], [0, 0]
    for k in range(1, until + 1):
        probing = probe and 20 <= k < 40
        for arm, share, bad in ((stable, 0.5 if k <= 10 or probing else 0.0, stable_bad), (candidate, 0.5, 0)):
            whole = 1.0 if arm is candidate and k > 10 and not probing else share
            failing = 30 * (k >= bad_from) if arm is candidate else bad * (k >= bad_from)
            arm[0] += int(1000 * whole)
            arm[1] += int(failing * whole)
        texts.append(
            json.dumps(
                {
                    "time": 5.0 * k,
                    "objective": "errors",
                    "weight": 50 if k <= 10 else 100,
                    "stable": {"requests": stable[0], "failures": stable[1]},
                    "candidate": {"requests": candidate[0], "failures": candidate[1]},
                }
            )
        )
    if probe:
        texts.append('{"kind": "probe", "time": 100, "event": "begin", "share": 50}')
        texts.append('{"kind": "probe", "time": 200, "event": "end"}')
    file = replay.read(texts)
    return list(replay.replay(file, policy())), 5.0


def test_a_probe_is_a_change_of_the_weight_in_which_the_bake_stands_still() -> None:
    found, _ = bake(bad_from=1000, probe=True)
    during = [scrape for scrape in found if 100 <= scrape.time < 200]

    assert {scrape.weight for scrape in during} == {50}
    assert {(scrape.verdict, scrape.reason) for scrape in during} == {(Verdict.PROBE, Reason.PROBING_STABLE)}
    assert during[0].message.startswith(
        "50 % of the requests go back to the stable version, and the bake stands still; "
    )
    assert [scrape.proven for scrape in during][-1], "as a probe ends"
    assert not during[1].proven
    assert found[-1].verdict is Verdict.WAIT, "600 s of bake after 55 s are over at 755 s"
    longer, _ = bake(bad_from=1000, probe=True, until=160)
    promoted = next(scrape.time for scrape in longer if scrape.verdict is Verdict.ADVANCE and scrape.time > 55)
    assert promoted == 55 + 600 + 100


def test_a_probe_accuses_by_the_releases_own_evidence() -> None:
    """Everything is well up to the probe: what begins then is found as it was before the bake."""
    found, _ = bake(bad_from=18, probe=True)
    assert next(scrape.time for scrape in found if scrape.verdict is Verdict.PROBE) <= 100
    back = next(scrape for scrape in found if scrape.verdict is Verdict.ROLL_BACK)
    assert 105 < back.time < 200
    assert "stable 0 of" in back.message


def test_a_probe_in_which_stable_is_no_better_accuses_nobody() -> None:
    found, _ = bake(bad_from=20, probe=True, stable_bad=30, until=39)
    assert Verdict.ROLL_BACK not in {scrape.verdict for scrape in found}


def test_a_probe_belongs_to_the_bake() -> None:
    file = replay.read(
        [lines.wire(line) for line in recorded(4).lines]
        + ['{"kind": "probe", "time": 10, "event": "begin", "share": 50}']
    )
    with pytest.raises(replay.Unreadable, match=r"^line 5: event: a probe belongs to the bake, at weight 100$"):
        list(replay.replay(file, policy()))


@pytest.mark.parametrize("told", ["pods", "halves"])
def test_dispersion_is_learnt_from_the_halves_that_the_lines_tell(told: str) -> None:
    """Both halves fail alike in bursts: that is no dispersion; by every other scrape it would be a large one."""
    texts, failed = [], 0
    for k in range(1, 401):
        failed += 24 * (k % 4 == 0)
        half = {"requests": 500 * k, "failures": failed // 2}
        parts: dict[str, object] = {"pods": {"a": half, "b": half}, "halves": [half, half]}
        texts.append(
            json.dumps(
                {
                    "time": 5.0 * k,
                    "objective": "errors",
                    "weight": 0 if k < 400 else 5,
                    "stable": {"requests": 1000 * k, "failures": failed, told: parts[told]},
                    "candidate": {"requests": 0, "failures": 0},
                }
            )
        )
    bare = [json.loads(text) for text in texts]
    for line in bare:
        del line["stable"][told]
    parsed, without = replay.read(texts), replay.read(map(json.dumps, bare))
    assert list(replay.replay(parsed, policy()))[-1].dispersions == {"errors": 1.0}
    assert list(replay.replay(without, policy()))[-1].dispersions["errors"] > 3


@pytest.mark.parametrize("told", ["pods", "halves"])
def test_swings_of_pods_are_learnt_from_the_lines(told: str) -> None:
    """One pod, or half, fails for ten minutes and then the other: every minute, and every other scrape, looks the same."""
    texts, failed = [], [0, 0]
    for k in range(1, 721):
        failed[(k // 120) % 2] += 10
        parts = [{"requests": 500 * k, "failures": number} for number in failed]
        more = {"halves": [{**part, "pods": 3} for part in parts], "pods": {"a": parts[0], "b": parts[1]}}
        texts.append(
            json.dumps(
                {
                    "time": 5.0 * k,
                    "objective": "errors",
                    "weight": 0 if k < 700 else 50,
                    "stable": {"requests": 1000 * k, "failures": sum(failed), told: more[told]},
                    "candidate": {"requests": 900 * max(0, k - 700), "failures": 0},
                }
            )
        )
    found = list(replay.replay(replay.read(texts), policy()))[-1]
    assert found.dispersions["errors"] > 5
    without = [
        line | {"stable": {k: v for k, v in line["stable"].items() if k != told}} for line in map(json.loads, texts)
    ]
    assert list(replay.replay(replay.read(map(json.dumps, without)), policy()))[-1].dispersions["errors"] < 2


def test_a_small_share_excludes_what_the_next_one_would_risk() -> None:
    """At 5 %: failures of a tenth, by some 60 requests; the proof by a limit of half a percent takes 1,200."""
    weights = ((0, 5), (5, 50))
    counted = recorded(12, stable_bad=0, weights=weights)
    fixed, auto = (list(replay.replay(counted, policy(stepping=stepping))) for stepping in ("Fixed", "Auto"))

    assert verdicts(fixed[:4]) == ["Wait/GatheringEvidence"]
    assert verdicts(auto[:4]) == ["Wait/GatheringEvidence", "Advance/Proven"]
    assert auto[6].evidence == fixed[6].evidence, "at half of the requests everything is proven"


def test_a_small_share_does_not_pass_what_the_next_one_would_risk() -> None:
    counted = recorded(12, stable_bad=0, bad=5)

    assert "Advance/Proven" not in verdicts(list(replay.replay(counted, policy(stepping="Auto"))))


def test_failures_that_stable_has_as_well_do_not_hold_a_small_share() -> None:
    """Both fail a fifth, more than the tenth that is excluded: that they are alike is enough."""
    stable_first = recorded(40, candidate=500, stable=9500, stable_bad=1900, bad=100, weights=((0, 0), (3, 5)))

    assert "Advance/Proven" in verdicts(list(replay.replay(stable_first, policy(stepping="Auto"))))


def test_a_models_own_steps_are_replayed_as_such() -> None:
    counted = recorded(12, stable_bad=0, weights=((0, 5), (6, 25)))
    fixed, auto = (list(replay.replay(counted, policy(stepping=stepping))) for stepping in ("Fixed", "Auto"))

    assert auto == fixed
