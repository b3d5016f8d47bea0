"""Two operators in one cluster, each with namespaces of its own: no object of one is an object of the other."""

import functools
from typing import Any, Final

import pytest
import yaml

from charts import render

Identity = tuple[str, str, str]

SECOND: Final = ("--set", "fullnameOverride=sluice-b", "--set", "sharedObjects=false")
WATCHED: Final = ("--set", "dashboard.enabled=true", "--set", "networkPolicy.enabled=true")


@functools.cache
def objects(namespace: str, *options: str) -> list[dict[str, Any]]:
    where = ("--namespace", namespace, "--set-json", f'config.watchNamespaces=["models-of-{namespace}"]')
    return [each for each in yaml.safe_load_all(render.template(*where, *WATCHED, *options)) if each]


def identities(found: list[dict[str, Any]]) -> set[Identity]:
    return {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in found}


def test_a_second_install_has_nothing_of_the_first() -> None:
    first, second = objects("a"), objects("b", *SECOND)
    assert identities(first) & identities(second) == set()
    assert {"Deployment", "ClusterRole", "ValidatingAdmissionPolicy", "Role"} <= {
        kind for kind, _, _ in identities(second)
    }


@pytest.mark.parametrize("alone", ["fullnameOverride=sluice-b", "sharedObjects=false"])
def test_a_second_install_needs_both(alone: str) -> None:
    assert identities(objects("a")) & identities(objects("b", "--set", alone))


def test_everything_of_the_operator_has_the_name_that_is_given() -> None:
    assert {name for _, _, name in identities(objects("b", *SECOND)) if not name.startswith("sluice-b")} == set()


def test_what_names_the_operator_follows_its_name() -> None:
    """The Lease, the account of its admission policies and bindings, and the volumes of its pods."""
    text = yaml.safe_dump_all(objects("b", *SECOND))
    assert "system:serviceaccount:b:sluice-b'" in text
    [deployment] = [
        each
        for each in objects("b", *SECOND)
        if each["kind"] == "Deployment" and "dashboard" not in each["metadata"]["name"]
    ]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "sluice-b"
    assert pod["containers"][0]["args"] == ["--lease-name=sluice-b-operator"]
    leases = [
        rule
        for each in objects("b", *SECOND)
        if each["kind"] == "Role"
        for rule in each["rules"]
        if rule.get("resourceNames")
    ]
    assert ["sluice-b-operator"] in [rule["resourceNames"] for rule in leases]


def test_an_older_releases_values_make_what_is_shared() -> None:
    """`helm upgrade --reuse-values` gives the values of before, without the new one."""
    kinds = [each["kind"] for each in objects("a", "--set", "sharedObjects=null", "--set", "fullnameOverride=null")]
    assert "ServingRuntime" in kinds
    assert "RolloutPolicy" in kinds
