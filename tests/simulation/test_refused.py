"""The API server refuses the record of a release: a rollback happens all the same, and is reported."""

import pytest

from sluice_core import errors
from sluice_core.decide import failure
from sluice_core.kernel.plan import Event, Write
from tests.simulation.test_news import Fault, Told, releasing
from tests.support.simulated.scenarios import FAILING, V2

REFUSALS = [errors.Refused("422 Invalid: status.state: Too long"), errors.Denied("403: webhook says no")]


def refusing(error: errors.ApiError, *, reduced_too: bool) -> Fault:
    """Every record is refused; or only those with the judge's figures."""

    def fault(what: Write | Event) -> errors.ApiError | None:
        if isinstance(what, Event) or not failure.is_record(what):
            return None
        return error if reduced_too or what.manifest["status"].get("state") else None

    return fault


def shared(told: Told, permille: int) -> bool:
    """Whether the candidate has this much of the requests."""
    return told.cluster.weights().get(told.cluster.newest().spec.target.revision, 0) >= permille


def in_first_step(uri: str) -> Told:
    told = releasing(uri)
    told.run(60, until=lambda: len(told.cluster.rollouts()) > 1 and shared(told, 50))
    assert shared(told, 50)
    return told


@pytest.mark.parametrize("error", REFUSALS)
def test_an_abort_is_recorded_without_figures_where_these_are_refused(error: errors.ApiError) -> None:
    told = in_first_step(V2)
    told.api.fault = refusing(error, reduced_too=False)
    told.cluster.asks("Abort")
    told.run(10)
    assert not shared(told, 1)
    status = told.cluster.newest().status
    assert (status.outcome, status.reason, status.state) == ("Aborted", "Aborted", None)
    assert told.reasons().count("Aborted") == told.noticed().count("Aborted") == 1
    assert told.cluster.condition("Stalled")["reason"] == "Aborted", "and no refusal any more"


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("by_intent", [True, False])
def test_a_rollback_that_cannot_be_recorded_happens_and_stays(error: errors.ApiError, by_intent: bool) -> None:
    told = in_first_step(V2 if by_intent else FAILING)
    told.run(30, until=lambda: told.cluster.newest().status.steps[-1].candidate_requests > 0)
    told.api.fault = refusing(error, reduced_too=True)
    if by_intent:
        told.cluster.asks("Abort")
    told.run(120, until=lambda: not shared(told, 1))  # two scrapes decide, and after a refusal it looks a minute later
    assert not shared(told, 1)
    stalled = told.cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) in (("True", "Refused"), ("True", "Forbidden"))
    assert str(error) in stalled["message"]
    assert "requests go back to the stable version" in stalled["message"]
    weights = []
    told.run(120, until=lambda: weights.append(shared(told, 1)) is not None)
    assert not any(weights), "nobody is raised while the record cannot be written"
    assert told.cluster.newest().status.outcome is None
    told.api.fault = lambda _: None
    told.run(120, until=lambda: told.ended)
    assert told.cluster.newest().status.outcome == ("Aborted" if by_intent else "RolledBack")
    told.run(3)
    assert told.cluster.condition("Stalled")["reason"] == told.cluster.newest().status.outcome, "no refusal any more"


def test_no_weight_rises_without_a_record() -> None:
    told = in_first_step(V2)
    told.api.fault = refusing(REFUSALS[0], reduced_too=True)
    weights = []
    told.run(120, until=lambda: weights.append(shared(told, 51)) is not None)
    assert not any(weights)
    told.api.fault = lambda _: None
    told.run(600, until=lambda: told.ended)
    assert told.cluster.newest().status.outcome == "Promoted"
