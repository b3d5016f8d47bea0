"""The container that sends requests in a command's pod."""

from kubectl_sluice.adapters import kubectl, loadprogram
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import installation
from kubectl_sluice.loadgen import payload as packing
from kubectl_sluice.offline.profile import pod
from sluice_core.kernel.snapshot import Object, Revision


async def fetch_image(api: kubectl.Kubectl, revision: Revision) -> pod.Image | None:
    """The image that can run the generator; None where no trusted image with Python is known."""
    image = pod.image_of(revision.template)
    if image is not None:
        return image
    operator = await installation.fetch(api)
    if not operator.named or operator.raw is None:
        return None
    initializer = operator.config.storage_initializer
    return pod.Image(initializer.image, initializer.image_pull_policy)


def generator(image: pod.Image, *, plan: str, payload: bytes | None, too_large: str) -> Object:
    """The container. too_large: the remedy in the `Failure` that is raised where the payload does not fit into a
    pod."""
    packed = packing.packed(payload) if payload is not None else ""
    if len(packed) > pod.LARGEST_PAYLOAD:
        raise Failure(
            f"--payload: {len(packed):,} characters after compression do not fit into a pod "
            f"({pod.LARGEST_PAYLOAD:,}); {too_large}"
        )
    return pod.generator(image, program=loadprogram.program(), plan=plan, payload=packed)
