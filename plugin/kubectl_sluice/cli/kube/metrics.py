"""Prometheus for commands: directly where its name resolves here, otherwise through the API server."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from kubectl_sluice.adapters import kubectl, prometheusproxy
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube.installation import NAME_IT, Installation
from kubectl_sluice.views import serviceaddress
from kubectl_sluice.views.reports import checks
from sluice_core.adapters import prometheus
from sluice_core.adapters.prometheusaccess import PrometheusAccess
from sluice_core.api.config import without_credentials
from sluice_judge.model import Answer, Answers, Failed, Question


def of(
    api: kubectl.Kubectl,
    operator: Installation,
    *,
    url: str | None = None,
    credentials: Path | None = None,
    timeout_seconds: float = prometheus.TIMEOUT_SECONDS,
) -> "PrometheusFromHere":
    """The Prometheus that the user named, or the operator's. A `Failure` where credentials would go to one merely
    found."""
    found = operator.config.prometheus_url
    if credentials is not None and url is None and not operator.named:
        origin = f"of {operator.place}" if operator.raw is not None else "the default"
        raise Failure(
            f"--prometheus-credentials: nobody said that they are for {without_credentials(found)} ({origin}); pass the "
            f"address with --prometheus, or name the operator's namespace: {NAME_IT}"
        )
    return PrometheusFromHere(api, url or found, credentials, timeout_seconds)


class PrometheusFromHere:
    """The port `Metrics`, to be closed; nothing is connected before the first question."""

    def __init__(
        self,
        api: kubectl.Kubectl,
        url: str,
        credentials: Path | None = None,
        timeout_seconds: float = prometheus.TIMEOUT_SECONDS,
    ) -> None:
        """credentials: the folder that holds them."""
        self.url: Final = url
        self._api = api
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._service: Final = None if credentials is not None else serviceaddress.parsed(url)
        self._known_here: bool | None = None

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        """Answers every question; a failure becomes a `Failed` answer, with what to do about it."""
        try:
            answers = await self.ask(questions, moment)
            return {key: self._with_remedy(answer) for key, answer in answers.items()}
        except prometheusproxy.NotLetThrough as error:
            denied = checks.proxy_denied(str(error), url=self.url)
            return {question.key: Failed(f"{denied.finding}; {denied.remedy}") for question in questions}

    async def ask(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        """The same; raises `NotLetThrough`."""
        if not questions:
            return {}
        if self._service is not None and not await self._is_known_here(self._service):
            return await prometheusproxy.answers(self._api, self._service, questions, moment)
        return await (self._itself.answer(questions) if moment is None else self._itself.answer(questions, moment))

    def _with_remedy(self, answer: Answer) -> Answer:
        """A refused or too large question fails by any route."""
        if not isinstance(answer, Failed) or answer.refused or answer.too_large:
            return answer
        return Failed(f"{answer.message}; {checks.reached(self.url)}")

    def close(self) -> None:
        if "_itself" in vars(self):
            self._itself.close()

    @cached_property
    def _itself(self) -> prometheus.PrometheusMetrics:
        access = PrometheusAccess(
            self._credentials, str(self._credentials or ""), setting="--prometheus-credentials FOLDER"
        )
        return prometheus.PrometheusMetrics(self.url, access, timeout_seconds=self._timeout_seconds)

    async def _is_known_here(self, service: serviceaddress.ServiceAddress) -> bool:
        if self._known_here is None:
            self._known_here = await prometheusproxy.is_known_here(service)
        return self._known_here
