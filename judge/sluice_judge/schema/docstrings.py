"""Docstrings of a model's fields from its source, for the descriptions in the CRDs.

pydantic's `use_attribute_docstrings` reads the source of every model when it is imported, in every process.
"""

import ast
import functools
import inspect
import itertools
import textwrap
from typing import Any


def of_fields(model: type[Any]) -> dict[str, str]:
    """The docstrings of a model's fields by name, including inherited ones."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if hasattr(each, "__pydantic_fields__") and not each.__module__.startswith("pydantic"):
            found |= _own(each)
    return found


@functools.cache
def _own(model: type[Any]) -> dict[str, str]:
    """Its own alone; what parses the source takes most of the time that a CRD takes, and a kind asks many times."""
    try:
        source = inspect.getsource(model)
    except OSError:  # created by a call
        return {}
    (definition,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in itertools.pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                found[field.target.id] = inspect.cleandoc(text)
    return found
