"""`kubectl sluice history`: what was released, how it ended and why."""

import time

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget, OutputFormat, Release
from kubectl_sluice.cli.releases import tables
from kubectl_sluice.views.releases.history import history_line, timeline
from kubectl_sluice.views.wire import to_wire
from sluice_core.api.v1alpha1.modelrollout import ModelRollout


async def show(target: ModelTarget, output: OutputFormat, *, rollout: Release = None) -> int:
    """All releases in a line each, or the audit trail of one."""
    async with cluster.session(target) as session:
        release = await session.fetch()
    if rollout is not None:
        return _one(release.rollout(rollout), output)
    lines = tuple(history_line(one, now=time.time()) for one in release.rollouts)
    text = tables.history(lines) if lines else f"{target.name} has had no release yet"
    console.show(output, to_wire(lines), text)
    return exits.OK


def _one(rollout: ModelRollout, output: OutputFormat) -> int:
    moments = timeline(rollout)
    console.show(output, to_wire(moments), tables.timeline(moments))
    return exits.OK
