"""What a release is recorded with."""

from kubectl_sluice.offline import recording
from sluice_core.api.config import OperatorConfig
from sluice_judge import state
from sluice_judge.gateways import PRESETS
from sluice_judge.samples import columns, series
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, make_rollout

LEARNT = state.dump_learnt(state.State(1.0, 1, 1, None, feeds={"requests": series.Feed("pod", 5.0)}))


def test_pods_that_are_gone_are_those_of_the_status() -> None:
    ready = {columns.STABLE: [T0 - 900.0, T0 - 880.0], columns.CANDIDATE: [T0 + 3.0]}
    ended = make_rollout(**builders.BAD | {"outcome": "RolledBack", "learnt": state.with_ready(LEARNT, ready)})
    wanted = recording.of_release(ended, now=T0 + 600)
    trial = recording.trial(
        ended, wanted, config=OperatorConfig(), preset=PRESETS["contour"], kept=(), runtimes=(), routing=None, now=T0
    )
    assert (trial.stable.ready, trial.candidate.ready) == ((T0 - 900.0, T0 - 880.0), (T0 + 3.0,))
