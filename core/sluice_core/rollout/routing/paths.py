"""The desired distribution of requests for a release's state; the way there is in `weights`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths, Revision
from sluice_core.parsing import endpoints
from sluice_core.render.common import HEADER, MIRROR, PREVIEW
from sluice_core.rollout import baseline, fuse, restarts, steps
from sluice_core.rollout.capacity import shares as pod_shares
from sluice_core.rollout.routing import observing
from sluice_core.rollout.routing.weights import TRACE
from sluice_core.rollout.steps import WHOLE
from sluice_core.situation import scaling
from sluice_core.situation.situation import Situation, testing, validating


def shares(situation: Situation) -> Mapping[str, int]:
    """Permille by revision, summing to the whole, in the order of the backends.

    A candidate without endpoints gets nothing while stable has some. What a stable version without endpoints cannot
    answer goes to a candidate that has a share already (`carried`).
    """
    stable, active = situation.stable, situation.active
    if stable is None:
        return {}
    if active is None or active.spec.source is None:
        return {stable.name: WHOLE}
    given = {
        revision.name: 0
        if revision.ready_endpoints == 0 and stable.ready_endpoints > 0
        else carried(situation, active, revision, permille)
        for revision, permille in _granted(situation, active)
        if revision.name != stable.name
    }
    beside = baseline.serving(situation)
    if beside is not None and active.status.permille > 0:
        left = WHOLE - TRACE - sum(given.values())  # stable keeps a trace while the candidate takes over from it
        given[beside.name] = baseline.share(situation, active.status.permille, left)
    return {stable.name: WHOLE - sum(given.values()), **given}


def carried(situation: Situation, active: ModelRollout, candidate: Revision, granted: int) -> int:
    """The candidate's share; `granted` is its step's, and while no pod of stable is ready, it gets what its own pods
    can take.

    Stable keeps a trace, so that no swap is ever complete. The candidate gets only `granted` in a blind release, where
    its reaction could not be seen; if its own pods restarted, since it would fail again, perhaps by the same request
    that ended stable; in a test, where users stay with their arm; in a probe, which ends by itself; if a third version
    answers all the rest, such as one given up before; and with one shared Service, where unready pods get none anyway.
    """
    blind, probes = active.status.blind_since is not None, active.status.probe is not None
    if blind or probes or testing(active) or situation.snapshot.by_service or not fuse.outage(situation.stable):
        return granted
    if restarts.since(candidate, active.status.restarts_before) > 0:
        return granted
    if granted + _answered_by_others(situation, candidate) >= WHOLE - TRACE:
        return granted
    bears = pod_shares.permille_for(candidate.ready_endpoints, pod_shares.whole(situation))
    return max(granted, min(bears, WHOLE - TRACE))


def _answered_by_others(situation: Situation, candidate: Revision) -> int:
    """The permille on the route of versions from earlier releases with ready pods; stable has none."""
    route, objects = situation.snapshot.route, situation.snapshot.objects
    return sum(
        permille
        for name, permille in (route.weights if route is not None else ())
        if permille and name != candidate.name and endpoints.ready(objects.values(), name)
    )


def _granted(situation: Situation, active: ModelRollout) -> Iterator[tuple[Revision, int]]:
    """The share of users' requests that the release grants each candidate."""
    if testing(active):
        rules = active.spec.ab_test
        weights = rules.shares if rules else {}
        yield from ((arm, weights[arm.name]) for arm in situation.candidates if active.status.step > 0)
    elif situation.candidate is not None and active.status.permille > 0:
        yield situation.candidate, active.status.permille


def wanted(situation: Situation, weights: tuple[tuple[str, int], ...]) -> Paths:
    """All paths, around the weights to be written now."""
    found, stable = _of_release(situation, weights), situation.stable
    return replace(
        found,
        observer=observing.percent_copied(situation, mirrored=found.mirror is not None),
        awaited=stable.name if stable is not None and scaling.awaited(situation.snapshot, stable) else None,
    )


def _of_release(situation: Situation, weights: tuple[tuple[str, int], ...]) -> Paths:
    active, candidate, stable = situation.active, situation.candidate, situation.stable
    if active is None or stable is None or active.status.step == 0:
        return Paths(weights)
    if testing(active):
        routed = {name for name, permille in weights if permille > 0}
        arms = tuple(arm.name for arm in situation.candidates if arm.ready_endpoints > 0 and arm.name in routed)
        return Paths(weights, arms=(stable.name, *arms))
    step = steps.current(active)
    if candidate is None or candidate.ready_endpoints == 0 or step is None:
        return Paths(weights)
    header = situation.snapshot.deployment.spec.routing.candidate_header
    begun = step.begun(active.status.steps)  # before, its pods cannot carry it
    mirrored = step.mirror_percent > 0 and begun and _answers(situation, candidate, MIRROR)
    tested = header is not None and not _only(candidate, weights) and _answers(situation, candidate, HEADER)
    previewed = step.preview and begun and _answers(situation, candidate, PREVIEW)
    return Paths(
        weights,
        mirror=(candidate.name, step.mirror_percent) if mirrored else None,
        header=candidate.name if tested else None,
        preview=candidate.name if previewed else None,
    )


def _answers(situation: Situation, revision: Revision, suffix: str) -> bool:
    """Whether the Service itself has endpoints already: pods that are still warm are ready before it is."""
    service = naming.service_name(revision.name, suffix)
    return bool(endpoints.ready(situation.snapshot.objects.values(), service))


def _only(revision: Revision, weights: tuple[tuple[str, int], ...]) -> bool:
    """Whether it has all requests anyway."""
    return dict(weights).get(revision.name) == WHOLE


def services(situation: Situation) -> Iterator[tuple[Revision, str]]:
    """(revision, suffix) of the Services that the running release needs at any of its steps.

    They exist as long as its pods, so that their endpoints are known before the first request.
    """
    active, candidate = situation.active, situation.candidate
    if active is None or candidate is None or active.spec.source is None or validating(active):
        return
    every = steps.steps(active)
    if any(step.mirror_percent for step in every):
        yield candidate, MIRROR
    if any(step.preview for step in every):
        yield candidate, PREVIEW
    if situation.snapshot.deployment.spec.routing.candidate_header is not None:
        yield candidate, HEADER


def referred(paths: Paths) -> frozenset[str]:
    """Names of all Services that the paths lead to."""
    extra = ((paths.mirror[0] if paths.mirror else None, MIRROR), (paths.header, HEADER), (paths.preview, PREVIEW))
    suffixed = {naming.service_name(revision, suffix) for revision, suffix in extra if revision is not None}
    return frozenset({*(name for name, _ in paths.weights), *paths.arms, *suffixed})
