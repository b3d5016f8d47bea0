"""The observer of requests, which detects drift on copies."""

from typing import Annotated

from pydantic import Field

from sluice_core.api.v1alpha1.common import LocalObjectRef
from sluice_judge.schema.model import ApiModel


class Observer(ApiModel):
    """An observer beside the model: it gets copies of a share of the requests, and counts their features by bins."""

    reference: LocalObjectRef
    """A ConfigMap with the bins, as `kubectl sluice reference` makes it."""
    percent: Annotated[int, Field(ge=1, le=100)] = 10
    """The share of the requests that is observed. If the gateway copies all or none, the observer samples them itself.
    """
    predictions: bool = False
    """Whether the stable version answers each copy once more, so that its answers are counted by bins, too. Not for
    models whose requests change something."""
