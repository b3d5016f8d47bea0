"""Reads raw samples from Prometheus: `selector[window]` at one moment for all questions of a look; thinned out by a
subquery where the window is long.

prometheus-api-client blocks, hence a small thread pool. It retries for ten seconds by default, which would let a dead
Prometheus hold every thread; here a question fails at once, and the judge asks again at its next look.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from prometheus_api_client import exceptions, prometheus_connect
from requests import adapters

from sluice.core.judge.model import Answer, Answered, Answers, Failed, Question, Series

THREADS: Final = 32
"""As many as the operator asks at once (`shell/asking.py`)."""
TIMEOUT_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0
_LONGEST_MESSAGE: Final = 300
_REFUSED: Final = "HTTP Status Code 4"
"""In the client's words."""


class PrometheusMetrics:
    """The port `Metrics`, by Prometheus' HTTP API at a base URL such as `http://prometheus.monitoring:9090`."""

    def __init__(
        self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, now: Callable[[], float] = time.time
    ) -> None:
        self._shown_url = without_credentials(url)
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")
        self._session = requests.Session()
        # The address is used as it stands: a proxy of the environment can't reach a Service of the cluster.
        self._session.trust_env = False
        self._client = prometheus_connect.PrometheusConnect(url.rstrip("/"), session=self._session, method="POST")
        # In place of the client's own, which keeps fewer connections than there are threads, and tries again.
        self._session.mount(
            url.rstrip("/"), adapters.HTTPAdapter(pool_maxsize=THREADS, max_retries=urllib3.Retry(total=0))
        )

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        """Answers every question as of a moment, or of now; a failure becomes a `Failed` answer, never an exception."""
        moment = self._now() if moment is None else moment
        answers = await asyncio.gather(*(self._answer(question, moment) for question in questions))
        return {question.key: answer for question, answer in zip(questions, answers, strict=True)}

    def close(self) -> None:
        """Gives the threads and connections back; questions that still wait are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def _answer(self, question: Question, moment: float) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            # The wait for a free thread counts, too: who asks more at once than there are threads must not pile them up.
            async with asyncio.timeout(self._timeout_seconds):
                return await loop.run_in_executor(self._pool, self._ask, question, moment)
        except TimeoutError:
            return self._failed(f"no answer within {self._timeout_seconds:g} s")

    def _ask(self, question: Question, moment: float) -> Answer:
        # requests takes a pair; the library's annotation knows only whole seconds.
        connect_and_read: Any = (min(CONNECT_SECONDS, self._timeout_seconds), self._timeout_seconds)
        try:
            answer = self._client.custom_query(
                f"{question.selector}[{_range(question)}]",
                params={"time": f"{moment:.3f}"},
                timeout=connect_and_read,
            )
            return Answered(_distinct(map(_series, answer)))
        except requests.Timeout:
            return self._failed(f"no answer within {self._timeout_seconds:g} s")
        except requests.ConnectionError as error:
            return self._failed(f"no connection ({_cause(error)}); check the address and that Prometheus runs")
        except exceptions.PrometheusApiClientException as error:
            return self._failed(f"{question.selector}: {error}", refused=_REFUSED in str(error))
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            return self._failed(f"{question.selector}: this is not an answer of Prometheus' query API ({error!r})")

    def _failed(self, what: str, *, refused: bool = False) -> Failed:
        return Failed(f"{self._shown_url}: {what}"[:_LONGEST_MESSAGE], refused)


def without_credentials(url: str) -> str:
    """The URL without user and password, for messages."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _range(question: Question) -> str:
    """The raw samples of the window; or a subquery, which shows the newest sample before each of its steps."""
    window = f"{question.window_seconds}s"
    return window if question.step_seconds is None else f"{window}:{question.step_seconds}s"


def _series(item: Mapping[str, Any]) -> Series:
    values = ((float(when), float(value)) for when, value in item["values"])
    return Series(dict(item["metric"]), tuple((when, value) for when, value in values if math.isfinite(value)))


def _distinct(series: Iterable[Series]) -> tuple[Series, ...]:
    """Each set of labels once, whatever a proxy has merged; what shows only NaN is as good as absent."""
    seen: dict[frozenset[tuple[str, str]], Series] = {}
    for one in series:
        if one.points:
            seen.setdefault(frozenset(one.labels.items()), one)
    return tuple(seen.values())


def _cause(error: BaseException) -> str:
    """The innermost reason, such as "Connection refused"; the outer ones repeat host, port and path."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
