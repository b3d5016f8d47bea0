"""The worked example of docs/release-judge.md: its numbers are those of the judge."""

import math
import re
from pathlib import Path
from typing import Final

import yaml

from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.replay import replay
from sluice_judge.stats import evidence

PAGE: Final = (Path(__file__).resolve().parents[4] / "docs" / "release-judge.md").read_text()
ROW: Final = re.compile(r"^ +(\d+) +(\d+) % +(\w+) +(\w+) +errors (-?[\d.]+) / (-?[\d.]+)$", re.MULTILINE)
BET: Final = re.compile(r"^\| (\d+) \| .* \| ([\d.]+) \|$", re.MULTILINE)


def here_document(mark: str) -> str:
    return PAGE.split(f"<<'{mark}'\n")[1].split(f"\n{mark}\n")[0]


def test_the_replayed_example_is_what_the_judge_says() -> None:
    policy = RolloutPolicySpec.model_validate(yaml.safe_load(here_document("EOF_POLICY"))["spec"])
    scrapes = replay.replay(replay.read(here_document("EOF_COUNTS").splitlines()), policy)
    said = [
        (
            f"{scrape.time:g}",
            f"{scrape.weight:g}",
            str(scrape.verdict),
            scrape.reason,
            f"{scrape.evidence['errors'].rollback:.2f}",
            f"{scrape.evidence['errors'].advance:.2f}",
        )
        for scrape in scrapes
    ]
    assert said == ROW.findall(PAGE)
    assert said[-1][2] == "RollBack"


def test_the_bets_of_the_table_pay_what_it_says() -> None:
    """12 of 250 requests, 2 of 4 failures."""
    bets = BET.findall(PAGE)
    test = evidence.RelativeTest(1.25, tuple(float(ratio) for ratio, _ in bets))
    paid = test.log_increments(evidence.Counts(12, 2, 238, 2), 1.0)
    assert paid is not None
    factors = [math.exp(log) for log in paid]
    assert [f"{factor:.1f}" if factor < 10 else f"{factor:.0f}" for factor in factors] == [told for _, told in bets]
    assert len(bets) == 3
