"""`replay` from files to lines."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sluice.cli import console, exits, manifests
from kubectl_sluice.cli.evidence import replay
from kubectl_sluice.cli.options import OutputFormat
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.replay import lines, reading
from tests.support.cases.admission import more
from tests.support.fuzzing import CHANGES, Changes, examples, run, spoiled

POLICY: dict[str, Any] = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "RolloutPolicy",
    "metadata": {"name": "default"},
    "spec": {
        "objectives": [
            {
                "name": "errors",
                "failureRatio": {"events": "ServerErrors", "ignoreBelow": "0.5%", "relativeTolerance": "25%"},
            }
        ]
    },
}


def counts(*failures: int) -> str:
    """Every 15 s 950 requests of stable and 50 of the candidate, which has had so many failures."""
    return "\n".join(
        json.dumps(
            {
                "time": 15.0 * number,
                "objective": "errors",
                "weight": 5,
                "stable": {"requests": 950 * number, "failures": number},
                "candidate": {"requests": 50 * number, "failures": failed},
            }
        )
        for number, failed in enumerate(failures)
    )


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(POLICY))
    return str(file)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    file = tmp_path / "counts.jsonl"
    file.write_text(counts(0, 10, 20, 30) + "\n\n")
    return str(file)


async def test_json_is_one_object_a_scrape(policy: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await replay.show(OutputFormat.JSON, counts=bad, policy=policy) == exits.OK
    scrapes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [scrape["time"] for scrape in scrapes] == [0.0, 15.0, 30.0, 45.0]
    assert scrapes[-1].keys() == {"time", "verdict", "reason", "evidence"}
    assert scrapes[-1]["verdict"] == "RollBack"
    assert scrapes[-1]["evidence"]["errors"].keys() == {"rollback", "advance"}
    assert scrapes[-1]["evidence"]["errors"]["rollback"] > 2


async def test_text_says_since_when_and_why(policy: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    await replay.show(OutputFormat.TEXT, counts=bad, policy=policy)
    printed = capsys.readouterr().out.splitlines()
    assert "rolled back at 2.00" in printed[0]
    assert "a step advances at 1.30" in printed[0]
    assert [line.split()[3] for line in printed[2:6]] == ["Wait", "Wait", "RollBack", "RollBack"]
    assert printed[-1].startswith("RollBack since 30 s: errors: candidate 20 of 100 failed")


async def test_yaml_is_a_stream(policy: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    await replay.show(OutputFormat.YAML, counts=bad, policy=policy)
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [found["verdict"] for found in documents] == ["Wait", "Wait", "RollBack", "RollBack"]


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ("{", "line 1: not JSON"),
        ('{"time": "x"}', "line 1: stable: must have exactly one of"),
        (counts(0).replace("errors", "latency"), "'latency' is not in the policy, which has errors"),
        ("", r"counts\.jsonl: there is no line of counters"),
    ],
)
@pytest.mark.parametrize("output", [OutputFormat.TEXT, OutputFormat.JSON])
async def test_what_cannot_be_read_is_named(
    output: OutputFormat, content: str, want: str, policy: str, tmp_path: Path
) -> None:
    file = tmp_path / "counts.jsonl"
    file.write_text(content)
    with pytest.raises(console.Failure, match=want):
        await replay.show(output, counts=str(file), policy=policy)


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"falseRollbackProbabilty": "1%"}, r"spec\.falseRollbackProbabilty: is not known"),
        ({"bakeSeconds": "long"}, r"spec\.bakeSeconds: "),
        ({"objectives": [{"name": "X!"}]}, r"spec\.objectives\[0\]\.name: "),
        (more()["spec"], r"spec\.objectives\[0\]\.failureRatio: goal Higher is judged relative to the stable version"),
        ({"bakeSeconds": "600"}, r"spec\.bakeSeconds: "),
        ({"bakeSeconds": float("nan")}, r"spec: this cannot be written as JSON: "),
    ],
)
def test_policies_are_checked(change: dict[str, Any], want: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(POLICY | {"spec": POLICY["spec"] | change}))
    with pytest.raises(console.Failure, match=want):
        replay.read_policy(str(file))


def test_times_of_a_freeze_window_need_no_quotes(tmp_path: Path) -> None:
    """YAML reads them as times, the API server as text."""
    file = tmp_path / "policy.yaml"
    window = "{name: w, from: 2026-03-01T12:00:00Z, until: 2026-03-01T13:00:00Z}"
    file.write_text(yaml.safe_dump(POLICY) + f"  freezeWindows: [{window}]\n")
    [found] = replay.read_policy(str(file)).freeze_windows
    assert (found.start, found.until) == ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")


async def test_lines_that_are_left_out_are_named(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "counts.jsonl"
    file.write_text(counts(0, 0) + '\n{"kind": "shape"}\n')
    await replay.show(OutputFormat.TEXT, counts=str(file), policy=policy)
    assert f"{file}: left out: 1 line of kind 'shape', the first in line 3" in capsys.readouterr().err


@examples
def test_whatever_stands_in_a_policy_is_refused_in_words(count: int) -> None:
    window = {"name": "w", "from": "2026-03-01T12:00:00Z", "until": "2026-03-01T13:00:00Z"}
    whole = more(relativeTolerance="10%")["spec"] | {"freezeWindows": [window]}

    def check(changes: Changes) -> None:
        with contextlib.suppress(console.Failure):
            manifests.parsed(RolloutPolicySpec, spoiled(whole, changes), file="p.yaml", path="spec")

    run(count, check, changes=CHANGES)


@examples
def test_whatever_stands_in_a_line_is_refused_in_words(count: int) -> None:
    half = {"requests": 5, "failures": 1}
    arm = {"requests": 10, "failures": 2, "pods": {"a": half, "b": half}, "halves": [half, half]}
    line = {"time": 15.0, "objective": "errors", "weight": 5, "stable": arm, "candidate": arm}
    slow = {"requests": 9, "buckets": {"0.1": 3, "+Inf": 9}}
    latency = {"time": 15.0, "objective": "latency", "weight": 5, "stable": slow, "candidate": slow}
    probes = [{"kind": "probe", "time": 1, "event": "begin", "share": 50}, {"kind": "probe", "time": 2, "event": "end"}]

    def check(changes: Changes) -> None:
        document = spoiled([line, latency, *probes], changes)
        with contextlib.suppress(lines.Unreadable):
            reading.read(
                [json.dumps(each) for each in document] if isinstance(document, list) else [json.dumps(document)]
            )

    run(count, check, changes=CHANGES)
