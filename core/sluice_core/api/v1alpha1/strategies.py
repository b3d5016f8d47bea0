"""How a change of a model is released."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sluice_core.api.v1alpha1.common import CapacityMode, LocalObjectRef, Strategy
from sluice_core.api.v1alpha1.routing import HeaderName
from sluice_core.api.v1alpha1.sources import ArmUri, Sha256
from sluice_core.api.v1alpha1.validation import Validation
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Name
from sluice_judge.schema.objectives import Objectives
from sluice_judge.schema.policy import OnDeadline, Steps


class Canary(ApiModel):
    """Settings of the Canary strategy."""

    steps: Steps
    """Increasing weights that end with 100."""


class BlueGreen(ApiModel):
    """Settings of the BlueGreen strategy: a full second set, one flip, and an instant rollback."""

    preview_seconds: Annotated[int, Field(ge=0, le=604_800)] = 300
    """The minimum time for which the new version is reachable under its preview host name before the flip."""
    automatic_promotion: bool = True
    """Whether the flip happens automatically; otherwise a person starts it: `kubectl sluice resume`."""


class Shadow(ApiModel):
    """Mirrored traffic, whose answers no user sees; the first stage before Canary and BlueGreen."""

    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """The share of requests that is mirrored; less than 100 only if the gateway supports it."""
    minimum_requests: Annotated[int, Field(ge=0, le=10_000_000)] = 500
    """The minimum number of mirrored requests."""


class ArmModel(ApiModel):
    """The fields of spec.model that an arm replaces."""

    uri: ArmUri
    """Where the arm's model is. It is not followed: a branch or a tag means what it names when the arm's pods start."""
    sha256: Sha256 | None = None
    """The checksum of the file that uri names."""
    version: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """A label for people."""


class ABTestArm(ApiModel):
    """One version beside the stable one in an A/B test."""

    name: Name
    """Its name in status and reports."""
    weight: Annotated[int, Field(ge=1, le=99)]
    """Its share of the users in percent; the stable version has the rest."""
    model: ArmModel
    """What differs from spec.model."""


class AssignmentType(StrEnum):
    COOKIE = "Cookie"
    HEADER = "Header"


class Assignment(ApiModel):
    """How users keep their arm."""

    type: AssignmentType = AssignmentType.COOKIE
    """Cookie: a cookie keeps the gateway's first choice. Header: the last two letters or digits of a header that
    identifies the user choose the arm."""
    name: HeaderName = "sluice-arm"
    """The cookie or the header."""


class OnWinner(StrEnum):
    REPORT = "Report"
    PROMOTE = "Promote"


class ABTest(ApiModel):
    """Settings of the ABTest strategy: spec.model is the control."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.arms.map(arm, arm.weight).sum() < 100",
            message="the weights of all arms must leave a share for the stable version",
            field_path=".arms",
        ),
    )

    arms: Annotated[
        list[ABTestArm],
        Field(
            min_length=1,
            max_length=5,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The versions to compare with the stable one."""
    assignment: Assignment = Field(default_factory=Assignment)
    """How users keep their arm."""
    metric: Name
    """The name of the objective that decides; a failureRatio with source Query that counts users."""
    maximum_seconds: Annotated[int, Field(ge=60, le=7_776_000)] = 1_209_600
    """The test ends after this time, with or without a winner."""
    on_winner: OnWinner = OnWinner.REPORT
    """Report: name the winner and keep serving as before. Promote: release the winner."""


class Rollout(ApiModel):
    """How a change is released; omitted fields come from the RolloutPolicy."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "(has(self.strategy) && self.strategy == 'ABTest') == has(self.abTest)",
            message="strategy ABTest and abTest go together",
            field_path=".abTest",
        ),
        Cel(
            "!has(self.abTest) || !has(self.objectives) || self.objectives.exists(each, each.name == self.abTest.metric "
            "&& has(each.failureRatio) && each.failureRatio.source == 'Query')",
            message="metric must name one of spec.rollout.objectives that counts users: a failureRatio with source Query",
            field_path=".abTest.metric",
        ),
        Cel(
            "!has(self.blueGreen) || (has(self.strategy) && self.strategy == 'BlueGreen')",
            message="blueGreen needs strategy BlueGreen",
            field_path=".blueGreen",
        ),
        Cel(
            "!has(self.canary) || !has(self.strategy) || self.strategy == 'Canary'",
            message="canary needs strategy Canary",
            field_path=".canary",
        ),
        Cel(
            "!has(self.shadow) || !has(self.strategy) || self.strategy in ['Shadow', 'Canary', 'BlueGreen']",
            message="shadow needs strategy Shadow, or is the first stage of Canary or BlueGreen",
            field_path=".shadow",
        ),
        Cel(
            "!has(self.capacity) || self.capacity != 'ShrinkStable' "
            "|| ((!has(self.strategy) || self.strategy == 'Canary') && !has(self.shadow))",
            message="capacity ShrinkStable needs strategy Canary without shadow: previews, mirrored requests and arms need "
            "pods in addition to all of the stable version's",
            field_path=".capacity",
        ),
        Cel(
            "!has(self.validation) || !has(self.strategy) || self.strategy != 'ABTest'",
            message="validation is for one candidate, and strategy ABTest has several: before the test, score each "
            "arm's model with a BatchInference",
            field_path=".validation",
        ),
    )

    policy_ref: LocalObjectRef | None = None
    """The RolloutPolicy; default: default-streaming if it exists and the server streams and maps its histograms
    (TimeToFirstToken, InterTokenLatency), otherwise default."""
    strategy: Strategy = Strategy.CANARY
    """The strategy of the release."""
    canary: Canary | None = None
    """Settings of the Canary strategy."""
    blue_green: BlueGreen | None = None
    """Settings of the BlueGreen strategy."""
    shadow: Shadow | None = None
    """Settings of the Shadow strategy, or of the first stage of Canary and BlueGreen."""
    ab_test: Annotated[ABTest | None, Field(alias="abTest")] = None
    """Settings of the ABTest strategy."""
    capacity: CapacityMode = CapacityMode.AUTO
    """Where the candidate's pods come from. Surge: in addition to stable. ShrinkStable: one pod at a time from stable,
    as its share of the traffic allows. Recreate: stable stops first, with downtime. Auto: Surge if there is room,
    otherwise ShrinkStable."""
    objectives: Objectives | None = None
    """Objectives that replace the policy's."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=2_592_000)] | None = None
    """onDeadline applies after this time without a decision."""
    on_deadline: OnDeadline | None = None
    """What happens at the deadline: Hold (the default), Promote or RollBack."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = None
    """How long the old version stays warm and the objectives armed after 100 %."""
    validation: Validation | None = None
    """A labelled data set that a candidate must answer well before it gets any request; not for the first version, nor
    for a rollback by a person."""
