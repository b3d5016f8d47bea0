"""What the plugin refuses of a manifest: the same as a real API server, which `tests/integration/api` asks the same table."""

from typing import Any

import pytest

from kubectl_sluice.manifests import admission, celrun
from kubectl_sluice.manifests.admission import Violation
from sluice_core.api import crd
from sluice_core.api.v1alpha1 import modeldeployment
from tests.support.cases.admission import ACCEPTED, REFUSED, Object, objective
from tests.support.cases.objects import policy

MODELS = {model.kind: model.model_fields["spec"].annotation for model in crd.KINDS}
OF_A_SPEC = [case for case in REFUSED if case[2]]
"""Names of objects are the API server's alone."""


def violations(given: Object) -> list[Violation]:
    return list(admission.violations(MODELS[given["kind"]], given["spec"], path="spec"))


@pytest.mark.parametrize(("given", "field"), [case[1:3] for case in OF_A_SPEC], ids=[case[0] for case in OF_A_SPEC])
def test_refused_with_the_field(given: Object, field: str) -> None:
    assert field in [violation.path for violation in violations(given)]


@pytest.mark.parametrize("given", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_accepted(given: Object) -> None:
    assert violations(given) == []


def test_rules_speak_for_themselves() -> None:
    """The message is that of the rule, not one of our own."""
    given = objective(failureRatio={"events": "ServerErrors", "maximum": "1%", "ignoreBelow": "2%"})
    [found] = violations(given)
    assert found == Violation("spec.objectives[0].failureRatio", "ignoreBelow must not be above maximum")


def rules(node: Any) -> list[str]:
    """Every rule of a schema."""
    if isinstance(node, list):
        return [rule for each in node for rule in rules(each)]
    if not isinstance(node, dict):
        return []
    own = [entry["rule"] for entry in node.get("x-kubernetes-validations", [])]
    return own + [rule for key, each in node.items() if key != "x-kubernetes-validations" for rule in rules(each)]


@pytest.mark.parametrize("model", crd.KINDS, ids=lambda model: model.kind)
def test_every_rule_can_be_run(model: Any) -> None:
    """A rule in words that are not known yet would otherwise be noticed by whoever has a manifest in a file."""
    found = rules(crd.crd(model))
    assert found
    for rule in found:
        celrun.read(rule)


@pytest.mark.parametrize(
    ("rule", "value", "want"),
    [
        ("self.a == 1 ? self.b : self.c == 2", {"a": 0, "c": 2}, True),
        ("self.a < 2 && !(self.a == 1) || self.b", {"a": 1, "b": True}, True),
        ("has(self.a.b) || self.c > 1", {"c": 2}, True),
        ("self.a[size(self.a) - 1] == 3 && 2 in self.a", {"a": [1, 2, 3]}, True),
        ("self.a.exists_one(x, x == 1)", {"a": [1, 1]}, False),
        ("self.a.all(x, x.b in ['c', \"d\"])", {"a": [{"b": "d"}]}, True),
        ("self.a.map(x, x.w).sum() < 100", {"a": [{"w": 60}, {"w": 40}]}, False),
        ("self.matches('^a$')", "a\n", False),
        ("self.matches(r'^a|b')", "cb", True),
        ("duration(self) <= duration('1m')", "1m0s500ms", False),
        ("timestamp(self) < timestamp('2026-03-01T12:00:00Z')", "2026-03-01T12:30:00+01:00", True),
        ("true && self.b + 1 == 3", {"b": 2}, True),
    ],
)
def test_rules_are_run(rule: str, value: Any, *, want: bool) -> None:
    assert celrun.run(rule, value) is want


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("self.a == 1", {}),
        ("self.a == 1 && self.b", {"b": True}),
        ("has(self.a.b)", {}),
        ("self[size(self) - 2] == 1", [1]),
        ("duration(self) > duration('1s')", "soon"),
        ("timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0", "Europe/Berln"),
    ],
)
def test_a_rule_without_a_value_is_not_kept(rule: str, value: Any) -> None:
    with pytest.raises(celrun.Failing):
        celrun.run(rule, value)


@pytest.mark.parametrize("rule", ["self.lowerAscii() == 'a'", "isIP(self)", "self == 'a' b", "has(self.a"])
def test_words_that_are_not_known_are_named(rule: str) -> None:
    with pytest.raises(celrun.Unknown, match="in "):
        celrun.read(rule)


def test_null_is_as_good_as_absent_and_repeated_names_are_found() -> None:
    window = {"name": "w", "startTime": "08:00", "durationMinutes": 5, "from": None}
    assert violations(policy({"freezeWindows": [window]})) == []
    [found] = violations(policy({"freezeWindows": [window, window]}))
    assert found == Violation("spec.freezeWindows[1]", "duplicate value: name 'w'")


@pytest.mark.parametrize(
    ("name", "model", "want"),
    [
        ("no adapters", {}, True),
        ("another name", {"adapters": [{"name": "sql"}]}, True),
        ("the model's", {"adapters": [{"name": "sql"}, {"name": "digits"}]}, False),
        ("the model has one of its own", {"name": "m", "adapters": [{"name": "digits"}]}, True),
    ],
)
def test_an_adapter_has_another_name_than_a_model_that_is_called_as_its_object(
    name: str, model: Object, want: bool
) -> None:
    given = {"metadata": {"name": "digits"}, "spec": {"model": model}}
    assert celrun.run(modeldeployment.ADAPTERS_HAVE_OTHER_NAMES.rule, given) is want, name
