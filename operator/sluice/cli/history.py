"""`kubectl sluice history`: what was released, how it ended and why."""

import time

from sluice.cli import cluster, console, exits, render
from sluice.cli.console import Failure
from sluice.cli.options import Output, Target
from sluice.views.history import history_line, timeline
from sluice.views.wire import to_wire


async def show(target: Target, *, rollout: str | None, output: Output) -> int:
    async with cluster.session(target) as session:
        release = await session.fetch()
    if rollout is not None:
        return _one(release, rollout, output)
    lines = tuple(history_line(one, now=time.time()) for one in release.rollouts)
    if output is Output.JSON:
        console.print_json(to_wire(lines))
    elif lines:
        console.stdout().print(render.history(lines))
    else:
        console.say(f"{target.name} has had no release yet")
    return exits.OK


def _one(release: cluster.Release, name: str, output: Output) -> int:
    found = next((one for one in release.rollouts if one.metadata.name == name), None)
    if found is None:
        known = ", ".join(one.metadata.name for one in release.rollouts[:5]) or "none"
        raise Failure(f"there is no release {name!r} of {release.deployment.metadata.name}; there are: {known}")
    if output is Output.JSON:
        console.print_json(to_wire(timeline(found)))
    else:
        console.stdout().print(render.timeline(timeline(found)))
    return exits.OK
