"""Runs rules in the Common Expression Language, as far as ours use it: for manifests that no API server sees.

Only this much of the language is known: literals, lists, fields, indexes, `has`, the operators of `_PRECEDENCE`, `!`, `?:`
and the functions below. Whatever else stands in a rule is an `Unknown` when the rule is read, so that none is skipped.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

Scope: TypeAlias = Mapping[str, Any]
Expression: TypeAlias = Callable[[Scope], Any]

_TOKENS: Final = re.compile(
    r"""\s*(?: (?P<raw>r'[^']*') | (?P<text>'[^'\\]*'|"[^"\\]*") | (?P<number>\d+(?:\.\d+)?) | (?P<name>[A-Za-z_]\w*)
           | (?P<sign>&&|\|\||==|!=|<=|>=|[-+<>!?:()\[\].,]) )""",
    re.VERBOSE,
)
_PRECEDENCE: Final = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"))
"""Of the operators with two sides, from the loosest to the tightest."""
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Unknown(ValueError):
    """A rule has something that is not known here."""


class Failing(ValueError):
    """A rule has no value, as one that asks for a field that is not there: then it is not kept."""


def run(rule: str, value: Any) -> Any:
    """What a rule says of a value, its `self`. Raises `Unknown` and `Failing`."""
    return read(rule)({"self": value})


@functools.lru_cache(maxsize=512)
def read(rule: str) -> Expression:
    """The rule, to be run. Raises `Unknown`."""
    reader = _Reader(rule, _tokens(rule))
    found = reader.choice()
    if reader.next:
        raise Unknown(f"{reader.next!r} in {rule}")
    return found


def _tokens(rule: str) -> list[str]:
    found, place = [], 0
    while place < len(rule.rstrip()):
        token = _TOKENS.match(rule, place)
        if token is None:
            raise Unknown(f"{rule[place:]!r} in {rule}")
        found.append(token[0].strip())
        place = token.end()
    return found


@dataclass(slots=True)
class _Reader:
    """Reads a rule from left to right."""

    rule: str
    left: list[str]

    @property
    def next(self) -> str:
        return self.left[0] if self.left else ""

    def take(self, wanted: str = "") -> str:
        if not self.left or wanted not in ("", self.left[0]):
            raise Unknown(f"{self.next!r} where {wanted or 'more'!r} was expected in {self.rule}")
        return self.left.pop(0)

    def took(self, sign: str) -> bool:
        return self.next == sign and bool(self.take())

    def choice(self) -> Expression:
        asked = self.binary(0)
        if not self.took("?"):
            return asked
        yes = self.binary(0)
        self.take(":")
        no = self.choice()
        return lambda scope: yes(scope) if asked(scope) else no(scope)

    def binary(self, level: int) -> Expression:
        if level == len(_PRECEDENCE):
            return self.unary()
        found = self.binary(level + 1)
        while self.next in _PRECEDENCE[level]:
            found = _binary(self.take(), found, self.binary(level + 1))
        return found

    def unary(self) -> Expression:
        if self.took("!"):
            negated = self.unary()
            return lambda scope: not negated(scope)
        return self.members(self.primary())

    def primary(self) -> Expression:
        word = self.take()
        if word == "(":
            found = self.choice()
            self.take(")")
            return found
        if word == "[":
            items = self.arguments("]")
            return lambda scope: [item(scope) for item in items]
        if word[-1] in "'\"":
            text = word[2:-1] if word.startswith("r") else word[1:-1]
            return lambda _: text
        if word[0].isdigit():
            number = float(word) if "." in word else int(word)
            return lambda _: number
        if word in ("true", "false"):
            return lambda _: word == "true"
        return self.has() if word == "has" else self.named(word)

    def named(self, name: str) -> Expression:
        if not self.took("("):
            return lambda scope: _field(scope, name)
        return _call(self.function(name, _FUNCTIONS), self.arguments(")"))

    def has(self) -> Expression:
        self.take("(")
        owner = self.primary()
        self.take(".")
        name = self.take()
        while self.took("."):
            owner, name = _selected(owner, name), self.take()
        self.take(")")
        return lambda scope: name in owner(scope)

    def members(self, owner: Expression) -> Expression:
        while True:
            if self.took("["):
                owner = _call(_indexed, [owner, self.choice()])
                self.take("]")
            elif self.took("."):
                name = self.take()
                owner = self.method(owner, name) if self.took("(") else _selected(owner, name)
            else:
                return owner

    def method(self, owner: Expression, name: str) -> Expression:
        if name not in _MACROS:
            return _call(self.function(name, _METHODS), [owner, *self.arguments(")")])
        variable = self.take()
        self.take(",")
        each = self.choice()
        self.take(")")
        macro = _MACROS[name]
        return lambda scope: macro([each({**scope, variable: item}) for item in owner(scope)])

    def function(self, name: str, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
        if name not in known:
            raise Unknown(f"the function {name} in {self.rule}")
        return known[name]

    def arguments(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        while not self.took(end):
            if found:
                self.take(",")
            found.append(self.choice())
        return found


def _call(function: Callable[..., Any], arguments: list[Expression]) -> Expression:
    def called(scope: Scope) -> Any:
        given = [argument(scope) for argument in arguments]
        try:
            return function(*given)
        except Failing:
            raise
        except (ValueError, TypeError, LookupError, OSError) as error:
            raise Failing(str(error)) from error

    return called


def _binary(sign: str, left: Expression, right: Expression) -> Expression:
    if sign == "&&":
        return lambda scope: _decided(left, right, scope, by=False)
    if sign == "||":
        return lambda scope: _decided(left, right, scope, by=True)
    return _call(_OPERATORS[sign], [left, right])


def _decided(left: Expression, right: Expression, scope: Scope, *, by: bool) -> bool:
    """One side decides alone if it says `by`, even where the other has no value."""
    try:
        first = bool(left(scope))
    except Failing:
        if bool(right(scope)) is by:
            return by
        raise
    return first if first is by else bool(right(scope))


def _field(owner: Any, name: str) -> Any:
    if not isinstance(owner, Mapping) or name not in owner:
        raise Failing(f"no such field: {name}")
    return owner[name]


def _selected(owner: Expression, name: str) -> Expression:
    return lambda scope: _field(owner(scope), name)


def _indexed(owner: Any, index: Any) -> Any:
    if isinstance(index, int) and index < 0:
        raise Failing(f"no element {index}")
    return owner[index]


def matches(text: str, pattern: str) -> bool:
    """Whether a part of the text does. As RE2, whose `$` is the end of the text; Python's may stand before a last newline, too."""
    if pattern.endswith("$"):
        pattern = f"{pattern[:-1]}\\Z"
    return re.search(pattern, text, re.ASCII) is not None


def _duration(text: str) -> timedelta:
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", text)
    if "".join(number + unit for number, unit in parts) != text:
        raise Failing(f"no duration: {text}")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": lambda left, right: left in right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "double": float,
    "duration": _duration,
    "size": len,
    "timestamp": datetime.fromisoformat,
}
_METHODS: Final[Mapping[str, Callable[..., Any]]] = {
    "contains": lambda text, part: part in text,
    "getHours": lambda time, zone: time.astimezone(ZoneInfo(zone)).hour,
    "isSorted": lambda items: items == sorted(items),
    "matches": matches,
    "replace": lambda text, old, new: text.replace(old, new),
    "startsWith": lambda text, prefix: text.startswith(prefix),
    "sum": sum,
}
_MACROS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "all": all,
    "exists": any,
    "exists_one": lambda found: sum(map(bool, found)) == 1,
    "map": list,
}
