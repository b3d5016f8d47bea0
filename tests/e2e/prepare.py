"""Builds the images and models of the end-to-end tests: `python -m tests.e2e.prepare`, while other tests wait."""

from typing import Final

from demo import cluster as clusters
from demo import setup
from lab import images

NEEDED: Final = (
    *clusters.IMAGES.values(),
    clusters.FURTHER_IMAGES["batch"],
    clusters.FURTHER_IMAGES["observer"],
    clusters.SERVER_IMAGES["fastapi"],
    clusters.SERVER_IMAGES["llamacpp"],
)
"""What tests that are not slow run."""


def main() -> None:
    setup.prepared_models()
    for image in NEEDED:
        clusters.stage(image)
        images.build(image.context, image.tag, {"BASE": images.PYTHON_BASE}, containerfile=image.containerfile)


if __name__ == "__main__":
    main()
