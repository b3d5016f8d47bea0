"""Reads raw samples from Prometheus: `selector[window]` at one moment for all questions of a look, thinned out by a
subquery if the window is long.

prometheus-api-client blocks, hence a small thread pool. It retries for ten seconds by default, which would let a dead
Prometheus hold every thread; here a question fails at once, and the judge asks again at its next look.

It also parses whatever it gets, which takes some ten times the space of the text. So bodies are uncompressed, read only
up to a limit and parsed one at a time.
"""

import asyncio
import io
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_api_client import exceptions, prometheus_connect
from requests import adapters

from sluice_core.adapters.prometheusaccess import AccessUnusable, PrometheusAccess
from sluice_core.api.config import without_credentials
from sluice_judge.model import Answer, Answered, Answers, Failed, Question, Series

THREADS: Final = 32
"""As many as the operator asks at once (`shell/questions/asking.py`)."""
TIMEOUT_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0
PRESET_BYTES: Final = 8 * 2**20
"""Longest answer in bytes to a gateway preset's questions, which may concern many models."""
QUERY_BYTES: Final = 2 * 2**20
"""Longest answer in bytes to a user's query: an hour of about a hundred series scraped every 5 s."""
_CHUNK_BYTES: Final = 65_536
_LONGEST_MESSAGE: Final = 300
NO_ANSWER: Final = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What parsing an unexpected answer raises."""
_STATUS: Final = re.compile(r"HTTP Status Code (\d+)")
"""The client's wording."""


class PrometheusMetrics:
    """The port `Metrics`, by Prometheus' HTTP API at a base URL such as `http://prometheus.monitoring:9090`."""

    def __init__(
        self,
        url: str,
        access: PrometheusAccess | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shown_url = without_credentials(url)
        self._access = access or PrometheusAccess()
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")
        self._parsing = Turn()
        self._sessions = {preset: requests.Session() for preset in (True, False)}
        """By whether a preset asks."""
        for session in self._sessions.values():
            session.auth = self._access
        self._clients = {
            preset: _client(
                url.rstrip("/"),
                session,
                LimitedAdapter(self._parsing, self._access, url, preset=preset, timeout_seconds=timeout_seconds),
            )
            for preset, session in self._sessions.items()
        }

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        """Answers every question at a moment, by default now; a failure becomes a `Failed` answer, never an exception."""
        moment = self._now() if moment is None else moment
        answers = await asyncio.gather(*(self._answer(question, moment) for question in questions))
        return {question.key: answer for question, answer in zip(questions, answers, strict=True)}

    def close(self) -> None:
        """Releases the threads and connections; pending questions are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions.values():
            session.close()

    async def _answer(self, question: Question, moment: float) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            # The wait for a free thread counts, too: questions must not pile up.
            async with asyncio.timeout(self._timeout_seconds):
                return await loop.run_in_executor(self._pool, self._ask, question, moment)
        except TimeoutError:
            return self._failed(f"no answer within {self._timeout_seconds:g} s")

    def _ask(self, question: Question, moment: float) -> Answer:
        # requests takes a pair; the library's annotation only knows whole seconds.
        connect_and_read: Any = (min(CONNECT_SECONDS, self._timeout_seconds), self._timeout_seconds)
        try:
            answer = self._clients[question.preset].custom_query(
                query_of(question),
                params={"time": f"{moment:.3f}"},
                timeout=connect_and_read,
            )
            return answered(answer)
        except requests.Timeout:
            return self._failed(f"no answer within {self._timeout_seconds:g} s")
        except TooLarge as error:
            return self._failed(f"{error}; narrow the selector {question.selector}", refused=True, too_large=True)
        except AccessUnusable as error:
            return self._failed(str(error))
        except requests.exceptions.SSLError as error:
            cause = _cause(error)
            return self._failed(f"no TLS connection ({cause}); {self._access.unconnected(cause)}")
        except requests.ConnectionError as error:
            cause = _cause(error)
            remedy = f"; {self._access.unconnected(cause)}" if self._shown_url.startswith("https://") else ""
            return self._failed(f"no connection ({cause}); check the address and that Prometheus runs{remedy}")
        except exceptions.PrometheusApiClientException as error:
            return self._of_status(question, str(error))
        except NO_ANSWER as error:
            return self._failed(f"{question.selector}: this is not an answer of Prometheus' query API ({error!r})")
        finally:
            self._parsing.end()

    def _of_status(self, question: Question, error: str) -> Failed:
        """The failure that a status other than 200 means. error: with the status and the answer's body."""
        status = int(match[1]) if (match := _STATUS.match(error)) is not None else 0
        try:
            remedy = self._access.refused(status)
        except AccessUnusable as unusable:
            return self._failed(str(unusable))
        if remedy:  # the answer to any question will be the same
            return self._failed(f"HTTP status {status}: {remedy}")
        return self._failed(f"{question.selector}: {error}", refused=400 <= status < 500)

    def _failed(self, what: str, *, refused: bool = False, too_large: bool = False) -> Failed:
        message = self._access.harmless(f"{self._shown_url}: {what}")
        return Failed(message[:_LONGEST_MESSAGE], refused, too_large)


class TooLarge(requests.RequestException):
    """An answer is longer than allowed; the message gives the limit."""


class Turn:
    """Admits one thread at a time, from `begin` to `end`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    def begin(self) -> None:
        """Waits for the turn, unless this thread has it."""
        if self._holder != threading.get_ident():
            self._lock.acquire()
            self._holder = threading.get_ident()

    def end(self) -> None:
        """Ends the turn of this thread, if it has one."""
        if self._holder == threading.get_ident():
            self._holder = None
            self._lock.release()


class LimitedAdapter(adapters.HTTPAdapter):
    """Reads each body up to a limit, then waits for its thread's turn to parse it. Tries only once.

    It trusts the authorities present when a connection is made, and shows its certificate only to Prometheus.
    """

    def __init__(
        self, parsing: Turn, access: PrometheusAccess, url: str, *, preset: bool, timeout_seconds: float
    ) -> None:
        super().__init__(pool_maxsize=THREADS, max_retries=urllib3.Retry(total=0))
        self._parsing = parsing
        self._access = access
        self._origin = _origin(url)
        self._most_bytes = PRESET_BYTES if preset else QUERY_BYTES
        self._timeout_seconds = timeout_seconds

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Sends a request and reads the whole answer. Raises `TooLarge` and what requests raises."""
        request.headers["Accept-Encoding"] = "identity"
        deadline = time.monotonic() + self._timeout_seconds
        options["verify"] = self._access.authorities
        options["cert"] = self._access.certificate if _origin(request.url or "") == self._origin else None
        response = super().send(request, *arguments, **options)
        try:
            body = self._body(response, deadline)
        except requests.RequestException:
            response.close()  # a connection with unread bytes cannot be used again
            raise
        response.raw = io.BytesIO(body)
        if not response.is_redirect:  # a redirect is not parsed: the next address is asked first
            self._parsing.begin()
        return response

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        """Avoids the client's own reading, which goes on to the end and decompresses anything.

        Bytes are taken as they come: a time-out of the socket restarts with each byte, while the answer has a deadline.
        """
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise requests.RequestException(f"the answer is compressed ({encoding}), which was not asked for")
        body = bytearray()
        try:
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                body += chunk
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout("the answer has not ended", request=response.request)
                if len(body) > self._most_bytes:
                    raise TooLarge(f"an answer has more than {self._most_bytes >> 20} MiB")
        except urllib3.exceptions.TimeoutError as error:
            raise requests.ReadTimeout(error, request=response.request) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error, request=response.request) from error
        return bytes(body)


def _client(url: str, session: requests.Session, adapter: adapters.HTTPAdapter) -> prometheus_connect.PrometheusConnect:
    # The URL is used as it is: a proxy of the environment cannot reach a Service of the cluster.
    session.trust_env = False
    client = prometheus_connect.PrometheusConnect(url, session=session, method="POST")
    for place in (url, "https://", "http://"):  # in place of the client's own, which retries; also after a redirect
        session.mount(place, adapter)
    return client


def _origin(url: str) -> tuple[str, str | None, int | None]:
    address = urlsplit(url)
    return address.scheme, address.hostname, address.port or {"https": 443, "http": 80}.get(address.scheme)


NAME: Final = "__name__"
_NAMED: Final = "sluice_metric"
"""The label that stands for a metric's name where PromQL drops it."""
_TEXT: Final = frozenset({str})
_STEP_SECONDS: Final = 15
"""Step of a subquery for a metric that is selected by its name."""


def query_of(question: Question) -> str:
    """The raw samples of the window; or a subquery, which shows the newest sample before each of its steps; or the
    increase of the counters."""
    window = f"{question.window_seconds}s"
    if question.summed_by is not None:
        return _summed(question, window, question.summed_by)
    within = window if question.step_seconds is None else f"{window}:{question.step_seconds}s"
    return f"{question.selector}[{within}]"


def _summed(question: Question, window: str, by: tuple[str, ...]) -> str:
    """`increase` drops the metric's name, which may be what tells series apart."""
    selector = question.selector
    ranged = f"{selector}[{window}]"
    if NAME in by:
        ranged = f'label_replace({selector}, "{_NAMED}", "$1", "{NAME}", "(.+)")[{window}:{_STEP_SECONDS}s]'
    labels = ", ".join(_NAMED if label == NAME else label for label in by)
    added = f"max by ({labels}) ({selector})" if question.newest else f"sum by ({labels}) (increase({ranged}))"
    if question.most_series is None:
        return added
    owner = ", ".join(by[:2])
    return f"{added} and on ({owner}) (count by ({owner}) ({selector}) <= {question.most_series})"


def answered(result: Iterable[Mapping[str, Any]]) -> Answered:
    """The series of a result; a malformed one raises one of `NO_ANSWER`."""
    found = tuple(map(_series, result))
    return Answered(_distinct(found), tuple([one.labels for one in found if not one.points]))


def _series(item: Mapping[str, Any]) -> Series:
    labels = dict(item["metric"])
    if not (_TEXT.issuperset(map(type, labels)) and _TEXT.issuperset(map(type, labels.values()))):
        raise TypeError("a label is not a text")
    if _NAMED in labels:
        labels[NAME] = labels.pop(_NAMED)
    points = [(float(when), float(value)) for when, value in item.get("values") or (item["value"],)]
    return Series(labels, tuple([point for point in points if isfinite(point[0]) and isfinite(point[1])]))


def _distinct(series: Iterable[Series]) -> tuple[Series, ...]:
    """One series for each set of labels, whatever a proxy has merged; without those that show only NaN."""
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
