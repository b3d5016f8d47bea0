"""Where each page of docs/ stands: tutorial, how-to, reference or explanation (https://diataxis.fr)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

Entry: TypeAlias = str | tuple[str, "list[Entry]"]
"""A page, or a title with what is below it."""

TUTORIAL: Final[list[Entry]] = ["first-hour.md"]
HOW_TO: Final[list[Entry]] = [
    (
        "Serve a model",
        [
            "sources.md",
            "registry.md",
            "verification.md",
            ("Model servers", ["runtimes/README.md", *(f"runtimes/{name}.md" for name in (
                "triton", "mlserver", "kserve", "bentoml", "torchserve", "tensorflow-serving", "llamacpp", "vllm", "fastapi"
            ))]),
            "accelerators.md",
            "large-models.md",
            "autoscaling.md",
            "warm-up.md",
            "profile.md",
            "variants.md",
            "grpc.md",
            "without-a-gateway.md",
        ],
    ),
    ("Release a version", ["validation.md", "answers.md", "drift.md", "watch.md", "freeze-windows.md", "notifications.md", "gitops.md"]),
    ("Score a data set", ["batch.md", "batch-spark.md", "batch-airflow.md"]),
    (
        "Run Sluice",
        ["install.md", "dashboard.md", "prometheus.md", "alerts.md", "hardening.md"],
    ),
    ("Runbooks", ["runbooks/README.md", *(f"runbooks/{name}.md" for name in (
        "waiting", "rolled-back", "worse-than-before", "inputs-moved", "stalled", "blind", "routing", "model-does-not-load", "batch", "forbidden",
        "operator-down", "operator-behind", "restore",
    ))]),
]  # fmt: skip
REFERENCE: Final[list[Entry]] = [
    "cli.md",
    ("Kinds", [f"kinds/{name}.md" for name in (
        "modeldeployment", "modelrollout", "rolloutpolicy", "servingruntime", "batchinference"
    )]),
    ("Every field", [f"fields/{name}.md" for name in (
        "modeldeployment", "modelrollout", "rolloutpolicy", "servingruntime", "batchinference"
    )]),
    ("Strategies", [f"strategies/{name}.md" for name in ("canary", "bluegreen", "shadow", "abtest", "recreate")]),
    "gateways.md",
    "glossary.md",
    "metrics.md",
    "versions.md",
    "benchmarks.md",
]  # fmt: skip
EXPLANATION: Final[list[Entry]] = [
    "release-judge.md",
    "architecture.md",
    "laws.md",
    "scheduling.md",
    "faults.md",
    "security.md",
    "testing.md",
]
DECISIONS: Final = "decisions"
"""A folder of which every page is an explanation."""
HOME: Final = "README.md"


def navigation(docs: Path) -> list[Entry]:
    """All of it. docs: the folder with the pages."""
    decisions = sorted(page.name for page in (docs / DECISIONS).glob("*.md") if page.name != HOME)
    listed: list[Entry] = [f"{DECISIONS}/{HOME}", *(f"{DECISIONS}/{name}" for name in decisions)]
    return [
        "index.md",
        ("Tutorial", TUTORIAL),
        ("How-to guides", HOW_TO),
        ("Reference", REFERENCE),
        ("Explanation", [*EXPLANATION, ("Decisions", listed)]),
    ]


def pages(entries: list[Entry]) -> Iterator[str]:
    """The pages, in their order."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            yield from pages(entry[1])


def as_configured(entries: list[Entry]) -> list[Any]:
    """As the generator of the site reads it; pages have the titles of their headings."""
    return [entry if isinstance(entry, str) else {entry[0]: as_configured(entry[1])} for entry in entries]
