"""One version, as each of its places writes it."""

import pytest
from packaging.version import Version as WheelVersion

from lab.processes import LabError
from release import version


@pytest.mark.parametrize(
    ("text", "wheel", "is_final"),
    [
        ("1.2.3", "1.2.3", True),
        ("0.10.0", "0.10.0", True),
        ("1.2.3-rc.1", "1.2.3rc1", False),
        ("1.2.3-beta.12", "1.2.3b12", False),
        ("1.2.3-alpha.0", "1.2.3a0", False),
    ],
)
def test_a_version_has_a_form_for_charts_and_one_for_wheels(text: str, wheel: str, is_final: bool) -> None:
    found = version.parsed(text)
    assert (found.text, found.wheel, found.is_final) == (text, wheel, is_final)
    assert str(WheelVersion(found.wheel)) == wheel


@pytest.mark.parametrize("text", ["", "1.2", "v1.2.3", "01.2.3", "1.2.3-rc1", "1.2.3+build", "1.2.3-rc.1 ", "latest"])
def test_what_is_no_version_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(LabError, match=r'VERSION: ".*" is not a version; use 1\.2\.3'):
        version.parsed(text)
