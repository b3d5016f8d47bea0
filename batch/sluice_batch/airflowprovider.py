"""Sluice as an Airflow provider: the entry point `apache_airflow_provider`.

Airflow calls it during its start, so nothing of Airflow is imported here.
"""

from typing import Any, Final

PACKAGE: Final = "sluice_batch.airflow"


def get_provider_info() -> dict[str, Any]:
    """In the form of Airflow's provider_info.schema.json."""
    modules = {"operators": "operator", "sensors": "sensor", "triggers": "trigger"}
    return {
        "package-name": "sluice-batch",
        "name": "Sluice",
        "description": "Batch inference: a BatchInference of Sluice as a task.",
        "integrations": [
            {
                "integration-name": "Sluice",
                "external-doc-url": "https://github.com/sluice-dev/sluice/blob/main/docs/batch-airflow.md",
                "tags": ["service"],
            }
        ],
        **{
            kind: [{"integration-name": "Sluice", "python-modules": [f"{PACKAGE}.{module}"]}]
            for kind, module in modules.items()
        },
        "extra-links": [f"{PACKAGE}.link.BatchInferenceLink"],
    }
