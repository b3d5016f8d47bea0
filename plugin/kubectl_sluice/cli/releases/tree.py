"""`kubectl sluice tree`: the objects of one model and the state of each."""

import rich.tree
from rich.text import Text

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster, world
from kubectl_sluice.cli.options import ModelTarget, OutputFormat
from kubectl_sluice.views import tree
from kubectl_sluice.views.tree import Node
from kubectl_sluice.views.wire import to_wire
from sluice_core.situation import situation


async def show(target: ModelTarget, output: OutputFormat) -> int:
    """Revisions with their running objects, routes and releases."""
    async with cluster.session(target) as session:
        snapshot = await world.fetch_snapshot(session)
    root = tree.tree(situation.interpret(snapshot))
    console.show(output, to_wire(root), drawn(root))
    return exits.OK


def drawn(node: Node) -> rich.tree.Tree:
    """The tree for a terminal."""
    branch = rich.tree.Tree(_label(node), guide_style="dim", highlight=False)
    for child in node.children:
        branch.add(drawn(child))
    return branch


def _label(node: Node) -> Text:
    style = "dim" if node.healthy else "red"
    return Text.assemble((f"{node.kind} ", "dim"), node.name, (f"  {node.state}" if node.state else "", style))
