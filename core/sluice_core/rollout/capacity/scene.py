"""The needs of a running release, and the free devices."""

from dataclasses import dataclass

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import needs, pods, shares
from sluice_core.situation import devices as accelerators
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_core.situation.situation import Situation


@dataclass(frozen=True, slots=True)
class Scene:
    """The needs of a running release, and the free devices."""

    situation: Situation
    active: ModelRollout
    replicas: int
    devices: Devices | None
    asked: DevicesQuestion | None

    @property
    def candidate(self) -> Revision | None:
        return self.situation.candidate

    @property
    def candidates(self) -> tuple[Revision, ...]:
        """All versions that get pods beside stable."""
        return needs.candidates(self.situation)

    @property
    def step(self) -> steps.Step:
        """The decided step, or the first one."""
        return needs.due(self.active)

    @property
    def shrinks(self) -> bool:
        """Whether the user requested ShrinkStable; Auto may choose it."""
        return self.active.spec.capacity is CapacityMode.SHRINK_STABLE

    @property
    def due(self) -> int:
        """Candidate pods for the decided step."""
        by_service = self.situation.snapshot.by_service
        return shares.pods_for(self.step.load_permille, self.replicas, by_service=by_service)

    @property
    def ahead(self) -> int:
        """Candidate pods including the step after it, so that an advance need not wait for pods.

        Without it where more pods are a larger share.
        """
        return needs.ahead(self.active, self.replicas, by_service=self.situation.snapshot.by_service)

    @property
    def evenly_ahead(self) -> int:
        """The same with as many as latency is compared with at equal load."""
        return needs.evenly_ahead(self.active, self.replicas, by_service=self.situation.snapshot.by_service)

    @property
    def exposed(self) -> int:
        """Permille that the candidate certainly has: decided, and on the route."""
        route = self.situation.snapshot.route
        if route is None or self.candidate is None:
            return 0
        return min(self.active.status.permille, route.weight(self.candidate.name))

    @property
    def begun(self) -> bool:
        """Whether the first step was decided."""
        return self.active.status.step > 0

    @property
    def programmed(self) -> bool:
        """Whether the gateway has programmed the route."""
        route = self.situation.snapshot.route
        return route is not None and route.programmed

    @property
    def others(self) -> int:
        """Pods of versions that are leaving."""
        return pods.leaving_pods(self.situation)

    @property
    def blind(self) -> bool:
        """Whether devices may not be counted; the scheduler then decides."""
        return self.devices is not None and bool(self.devices.unknown)

    @property
    def unseen(self) -> bool:
        """Whether devices should be counted but were not yet; until then nothing is created or given up."""
        return self.devices is None and self.asked is not None

    @property
    def limited(self) -> bool:
        """Whether the candidate only gets pods for which devices are free."""
        return not self.blind and self.asked is not None

    @property
    def unlimited(self) -> bool:
        """Whether, as far as is known, nothing is ever scarce."""
        candidate = self.candidate
        needed = accelerators.extended_resource(candidate.template) if candidate is not None else None
        return needed is None or self.blind

    @property
    def placed(self) -> int:
        """Candidate pods that have their devices."""
        return self.placed_of(self.candidate) if self.candidate is not None else 0

    def placed_of(self, revision: Revision) -> int:
        """Its pods that have their devices; while uncounted, the pods that it was given before."""
        return revision.replicas if self.devices is None else self.devices.scheduled.get(revision.name, 0)

    @property
    def fits_beside(self) -> bool:
        """Whether there are devices for all of stable, including those that it gave up, and for the candidate."""
        asked, own = self.asked, self.situation.stable
        if self.devices is None or asked is None:
            return False
        lacking = max(0, self.replicas - self.placed_of(own)) if own is not None and self.shared else 0
        return self.devices.pods_that_fit(asked.count) >= lacking + max(0, self.ahead - self.placed)

    def room(self, *, stable: int) -> int:
        """Candidate pods with devices, existing ones included, if stable is to have `stable` pods."""
        return self.placed + self.free(stable=stable) if self.limited else self.ahead

    def free(self, *, stable: int) -> int:
        """Further pods that find devices once stable has `stable` pods; its own come first."""
        asked = self.asked
        if self.devices is None or asked is None:
            return 0
        own = self.situation.stable
        lacking = max(0, stable - self.placed_of(own)) if own is not None and self.shared else 0
        return max(0, self.devices.pods_that_fit(asked.count) - lacking)

    @property
    def shared(self) -> bool:
        """Whether a pod of stable less makes room for one of the candidate: both need the same devices of the same
        nodes.
        """
        stable, pods = self.situation.stable, next(iter(self.candidates), None)
        return stable is not None and pods is not None and needs.devices_of(stable) == needs.devices_of(pods)

    def missing(self, *, pods: int) -> str:
        """The message that this number of pods finds no devices; empty if they were not counted."""
        asked = self.asked
        if self.devices is None or asked is None or self.blind:
            return ""
        return accelerators.missing(asked, self.devices, pods, _profile(self.situation, asked.resource))


def _profile(situation: Situation, resource: str) -> str | None:
    """The profile by which the user requested the resource."""
    accelerator = situation.snapshot.deployment.spec.accelerator
    if accelerator is None or accelerator.profile is None:
        return None
    profiles = {profile.name: profile.resource for profile in situation.snapshot.config.accelerator_profiles}
    return accelerator.profile if profiles.get(accelerator.profile) == resource else None
