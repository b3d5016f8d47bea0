"""`kubectl sluice explain`: why a release waits, or why it ended as it did."""

import time

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget, OutputFormat, Release
from kubectl_sluice.views.releases import explain
from kubectl_sluice.views.releases.explain import Explanation
from kubectl_sluice.views.wire import to_wire


async def show(target: ModelTarget, output: OutputFormat, *, rollout: Release = None) -> int:
    """The newest release, or a named one, in sentences."""
    async with cluster.session(target) as session:
        release = await session.fetch()
    chosen = release.newest if rollout is None else release.rollout(rollout)
    explanation = explain.explain(release.deployment, release.rollouts, chosen, now=time.time())
    console.show(output, to_wire(explanation), text(explanation))
    return exits.OK


def text(explanation: Explanation) -> RenderableType:
    """Paragraphs for a terminal."""
    parts: list[RenderableType] = [Text(sentence) for sentence in explanation.answer]
    for heading, sentences, style in (
        ("Evidence", explanation.evidence, ""),
        ("Not as it should be", explanation.problems, "yellow"),
        ("Next", explanation.next, ""),
    ):
        if sentences:
            parts += [Text(), Text(heading, "bold")]
            parts += [Padding(Text(sentence, style), (0, 0, 0, 2)) for sentence in sentences]
    return Group(*parts)
