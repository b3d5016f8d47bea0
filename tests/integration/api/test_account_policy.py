"""What the operator's own ServiceAccount may write, whoever has its token: all that Sluice makes, and little else."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from tests.integration.api.accountcases import (
    DEPLOYMENT,
    FORGED,
    KEDA_KIND,
    OPERATOR,
    OURS,
    PINNED,
    REACH,
    ROLLOUT,
    SPACE,
    SPARK_KIND,
    UNCONFINED,
    Object,
    with_pod,
    with_security,
    with_volume,
    without_owner,
)
from tests.integration.conftest import rendered
from tests.support.cases.objects import merged
from tests.support.live.kube import MERGE, Kube, wait_until


@pytest.fixture(scope="module")
def guarded(installed: Kube) -> Kube:
    """The client, once the policy is enforced."""
    installed.install_crds([SPARK_KIND, KEDA_KIND])
    installed.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}, manager="tests"
    ).raise_for_status()
    wait_until(lambda: created(installed, without_owner(DEPLOYMENT)).status_code == 403)
    return installed


def created(kube: Kube, target: Object, user: str = OPERATOR) -> httpx.Response:
    return kube.create(target, dry_run=True, user=user)


def changed(kube: Kube, target: Object, change: Object | None) -> httpx.Response:
    """What the operator is told to a patch, or to a deletion, without anything being done."""
    who = {"Impersonate-User": OPERATOR, "Impersonate-Group": "system:masters"}
    path, query = f"{kube.path(target)}/{target['metadata']['name']}", {"dryRun": "All"}
    if change is None:
        return kube.http.delete(path, params=query, headers=who)
    return kube.http.patch(path, params=query, json=change, headers={**who, "Content-Type": MERGE})


@pytest.mark.parametrize("name", OURS)
def test_what_sluice_makes_is_let_through(guarded: Kube, name: str) -> None:
    answer = created(guarded, OURS[name])
    assert answer.is_success, answer.text


@pytest.mark.parametrize("name", [*FORGED, *REACH])
def test_what_it_never_makes_is_refused(guarded: Kube, name: str) -> None:
    target, words = {**FORGED, **REACH}[name]
    answer = created(guarded, target)
    assert answer.status_code == 403, answer.text
    assert words in answer.json()["message"]
    assert "denied request" in answer.json()["message"]


def test_only_the_operators_account_is_limited(guarded: Kube) -> None:
    for target, _ in FORGED.values():
        answer = created(guarded, target, user="somebody")
        assert "denied request" not in answer.text


@pytest.fixture
def there(guarded: Kube) -> Iterator[Callable[[Object], Object]]:
    """Makes an object as an administrator; it is deleted afterwards."""
    made: list[Object] = []

    def make(target: Object) -> Object:
        guarded.create(target).raise_for_status()
        made.append(target)
        return target

    yield make
    for target in made:
        guarded.http.delete(f"{guarded.path(target)}/{target['metadata']['name']}")


@pytest.mark.parametrize("target", [PINNED, ROLLOUT], ids=["revision", "release"])
def test_what_is_remembered_of_a_model_needs_no_owner(
    guarded: Kube, there: Callable[[Object], Object], target: Object
) -> None:
    unlabelled = merged(without_owner(target), {"metadata": {"labels": None}})
    assert created(guarded, unlabelled).status_code == 403
    there(without_owner(target))
    answer = changed(guarded, target, {"metadata": {"annotations": {"remembered": "for a day"}}})
    assert answer.is_success, answer.text


@pytest.mark.parametrize(
    ("mark", "status"),
    [("sluice.dev/stable-since", 200), ("theirs", 403)],
)
def test_a_remembered_version_gets_its_labels_back(
    guarded: Kube, there: Callable[[Object], Object], mark: str, status: int
) -> None:
    """It has no owner, so that without labels only its mark says whose it is."""
    there(merged(without_owner(PINNED), {"metadata": {"labels": None, "annotations": {mark: "1"}}}))
    answer = changed(guarded, PINNED, {"metadata": {"labels": PINNED["metadata"]["labels"]}})
    assert answer.status_code == status, answer.text


SCALE: Final = {"spec": {"replicas": 3}}
OWNED: Final = {"metadata": {"ownerReferences": DEPLOYMENT["metadata"]["ownerReferences"]}}


@pytest.mark.parametrize(
    ("labels", "status"),
    [
        pytest.param(DEPLOYMENT["metadata"]["labels"], 200, id="of a model that was deleted without it"),
        pytest.param({"app": "shop"}, 403, id="somebody's"),
    ],
)
def test_an_object_must_have_been_ours(
    guarded: Kube, there: Callable[[Object], Object], labels: Object, status: int
) -> None:
    """Applying is how an object that lost its owner is taken back, and how somebody else's would be taken away."""
    target = there(merged(without_owner(DEPLOYMENT), {"metadata": {"labels": None}}))
    change = {"metadata": {"labels": labels}}
    guarded.patch(target, change).raise_for_status()
    for answer in (changed(guarded, target, {**SCALE, **OWNED}), changed(guarded, target, None)):
        assert answer.status_code == status, answer.text


def test_a_folder_that_was_mounted_before_does_not_stop_what_runs(
    guarded: Kube, there: Callable[[Object], Object]
) -> None:
    """The cache of the configuration has moved, and a pinned template has it where it was."""
    target = there(without_owner(with_volume({"hostPath": {"path": "/var/cache/old"}})))
    assert changed(guarded, target, {**SCALE, **OWNED}).status_code == 200
    elsewhere = with_volume({"hostPath": {"path": "/etc"}})["spec"]["template"]["spec"]["volumes"]
    answer = changed(guarded, target, {"spec": {"template": {"spec": {"volumes": elsewhere}}}, **OWNED})
    assert answer.status_code == 403, answer.text


def test_what_a_pinned_template_has_goes_on(guarded: Kube, there: Callable[[Object], Object]) -> None:
    """A ServingRuntime of before this was refused."""
    target = there(without_owner(with_security(seccompProfile=UNCONFINED)))
    assert changed(guarded, target, {**SCALE, **OWNED}).status_code == 200
    more = {"spec": {"template": {"spec": {"nodeName": "control-plane"}}}}
    assert changed(guarded, target, {**more, **OWNED}).status_code == 403


def test_what_was_allowed_before_does_not_stop_what_runs(guarded: Kube, there: Callable[[Object], Object]) -> None:
    driver = with_volume({"csi": {"driver": "old.csi.example"}})
    driver["spec"]["template"]["spec"]["priorityClassName"] = "old"
    target = there(without_owner(driver))
    assert changed(guarded, target, {**SCALE, **OWNED}).status_code == 200
    higher = {"spec": {"template": {"spec": {"priorityClassName": "system-node-critical"}}}}
    answer = changed(guarded, target, {**higher, **OWNED})
    assert answer.status_code == 403, answer.text


GRANTS: Final = (
    *("--set-json", f'config.allowedPriorityClasses=[{{"namespaces":["{SPACE}"],"classes":["models"]}}]'),
    *("--set-json", 'config.allowedVolumes=[{"namespaces":["other"],"hostPaths":["/mnt/other"]},'
      f'{{"namespaces":["*"],"hostPaths":["/mnt/models"]}},{{"namespaces":["{SPACE}"],"csiDrivers":["keys.csi.example"]}}]'),
)  # fmt: skip


@pytest.fixture
def granting(guarded: Kube) -> Iterator[Kube]:
    """The client, once the policy has the grants of a platform; they are gone afterwards."""
    prioritized = with_pod(DEPLOYMENT, priorityClassName="models")
    guarded.apply(document(*GRANTS), manager="helm").raise_for_status()
    wait_until(lambda: created(guarded, prioritized).is_success)
    yield guarded
    guarded.apply(document(), manager="helm").raise_for_status()
    wait_until(lambda: created(guarded, prioritized).status_code == 403)


def test_what_the_platform_grants_a_namespace_is_let_through(granting: Kube) -> None:
    def status(**source: Any) -> int:
        return created(granting, with_volume(source)).status_code

    assert status(hostPath={"path": "/mnt/models"}) == 201
    assert status(csi={"driver": "keys.csi.example"}) == 201
    assert status(hostPath={"path": "/mnt/other"}) == 403, "another namespace's"
    assert status(hostPath={"path": "/mnt/models/x"}) == 403
    assert status(csi={"driver": "other.csi.example"}) == 403
    assert created(granting, with_pod(DEPLOYMENT, priorityClassName="system-node-critical")).status_code == 403


def document(*options: str) -> Object:
    """The policy, rendered."""
    [found] = [
        each
        for each in rendered(*options)
        if each["kind"] == "ValidatingAdmissionPolicy" and each["metadata"]["name"] == "sluice-account"
    ]
    return found


def policy(*options: str) -> str:
    """Its expressions, and its messages."""
    found = document(*options)
    parts = [each for part in ("variables", "validations") for each in found["spec"][part]]
    return "\n".join(f"{each['expression']} {each.get('message', '')}" for each in parts)


def test_values_open_it() -> None:
    assert '["/cache","/more"]' in policy(
        "--set", "accountPolicy.hostPaths={/cache}", "--set", "config.storageInitializer.cache.hostPath=/more"
    )
    assert '["","default","models","spark"]' in policy("--set", "accountPolicy.serviceAccounts={models}")
    assert 'a in ["spark","etl"]' in policy("--set", "config.spark.serviceAccountNames={spark,etl}")
    assert "a in []" in policy("--set-json", "config.spark.serviceAccountNames=[]")
    assert "accounts.all" not in policy("--set", "config.spark.serviceAccountNames={*}")
    assert '"default"' not in policy()


def test_a_certificate_of_a_pod_is_a_token() -> None:
    """Servers that cannot make one drop the field."""
    assert "has(s.serviceAccountToken) || has(s.podCertificate)" in policy()


def test_it_is_left_out_where_there_are_no_policies() -> None:
    for option in ("admissionPolicy.create=false", "accountPolicy.create=false"):
        assert "sluice-account" not in {each["metadata"]["name"] for each in rendered("--set", option)}
