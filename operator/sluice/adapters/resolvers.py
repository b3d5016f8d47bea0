"""Asks the resolvers of namespaces; one that does not answer in time, or answers nonsense, has no news."""

from collections.abc import Sequence
from typing import Final

from sluice_core.adapters.http import Reader, Unanswered
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, ResolverPod
from sluice_core.parsing import resolvers

SECONDS: Final = 10.0
"""The resolver asks a registry within this time."""
ANSWER_BYTES: Final = 64 * 1024


class PodResolvers:
    """Implements `ports.Resolvers`."""

    def __init__(self) -> None:
        self._reader = Reader(SECONDS)

    async def close(self) -> None:
        await self._reader.close()

    async def resolve(self, pod: ResolverPod, uris: Sequence[str]) -> tuple[Resolution, ...] | None:
        try:
            text = await self._reader.get(
                resolvers.question(pod, uris), at_most_bytes=ANSWER_BYTES, headers=_authorized(pod)
            )
            return resolvers.read(text, uris)
        except (Unanswered, ValueError):
            return None

    async def report(self, pod: ResolverPod, report: OutcomeReport) -> Reported | None:
        came = Reported(report.release)
        try:
            for message in resolvers.messages(report):
                text = await self._reader.post(
                    f"{pod.url}/outcome", body=message, at_most_bytes=ANSWER_BYTES, headers=_authorized(pod)
                )
                came = resolvers.read_reported(text, report)
                if came.problem:
                    break
        except (Unanswered, ValueError):
            return None
        return came


def _authorized(pod: ResolverPod) -> dict[str, str]:
    return {"Authorization": f"Bearer {pod.token}"}
