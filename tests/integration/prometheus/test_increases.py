"""What the watch asks is PromQL, and means what the simulated Prometheus says, as promtool judges."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_core.adapters import prometheus
from sluice_core.watch import minutes
from sluice_judge.gateways import PRESETS
from sluice_judge.model import Arm
from tests.integration.prometheus.test_alerts import promtool
from tests.support.simulated import watches
from tests.support.simulated.prometheus import increase

END, INTERVAL = 120.0, 15
COUNTED = [1000, 1007, 1020, 1031, 1040, 1055, 1061, 1070, 1075]
RESET = [1000, 1007, 1020, 1031, 4, 15, 21, 30, 35]
YOUNG = [0, 0, 0, 0, 1, 3, 4, 4, 9]
PRESETS = sorted(PRESETS)


def grown(values: list[int]) -> float:
    points = [(float(number * INTERVAL), float(value)) for number, value in enumerate(values)]
    window = minutes.MINUTE + INTERVAL
    return increase([each for each in points if END - window < each[0] <= END], END - window, END) or 0.0


def judged(folder: Path, series: dict[str, list[int]], tests: list[dict[str, Any]]) -> str:
    """What promtool complains of."""
    shown = [{"series": name, "values": " ".join(map(str, values))} for name, values in series.items()]
    asked = [{**test, "eval_time": f"{END:.0f}s"} for test in tests]
    file = folder / "increases.yaml"
    test = {"interval": f"{INTERVAL}s", "input_series": shown, "promql_expr_test": asked}
    file.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": f"{INTERVAL}s", "tests": [test]}))
    done = promtool("test", "rules", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("preset", PRESETS)
def test_every_question_of_a_preset_is_promql(tmp_path: Path, preset: str) -> None:
    version = watches.make_version(preset=preset, arm=Arm("digits-aaa", "digits-aaa", 80, grpc_port=81))
    asked = minutes.inquest([version], {version.place})
    tests = [{"expr": prometheus.query_of(whole.question), "exp_samples": []} for whole in asked.questions]
    assert judged(tmp_path, {"other": COUNTED}, tests) == ""


def test_what_has_grown_and_by_which_name(tmp_path: Path) -> None:
    cluster = 'envoy_cluster_name="shop_digits-aaa_80"'
    by_code = {"200": COUNTED, "500": RESET, "503": YOUNG}
    series = {f'envoy_cluster_upstream_rq{{{cluster},envoy_response_code="{code}"}}': by_code[code] for code in by_code}
    series[f"envoy_cluster_upstream_rq_timeout{{{cluster}}}"] = COUNTED
    asked = minutes.inquest([watches.make_version()], ())
    requests, broken = (prometheus.query_of(whole.question) for whole in asked.questions[:2])
    counts = [
        {"labels": f'{{{cluster},envoy_response_code="{code}"}}', "value": grown(values)}
        for code, values in by_code.items()
    ]
    names = [{"labels": f'{{{cluster},sluice_metric="envoy_cluster_upstream_rq_timeout"}}', "value": grown(COUNTED)}]
    tests = [{"expr": requests, "exp_samples": counts}, {"expr": broken, "exp_samples": names}]
    assert judged(tmp_path, series, tests) == ""
