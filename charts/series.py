"""Whose series alerts and boards ask for. Any pod that Prometheus scrapes may expose series of these names, so that each
selector names what only a scrape can say: the operator's own job and namespace, or the gateway's.

Files have the labels of an installation as the docs make it; the chart puts those of its release in their place
(`sluice.operatorSeries`, `sluice.gatewaySeries` in charts/sluice/templates/_helpers.tpl).
"""

from collections.abc import Mapping
from typing import Final

from sluice.shell.reporting import metrics

OPERATOR: Final = 'job="sluice",namespace="sluice-system"'
GATEWAY: Final = 'job=~".+"'
"""Anybody's, until the chart puts `config.gatewaySeries` in its place."""

NAME: Final = "[a-z0-9][a-z0-9-]*"
WORD: Final = "[A-Za-z]+"
FORMS: Final[Mapping[str, str]] = {
    **dict.fromkeys((*metrics.OF_MODEL, *metrics.OF_BATCH), NAME),
    **dict.fromkeys(("reason", "kind", "error"), WORD),
}
"""What the labels that an alert shows look like: a name goes into a command that people paste."""


def of_operator(name: str, matchers: str = "") -> str:
    """The selector of a metric, or of a part of a histogram, as the operator alone exposes it; name: "" if a matcher says
    it."""
    return f"{name}{{{','.join(part for part in (matchers, OPERATOR) if part)}}}"


def of_form(*labels: str) -> str:
    """Matchers of those labels that have a form."""
    return ",".join(f'{label}=~"{FORMS[label]}"' for label in labels if label in FORMS)
