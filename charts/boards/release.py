"""One model's release: what it does, its evidence, and what the gateway counts. A board for each gateway preset.

What a gateway counts is asked by the preset's own selectors, of the gateway's own series (charts/series.py).
"""

import re
from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from charts import series
from charts.boards import panels
from charts.boards.panels import Panel
from sluice.shell.reporting import metrics
from sluice.shell.reporting.metrics import Metric
from sluice_core.kernel import naming
from sluice_judge.gateways import PRESETS
from sluice_judge.gateways.none import NONE
from sluice_judge.presets import GatewayPreset

STATUS: Final = metrics.RELEASE_STATUS.name
IN_NAMESPACE: Final = 'model_namespace="$namespace"'
OF_MODEL: Final = f'{IN_NAMESPACE},model="$model"'
FILLED: Final = {
    "namespace": "${namespace}",
    # The hash of a revision, and of a Service of its own for copies or previews the suffix.
    "service": "${model}-[0-9a-f]+(-[a-z]+)?",
    "port": f"({naming.SERVICE_PORT}|{naming.GRPC_SERVICE_PORT})",
    "route": "${model}",
    "rule": "[0-9]+",
    "backend": "[0-9]+",
}
"""The placeholders of a preset's selectors, for every version of the model."""
BACKEND: Final = re.compile(r'(\w+)=~"[^"]*\{(?:service|backend)\}[^"]*"')
MILLIS, SECONDS = 1.0, 1000.0
UNITS: Final = {MILLIS: "ms", SECONDS: "s"}
"""Grafana's, by the milliseconds in a unit of `le`."""


def boards() -> dict[str, Dashboard]:
    """By the name of their files: one for each preset, and one for where no gateway counts."""
    return {f"release-{preset.name}": _board(preset) for preset in (*PRESETS.values(), NONE)}


def backend_label(preset: GatewayPreset) -> str:
    """The label that names a version's backend."""
    return BACKEND.findall(preset.requests)[0]


def _board(preset: GatewayPreset) -> Dashboard:
    counted = [f"What the gateway counts ({preset.name})", *_gateway(preset)] if preset.requests else []
    return panels.board(
        "sluice-release",
        "Sluice: release",
        "One model's release: what it does and why, how strong the evidence is, and what its requests get.",
        [
            panels.choice(
                "namespace",
                f"label_values({series.of_operator(STATUS)}, model_namespace)",
                label="Namespace",
            ),
            panels.choice(
                "model",
                f"label_values({series.of_operator(STATUS, IN_NAMESPACE)}, model)",
                label="Model",
            ),
        ],
        [*_figures(), "How it goes", *_progress(), *counted],
    )


def _of(metric: Metric, *labels: str, matchers: str = "") -> str:
    by = f"max by ({', '.join(labels)}) " if labels else "max"
    return f"{by}({series.of_operator(metric.name, f'{OF_MODEL},{matchers}' if matchers else OF_MODEL)})"


def _figures() -> list[Panel]:
    return [
        panels.figure(
            "What it does",
            _of(metrics.RELEASE_STATUS, "verdict", "reason"),
            legend="{{verdict}}: {{reason}}",
            about="The reasons are in docs/runbooks.",
        ),
        panels.figure("Step", _of(metrics.RELEASE_STEP)),
        panels.figure("Wanted share of the candidate", _of(metrics.RELEASE_WEIGHT), unit="percentunit"),
        panels.figure("Requests judged, candidate", _of(metrics.RELEASE_REQUESTS, matchers='arm="candidate"')),
        panels.figure("Age", f"time() - {_of(metrics.RELEASE_START)}", unit="s"),
        panels.figure(
            "Until its deadline",
            f"{_of(metrics.RELEASE_DEADLINE)} - time()",
            unit="s",
            about="Then onDeadline applies.",
        ),
    ]


def _progress() -> list[Panel]:
    def evidence(direction: str) -> dict[str, str]:
        return {"{{objective}}": _of(metrics.RELEASE_EVIDENCE, "objective", matchers=f'direction="{direction}"')}

    return [
        panels.graph(
            "Evidence for going on",
            evidence("advance"),
            about="A share of what is needed, as logarithms: a required objective is proven at 1. It begins anew with each step.",
            most=1.0,
        ),
        panels.graph(
            "Evidence for going back",
            evidence("rollback"),
            about="A share of what is needed, as logarithms: at 1 the release is rolled back.",
            most=1.0,
        ),
        panels.graph("Requests judged since it began", {"{{arm}}": _of(metrics.RELEASE_REQUESTS, "arm")}),
        panels.graph(
            "Bad ones since it began, by objective",
            {"{{objective}}, {{arm}}": _of(metrics.RELEASE_FAILURES, "objective", "arm")},
            about="Failed requests, or slow ones, as the objective counts them.",
        ),
    ]


def _gateway(preset: GatewayPreset) -> list[Panel]:
    label, requests = backend_label(preset), _filled(preset.requests)
    each = f"sum by ({label}) (rate({requests}[$__rate_interval]))"
    found = [
        panels.graph(
            "Share of the requests, wanted and real",
            {
                "wanted, candidate": _of(metrics.RELEASE_WEIGHT),
                f"{{{{{label}}}}}": f"{each}\n  / on () group_left () sum(rate({requests}[$__rate_interval]))",
            },
            unit="percentunit",
        ),
        panels.graph(
            "Requests by version and code",
            {
                f"{{{{{label}}}}} {{{{{preset.code_label}}}}}": f"sum by ({label}, {preset.code_label}) "
                f"(rate({requests}[$__rate_interval]))"
            },
            unit="reqps",
        ),
    ]
    if preset.latency_bucket:
        by = f"sum by (le, {label}) (rate({_filled(preset.latency_bucket)}[$__rate_interval]))"
        found += [
            panels.graph(
                f"Latency, {name}",
                {f"{{{{{label}}}}}": f"histogram_quantile({quantile}, {by})"},
                unit=UNITS[preset.latency_unit_millis],
                about="Between the boundaries of the gateway's histogram it is guessed; objectives are judged at a boundary.",
            )
            for name, quantile in (("median", 0.5), ("95th percentile", 0.95))
        ]
    return found


def _filled(selector: str) -> str:
    """A preset's selector, which ends with its matchers, for every version of the model."""
    for name, value in FILLED.items():
        selector = selector.replace(f"{{{name}}}", value)
    return f"{selector.removesuffix('}')},{series.GATEWAY}}}"
