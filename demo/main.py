"""The whole story on a real cluster: serve v1, then release one model after another under real traffic.

    python -m demo [--cluster auto|lab|kind|current] [--scenario default|all|llm] [--keep]
    python -m demo [--cluster auto|lab|kind|current] --image batch|llamacpp|observer|optimizer|spark

With --cluster current, --registry HOST/FOLDER is where images are pushed, and where the cluster's nodes pull them.

Exit status 0 only if every release ended as expected, every incident was noticed, and no request was lost.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from demo import aftermath, assistant, kept, picture, release, setup, stories, summary, watch
from demo import cluster as clusters
from demo.aftermath import Noticed
from demo.cluster import Cluster, Kind
from demo.load import LoadClient
from demo.program import DemoError, Tools
from demo.progress import CONSOLE, Narrator, live_view, say, step
from demo.release import Observation, Plan, Result
from demo.stories import Story

FOLDER: Final = clusters.ROOT / "build" / "demo"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)  # so that a killed demo cleans up as well
    try:
        if options.image is not None:
            return _bring(_kind(options), options.image, options.registry)
        return 0 if _tell(_kind(options), options.scenario, keep=options.keep, registry=options.registry) else 1
    except DemoError as error:
        for each in _causes(error):
            CONSOLE.print(f"demo: {each}", style="red", markup=False)
    except KeyboardInterrupt:
        CONSOLE.print("demo: interrupted", style="red")
    return 1


def _causes(error: BaseException | None) -> Iterator[DemoError]:
    """What ended the demo, and then what went wrong while it was taken down."""
    if isinstance(error, DemoError):
        yield from _causes(error.__context__)
        yield error


def _kind(options: argparse.Namespace) -> Kind:
    kind = clusters.chosen(Kind(options.cluster))
    if options.registry and kind is not Kind.CURRENT:
        raise DemoError(f"REGISTRY: a {kind.value} cluster gets its images without a registry; add CLUSTER=current")
    return kind


def _bring(kind: Kind, name: str, registry: str) -> int:
    """One of the images that the releases do not need, for a cluster that was kept."""
    if not clusters.is_running(kind):
        raise DemoError(f"there is no {kind.value} cluster of a demo; make demo KEEP=1 leaves one")
    if name == assistant.IMAGE:
        assistant.bring(clusters.start(kind, registry))
        return 0
    where = f"push it to {registry}" if registry else "bring it to the nodes"
    with step(f"build the image {clusters.FURTHER_IMAGES[name].named_in(registry)}, and {where}"):
        clusters.build_further(kind, name, registry)
    return 0


def _tell(kind: Kind, scenario: str, *, keep: bool, registry: str) -> bool:
    for name in ("requests.jsonl", "observations.json", "summary.json", "rollout.png"):
        (FOLDER / name).unlink(missing_ok=True)
    story = stories.STORIES[scenario]
    with step("make the models"):
        files = story.models()
    with clusters.running(kind, keep=keep, registry=registry) as cluster:
        try:
            _prepare(cluster, story, files)
            return _release_all(cluster, story)
        finally:
            if keep:
                kept.tell(cluster, story.name)
            elif not cluster.started_here:
                with step("remove the demo from the cluster"):
                    setup.remove(cluster.tools, story.name)


def _prepare(cluster: Cluster, story: Story, files: Mapping[str, Path]) -> None:
    say(f"cluster: {cluster.kind.value}, gateway {cluster.gateway}")
    with step("build the images"):
        built = clusters.build_images(cluster.kind, cluster.registry)
    with step("helm install sluice"):
        setup.install_sluice(cluster, built)
    story.prepare(cluster)
    with step("upload the models to the object store"):
        setup.upload(cluster, files)
    with step(f"kubectl apply -f manifests/examples/{story.name}.yaml, and wait"):
        setup.serve_first_version(cluster, story.name)
    story.show(cluster, FOLDER)


def _release_all(cluster: Cluster, story: Story) -> bool:
    requests = FOLDER / "requests.jsonl"
    client = story.client(setup.target(cluster, story.name), requests)
    results: list[Result] = []
    observations: list[Observation] = []
    noticed: list[Noticed] = []
    with client:
        story.begin(cluster, client)
        for plan in story.plans:
            seen: list[Observation] = []
            results.append(_release(cluster.tools, client, story.name, plan, seen))
            observations += seen
            if not results[-1].outcome:
                say(f"[red]{plan.model}: no outcome within {watch.DEADLINE_SECONDS:.0f} s[/red]; the demo ends here")
                break
        else:
            noticed = _go_on(cluster, client, story)
    counts = client.counts()
    summary.write(results, noticed, counts, FOLDER / "summary.json")
    picture.save_observations(observations, FOLDER / "observations.json")
    if observations:
        picture.draw(observations, requests, FOLDER / "rollout.png")
    summary.show(CONSOLE, results, noticed, counts)
    say(f"written: {FOLDER / 'summary.json'} and {FOLDER / 'rollout.png'}")
    return summary.succeeded(results, noticed, counts)


def _go_on(cluster: Cluster, client: LoadClient, story: Story) -> list[Noticed]:
    """What happens after the releases."""
    if not story.incidents:
        return []
    story.keep_watch(cluster)
    return [aftermath.follow(cluster, client, incident) for incident in story.incidents]


def _release(tools: Tools, client: LoadClient, name: str, plan: Plan, observations: list[Observation]) -> Result:
    """Patch a line, follow the release to its outcome, and sum it up."""
    say(f"[bold]release {plan.model}[/bold]: {plan.story}; expected: {plan.expected}")
    before = client.counts()
    since = watch.Baseline(time.time(), before.by_revision)
    began = time.monotonic()
    patch = json.dumps(plan.patch)
    arguments = (setup.DEPLOYMENTS, name, f"--namespace={setup.NAMESPACE}", "--type=merge")
    tools.kubectl("patch", *arguments, f"--patch={patch}")
    narrator = Narrator()
    with live_view(tools, name, setup.NAMESPACE) as drawn:
        for seen in watch.follow(tools, client, plan, name=name, namespace=setup.NAMESPACE, since=since):
            observations.append(seen)
            if not drawn:
                narrator.see(seen)
    after = client.counts().total
    verdict = release.verdict_moment(observations)
    return Result(
        model=plan.model,
        story=plan.story,
        expected=plan.expected,
        expected_decision=plan.decided_by,
        outcome=observations[-1].outcome if observations else "",
        seconds=time.monotonic() - began,
        candidate_requests=verdict.candidate_requests if verdict else 0,
        harmed_requests=verdict.harmed_requests if verdict else 0,
        lost_requests=after.lost - before.total.lost,
        model_failures=after.failed - before.total.failed,
        decided_by=release.deciding_objective(observations),
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Release models under real traffic.")
    parser.add_argument("--cluster", choices=[kind.value for kind in Kind], default=Kind.AUTO.value)
    parser.add_argument("--scenario", choices=list(stories.STORIES), default="default")
    parser.add_argument(
        "--image",
        choices=[*clusters.FURTHER_IMAGES, assistant.IMAGE],
        help="only bring this image to a kept cluster; llamacpp: with a small language model",
    )
    parser.add_argument("--registry", default="", help="host and folder that the current cluster pulls images from")
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the model running")
    return parser


if __name__ == "__main__":
    sys.exit(main())
