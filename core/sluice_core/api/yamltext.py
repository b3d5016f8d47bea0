"""YAML that all readers parse alike.

Kubernetes' own tools read more strings as numbers than PyYAML does: a hash of ten digits after a 0, or with one e among
them. Such strings are written in quotes.
"""

import re
from typing import Any, Final

import yaml

WIDTH: Final = 100
NUMBER: Final = re.compile(
    r"(?:[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?0[box][0-9a-fA-F_]+)$", re.ASCII
)
"""What go-yaml reads as a number (`resolve` in gopkg.in/yaml.v2), and a little more."""


class _Dumper(yaml.SafeDumper):
    """Writes what `NUMBER` matches in quotes, if it is a string."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def dumped(value: Any, width: int = WIDTH) -> str:
    """One document with its fields in their order. width: columns after which lines are folded."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width))
