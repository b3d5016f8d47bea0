"""The imitation of the API server refuses what a real one refuses."""

from typing import Any

import pytest

from sluice_core import errors
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Patch, Ref
from tests.support.simulated.apiserver import ApiServer, Refused


def job(**changes: Any) -> dict[str, Any]:
    spec = {"template": {"image": "one"}, "completions": 2, "suspend": False, **changes}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}, "spec": spec}


@pytest.fixture
def server() -> ApiServer:
    server = ApiServer()
    server.apply(Apply(job()))
    return server


def uid(server: ApiServer) -> str:
    return str(server.objects["Job", "run"]["metadata"]["uid"])


def test_a_change_is_a_new_generation_and_a_status_is_none(server: ApiServer) -> None:
    server.apply(ApplyStatus({"kind": "Job", "metadata": {"name": "run"}, "status": {"active": 1}}))
    server.apply(Apply(job(), uid(server)))
    found = server.objects["Job", "run"]
    assert (found["metadata"]["generation"], found["status"]) == (1, {"active": 1})
    server.apply(Patch(Ref("batch/v1", "Job", "run"), {"spec": {"suspend": True}}))
    found = server.objects["Job", "run"]
    assert (found["metadata"]["generation"], found["spec"]["suspend"], found["status"]) == (2, True, {"active": 1})


def test_a_field_that_never_changes(server: ApiServer) -> None:
    with pytest.raises(Refused, match=r"spec\.template of Job run can never be changed"):
        server.apply(Apply(job(template={"image": "two"}), uid(server)))


def test_only_the_expected_object_is_applied(server: ApiServer) -> None:
    for expected in ("", "other"):
        with pytest.raises(errors.Conflict, match=f"Job run is {uid(server)}, not {expected or 'new'}"):
            server.apply(Apply(job(completions=3), expected))
    server.apply(Delete(Ref("batch/v1", "Job", "run")))
    with pytest.raises(errors.Conflict, match="is not there, not other"):
        server.apply(Apply(job(), "other"))


def test_a_patch_takes_away_what_is_null(server: ApiServer) -> None:
    ref = Ref("batch/v1", "Job", "run")
    server.apply(Patch(ref, {"metadata": {"annotations": {"one": "1", "two": "2"}}}))
    server.apply(Patch(ref, {"metadata": {"annotations": {"one": None, "three": None}}}))
    assert server.objects["Job", "run"]["metadata"]["annotations"] == {"two": "2"}


@pytest.mark.parametrize("write", [Delete, lambda ref: Patch(ref, {"spec": {"suspend": True}})])
def test_another_object_of_the_name(server: ApiServer, write: Any) -> None:
    mine = uid(server)
    with pytest.raises(Refused, match=f"Job run is {mine}, not other"):
        server.apply(write(Ref("batch/v1", "Job", "run", uid="other")))
    server.apply(write(Ref("batch/v1", "Job", "run", uid=mine)))


def test_what_is_gone_may_be_deleted_but_not_changed(server: ApiServer) -> None:
    server.apply(Delete(Ref("batch/v1", "Job", "run")))
    server.apply(Delete(Ref("batch/v1", "Job", "run")))
    with pytest.raises(Refused, match="there is no Job run"):
        server.apply(ApplyStatus({"kind": "Job", "metadata": {"name": "run"}, "status": {}}))


def test_an_owner_must_be_there(server: ApiServer) -> None:
    owner = {"kind": "BatchInference", "name": "churn", "uid": "uid-9"}
    owned = {**job(), "metadata": {"name": "second", "ownerReferences": [owner]}}
    with pytest.raises(Refused, match="there is no BatchInference churn"):
        server.apply(Apply(owned))


def test_a_status_is_written_apart(server: ApiServer) -> None:
    with pytest.raises(Refused, match="apart"):
        server.apply(Apply({**job(), "status": {"active": 1}}))
