"""A task's button that leads to its BatchInference, in any tool that shows objects of the cluster."""

from typing import Any, Final

from airflow.sdk import BaseOperatorLink, conf

SECTION: Final = "sluice"
OPTION: Final = "batch_inference_url"


class BatchInferenceLink(BaseOperatorLink):
    """`[sluice] batch_inference_url` of Airflow's configuration, with {namespace} and {name}; without it, no link."""

    name = "BatchInference"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  Airflow passes it by this name
        template = conf.get(SECTION, OPTION, fallback="")
        waiting = getattr(operator, "_waiting", None)
        if not template or waiting is None:
            return ""
        return str(template.replace("{namespace}", waiting.cluster.known_namespace).replace("{name}", waiting.name))
