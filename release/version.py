"""The one version of a release, as a chart, an image's tag and a wheel write it."""

import re
from dataclasses import dataclass
from typing import Final

from lab.processes import LabError

FORM: Final = re.compile(
    r"(?P<base>(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*))(-(?P<stage>alpha|beta|rc)\.(?P<number>\d+))?"
)
OF_WHEELS: Final = {"alpha": "a", "beta": "b", "rc": "rc"}


@dataclass(frozen=True, slots=True)
class Version:
    """text: as Semantic Versioning has it. wheel: the same by Python's rules."""

    text: str
    wheel: str
    is_final: bool


def parsed(text: str) -> Version:
    found = FORM.fullmatch(text)
    if found is None:
        raise LabError(f'VERSION: "{text}" is not a version; use 1.2.3, or 1.2.3-rc.1 (alpha, beta or rc)')
    if found["stage"] is None:
        return Version(text, text, is_final=True)
    return Version(text, f"{found['base']}{OF_WHEELS[found['stage']]}{int(found['number'])}", is_final=False)
