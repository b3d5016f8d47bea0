"""`kubectl sluice bom`: a CycloneDX bill of materials of the version that serves."""

import json

from kubectl_sluice.cli import exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget
from kubectl_sluice.views.reports.bom import bom


async def show(target: ModelTarget) -> int:
    """The document of the stable version, as JSON."""
    async with cluster.session(target) as session:
        release = await session.fetch()
        stable = release.deployment.status.stable
        if stable is None:
            raise Failure(
                f"ModelDeployment {session.namespace}/{session.name}: nothing serves yet; see `{session.command('status')}`"
            )
        kept = await session.cluster.fetch_revisions(session.namespace, session.name)
    revision = next((each for each in kept if each.name == stable.revision), None)
    if revision is None:
        raise Failure(f"nothing pins {stable.revision} any more; see `{session.command('status')}`")
    print(json.dumps(bom(release.deployment, release.rollouts, revision), indent=2))
    return exits.OK
