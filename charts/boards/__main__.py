"""Grafana's dashboards, from code: `python -m charts.boards` writes them as the files that the chart ships.

release-PRESET    one model's release, with what that gateway counts; the chart takes the one of its `config.gatewayPreset`
fleet             all models
operator          the operator
batch             batch inference
"""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from charts.boards import batch, fleet, operator, release

FOLDER: Final = Path("charts/sluice/monitoring/boards")


def boards() -> dict[str, Dashboard]:
    """By the name of their files."""
    return {**release.boards(), **fleet.boards(), **operator.boards(), **batch.boards()}


def rendered(board: Dashboard) -> str:
    """As Grafana imports it."""
    return json.dumps(board, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, board in boards().items():
        (FOLDER / f"{name}.json").write_text(rendered(board))


if __name__ == "__main__":
    main()
