"""The selector of a raw counter, parsed and rebuilt: a tenant's text is never passed on as such.

    users_total{revision="{{revision}}",shop="a"} ──parsed──> name, matchers ──written──> the same and our own matcher

The grammar is a part of PromQL's: one name, or a pattern of names, and matchers that must all hold. Nothing else of
PromQL or its relatives (functions, `or`, offsets, comments) is accepted. The API server checks it by the same regular
expressions.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

# \x22 is a double quote, so that none ends a string that contains these.
_SPACE: Final = r"\s*"
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_NAMES: Final = r"[a-zA-Z0-9_:|()]+"
_LABEL: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_FILLED: Final = r"[{][{](?:revision|namespace|name)[}][}]"
_TEXT: Final = rf"\x22(?:[^\x22\\{{}}\n]|\\[^{{}}\n]|{_FILLED})*\x22"
_MATCHER: Final = rf"{_SPACE}{_LABEL}{_SPACE}(?:=~|!~|!=|=){_SPACE}{_TEXT}{_SPACE}"
_HEAD: Final = rf"(?:{_NAME}{_SPACE}[{{]|[{{]{_SPACE}__name__{_SPACE}=~{_SPACE}\x22{_NAMES}\x22{_SPACE},)"

_THIS: Final = r"[{][{]revision[}][}]"
_PART: Final = rf"(?:[a-zA-Z0-9_.:/-]|{_FILLED})*"
_EXACTLY: Final = rf"={_SPACE}\x22{_PART}{_THIS}{_PART}\x22"
# No `|` anywhere, nothing that could make the revision optional: it is outside of groups, and no quantifier follows.
_AS_PATTERN: Final = rf"=~{_SPACE}\x22{_PART}{_THIS}(?:[-_.:/](?:[^\x22|\\{{}}\n]|{_FILLED})*)?\x22"
_OF_REVISION: Final = rf"{_SPACE}{_LABEL}{_SPACE}(?:{_EXACTLY}|{_AS_PATTERN}){_SPACE}"

SELECTOR: Final = rf"^{_HEAD}{_MATCHER}(?:,{_MATCHER})*,?{_SPACE}[}}]$"
OF_ONE_REVISION: Final = rf"^{_HEAD}(?:{_MATCHER},)*{_OF_REVISION}(?:,{_MATCHER})*,?{_SPACE}[}}]$"

_TOKENS: Final = re.compile(rf"({_LABEL}){_SPACE}(=~|!~|!=|=){_SPACE}({_TEXT})", re.ASCII)

NO_SELECTOR: Final = (
    'must be the selector of a raw counter, such as feedback_total{revision="{{revision}}"}, or of several, which begins '
    'with {__name__=~"a|b",: functions are refused because evidence needs each series\' own resets; values stand in '
    "double quotes, and the placeholders are revision, namespace and name"
)
NO_REVISION: Final = (
    'must select one version, by a matcher such as revision="{{revision}}" or pod=~"{{revision}}-.*": without it, or with '
    "an alternative to it, the versions cannot be told apart, and others' counters would count"
)


class InvalidSelector(ValueError):
    """The text is not an acceptable selector; the message says what it must be."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label."""

    label: str
    operator: str
    """`=`, `!=`, `=~` or `!~`."""
    text: str
    """The value, with its quotes."""

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.text}"


@dataclass(frozen=True, slots=True)
class CounterSelector:
    """One counter, or several whose names a pattern matches."""

    name: str
    """Empty if the first matcher is for the name."""
    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        return f"{self.name}{{{','.join(map(str, self.matchers))}}}"

    def filled(self, values: Mapping[str, str]) -> "CounterSelector":
        """The selector with placeholders replaced by values, which must be names of Kubernetes objects."""
        return replace(self, matchers=tuple(replace(each, text=_filled(each.text, values)) for each in self.matchers))

    def narrowed(self, label: str, value: str) -> "CounterSelector":
        """The selector restricted to series with this label. value: the name of a Kubernetes object."""
        return replace(self, matchers=(*self.matchers, Matcher(label, "=", f'"{value}"')))


@functools.lru_cache(maxsize=512)
def parsed(text: str) -> CounterSelector:
    """The parsed text of a user. Raises `InvalidSelector` if it is anything but the selector of one version."""
    if not re.fullmatch(SELECTOR, text, re.ASCII):
        raise InvalidSelector(NO_SELECTOR)
    if not re.fullmatch(OF_ONE_REVISION, text, re.ASCII):
        raise InvalidSelector(NO_REVISION)
    name, _, body = text.partition("{")
    return CounterSelector(name.strip(), tuple(Matcher(*found) for found in _TOKENS.findall(body)))


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text
