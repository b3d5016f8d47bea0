"""What a namespace's resolver says: a tenant's word."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.kernel import naming
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import OutcomeReport, Resolved, ResolverPod, Unresolved, VersionTags
from sluice_core.parsing import resolvers

CHAMPION, SEVENTH = "models:/digits@champion", "models:/digits/7"
DIGEST = f"sha256:{'a' * 64}"
ENTRY = {"uri": CHAMPION, "version": "7", "source": "s3://mlflow/1/abc/artifacts/model", "digest": DIGEST}


def said(**changes: Any) -> str:
    return json.dumps({"resolved": [ENTRY | changes]})


def test_a_version_is_pinned_by_its_number() -> None:
    [found] = resolvers.read(said(), [CHAMPION])
    assert found == Resolved(CHAMPION, SEVENTH, "7", ENTRY["source"], DIGEST)
    [found] = resolvers.read(said(uri=SEVENTH, version=7), [SEVENTH])
    assert isinstance(found, Resolved)
    assert found.pinned == SEVENTH


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("uri", "version", "pinned"),
    [
        ("hf://owner/name@main", COMMIT, f"hf://owner/name@{COMMIT}"),
        ("hf://owner/name/onnx", COMMIT, f"hf://owner/name/onnx@{COMMIT}"),
        ("oci://registry.example/digits:1", DIGEST, f"oci://registry.example/digits:1@{DIGEST}"),
    ],
)
def test_a_branch_is_pinned_by_its_commit_and_a_tag_by_its_digest(uri: str, version: str, pinned: str) -> None:
    """Wherever the answer says that the files are."""
    [found] = resolvers.read(said(uri=uri, version=version, source="s3://of/others"), [uri])
    assert isinstance(found, Resolved)
    assert (found.pinned, found.source) == (pinned, pinned)


@pytest.mark.parametrize("uri", ["hf://owner/name@main", "oci://registry.example/digits:1", "s3://bucket/path"])
def test_a_branch_or_a_tag_that_is_nothing_of_the_kind(uri: str) -> None:
    for version in ("7", "main", "", COMMIT[:7], f"{COMMIT}/x"):
        with pytest.raises(ValueError, match="version"):
            resolvers.read(said(uri=uri, version=version), [uri])


def test_what_was_not_asked_for_is_not_read() -> None:
    text = json.dumps({"resolved": [{"uri": "models:/other@x", "problem": "NotFound"}, ENTRY]})
    assert len(resolvers.read(text, [CHAMPION])) == 1


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("NotFound", Reason.NOT_IN_REGISTRY),
        ("NotReady", Reason.NOT_IN_REGISTRY),
        ("NotNamed", Reason.REGISTRY_NOT_NAMED),
        ("NotAllowed", Reason.REGISTRY_REFUSES),
        ("OtherHost", Reason.REGISTRY_REFUSES),
        ("Unreachable", Reason.REGISTRY_UNREACHABLE),
    ],
)
def test_a_problem_is_said_in_our_words(word: str, reason: Reason) -> None:
    text = json.dumps({"resolved": [{"uri": CHAMPION, "problem": word, "message": "<script>"}]})
    [found] = resolvers.read(text, [CHAMPION])
    assert isinstance(found, Unresolved)
    assert found.reason is reason
    assert found.message.startswith(f"{CHAMPION}: ")
    assert "script" not in found.message


@pytest.mark.parametrize(
    "source",
    [
        "pvc://secrets/of-others",
        "mlflow-artifacts:/1/abc/artifacts/model",
        "file:///etc",
        "http://169.254.169.254/latest/meta-data",
        "https://user:password@host/model",
        "s3://bucket/" + "a" * 2000,
        "s3://bucket/a\n--uri",
    ],
)
def test_files_that_no_spec_may_name_are_not_fetched(source: str) -> None:
    [found] = resolvers.read(said(source=source), [CHAMPION])
    assert isinstance(found, Unresolved)
    assert found.reason is Reason.ARTIFACT_NOT_SUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[" * 60_000,
        "[]",
        "null",
        json.dumps({"resolved": 1}),
        json.dumps({"resolved": []}),
        json.dumps({"resolved": [1]}),
        json.dumps({"resolved": [{"uri": CHAMPION}]}),
        json.dumps({"resolved": [{"uri": CHAMPION, "problem": "Else"}]}),
        json.dumps({"resolved": [{"uri": CHAMPION, "problem": {}}]}),
        said(version="7/../8"),
        said(version="0"),
        said(version=""),
        said(version="1" * 11),
        said(version=True),
        said(digest="sha256:short"),
        said(digest=None),
    ],
)
def test_what_has_no_meaning_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        resolvers.read(text, [CHAMPION])


def test_a_version_is_not_another_one() -> None:
    with pytest.raises(ValueError, match="models:/digits/8 for models:/digits/7"):
        resolvers.read(said(uri=SEVENTH, version="8"), [SEVENTH])


TAGS = (("sluice.release", "shop/digits-abc-1"), ("sluice.outcome", "Promoted"))
REPORT = OutcomeReport("digits-abc-1", (VersionTags("digits", "7", TAGS), VersionTags("digits", "6", TAGS)))


def test_a_report_is_told_in_the_order_of_its_tags() -> None:
    told = [json.loads(each) for each in resolvers.messages(REPORT)]
    assert told == [{"name": "digits", "version": version, "tags": dict(TAGS)} for version in ("7", "6")]
    assert list(told[0]["tags"])[-1] == "sluice.outcome"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({}, ""),
        ({"problem": None}, ""),
        ({"problem": "NotFound"}, ""),
        ({"problem": "NotAllowed"}, "grant EDIT"),
        ({"problem": "OtherHost"}, "--allowed-hosts"),
        ({"problem": "Unreachable"}, "does not answer"),
    ],
)
def test_what_came_of_a_report_is_said_in_our_words(answer: dict[str, Any], problem: str) -> None:
    found = resolvers.read_reported(json.dumps(answer), REPORT)
    assert found.release == REPORT.release
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)


@pytest.mark.parametrize("text", ["", "[]", "1", "null", '{"problem": "Else"}', "[" * 60_000])
def test_an_answer_to_a_report_without_a_meaning_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        resolvers.read_reported(text, REPORT)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ENTRY, "resolved", "problem", "x"]), inner)))  # fmt: skip
def test_whatever_is_said_is_read_or_refused(value: Any) -> None:
    try:
        found = resolvers.read(json.dumps(value), [CHAMPION])
    except ValueError:
        return
    assert len(found) == 1


def pod(owner: str, *, ready: bool = True, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "kind": "Pod",
        "metadata": {"name": "x", "uid": "uid-x", "labels": {naming.LABEL_OWNER: owner}},
        "status": {"podIP": "10.0.0.7", "conditions": conditions, **status},
    }


def test_the_resolver_that_is_ready_is_asked_at_its_address_with_its_uid() -> None:
    ours = pod("digits.resolver")
    assert resolvers.pod([pod("digits"), pod("digits.observer"), ours]) == ResolverPod("http://10.0.0.7:8080", "uid-x")
    assert resolvers.pod([pod("digits.resolver", podIP="fd00::7")]) == ResolverPod("http://[fd00::7]:8080", "uid-x")


def test_nobody_is_asked_who_does_not_answer_yet() -> None:
    going = pod("digits.resolver")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for each in (pod("digits.resolver", ready=False), pod("digits.resolver", podIP=None), going, pod("digits")):
        assert resolvers.pod([each]) is None


def test_one_question_asks_for_all() -> None:
    url = urlsplit(resolvers.question(ResolverPod("http://10.0.0.7:8080", "t"), [CHAMPION, SEVENTH]))
    assert (url.path, parse_qs(url.query)) == ("/resolved", {"uri": [CHAMPION, SEVENTH]})
