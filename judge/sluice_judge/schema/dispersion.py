"""Overdispersion of counts before it is measured."""

from typing import Annotated

from pydantic import Field

from sluice_judge.schema.model import ApiModel


class InitialDispersion(ApiModel):
    """Assumed overdispersion in percent of Poisson if the stable version has too little history to measure it."""

    failures: Annotated[int, Field(ge=100, le=10_000)] = 100
    """For failure ratios; 100 is pure Poisson."""
    latency: Annotated[int, Field(ge=100, le=10_000)] = 300
    """For latencies, which cluster more."""
