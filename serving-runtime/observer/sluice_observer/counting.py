"""The counters: features by bins, and outcomes of copies. Integers in lists, which only a scrape turns into text."""

import contextlib
import os
import sys
import threading

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from sluice_observer import bodies, reference

COPIES = (
    "Counted",
    "OtherSchema",
    "Unreadable",
    "TooLarge",
    "Overloaded",
    "Slow",
    "NotSampled",
    "NoBody",
    "NoReference",
)
ANSWERS = ("Counted", "OtherSchema", "Unreadable", "TooLarge", "Overloaded", "Failed", "Unreachable")


class Counting:
    """path: of the reference, which is read again when it has changed."""

    def __init__(self, path, model, revision):
        self._path, self._model, self._revision = path, model, revision
        self._stamp = None
        self._lock = threading.Lock()  # copies and answers are counted by different threads
        self._reference = None
        self._inputs, self._outputs = [], []
        self.problem = "not read yet"
        self.copies = dict.fromkeys(COPIES, 0)
        self.answers = dict.fromkeys(ANSWERS, 0)
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(self)
        prometheus_client.ProcessCollector(registry=self._registry)
        self.refresh()

    def refresh(self):
        """Reads the reference if it has changed. All counters of bins then restart; an unreadable one changes only
        `problem`."""
        file = reference.file_of(self._path)
        try:
            stamp = (found := os.stat(file)).st_mtime_ns, found.st_ino, found.st_size  # noqa: PTH116
            if stamp == self._stamp:
                return
            self._stamp = stamp
            loaded = reference.load(file)
        except (OSError, reference.Unreadable) as error:
            said = f"the reference cannot be read: {getattr(error, 'strerror', None) or error}"
            if said != self.problem:
                print(said, file=sys.stderr, flush=True)
            self.problem = said
            return
        with self._lock:
            self._reference = loaded
            self._inputs = [[0] * len(feature.names) for feature in loaded.features]
            self._outputs = [[0] * len(feature.names) for feature in loaded.answers]
            self.problem = ""

    @property
    def ready(self):
        """Whether there is a reference to count by."""
        return self._reference is not None

    @property
    def counts_answers(self):
        return self.ready and bool(self._reference.answers)

    def copy(self, body, headers):
        """Counts a request by its outcome."""
        with self._lock:
            self.copies[self._counted(bodies.request, body, headers, "features", self._inputs)] += 1

    def answer(self, body, headers):
        """Counts an answer by its outcome."""
        with self._lock:
            self.answers[self._counted(bodies.answer, body, headers, "answers", self._outputs)] += 1

    def failed(self, outcome):
        with self._lock:
            self.answers[outcome] += 1

    def _counted(self, read, body, headers, which, counts):
        if self._reference is None:
            return "NoReference"
        features = getattr(self._reference, which)
        with contextlib.suppress(bodies.NotReadable):
            return "Counted" if bodies.counted(read(body, headers, features), features, counts) else "OtherSchema"
        return "Unreadable"

    def text(self):
        return prometheus_client.generate_latest(self._registry)

    def collect(self):
        """For prometheus_client: all series exist from the beginning, so that no first count is lost."""
        with self._lock:
            found, inputs, outputs = self._reference, [*map(list, self._inputs)], [*map(list, self._outputs)]
            copies, answers = dict(self.copies), dict(self.answers)
        observed = CounterMetricFamily(
            "sluice_observed", "Rows of requests by feature and bin.", labels=["model", "feature", "bin"]
        )
        answered = CounterMetricFamily(
            "sluice_observed_answers",
            "Rows of answers by feature and bin.",
            labels=["model", "revision", "feature", "bin"],
        )
        reference_rows = GaugeMetricFamily(
            "sluice_observer_reference_rows",
            "Rows of the reference by feature and bin: what those of requests are held against.",
            labels=["model", "feature", "bin"],
        )
        answer_rows = GaugeMetricFamily(
            "sluice_observer_reference_answer_rows",
            "Rows of the reference by feature of answers and bin: what answers are held against.",
            labels=["model", "revision", "feature", "bin"],
        )
        for feature, counts in zip(found.features if found else (), inputs, strict=True):
            for name, count, rows in zip(feature.names, counts, feature.rows, strict=True):
                observed.add_metric([self._model, feature.name, name], count)
                reference_rows.add_metric([self._model, feature.name, name], rows)
        for feature, counts in zip(found.answers if found else (), outputs, strict=True):
            for name, count, rows in zip(feature.names, counts, feature.rows, strict=True):
                answered.add_metric([self._model, self._revision, feature.name, name], count)
                answer_rows.add_metric([self._model, self._revision, feature.name, name], rows)
        yield observed
        yield reference_rows
        yield answered
        yield answer_rows
        yield _by_outcome("sluice_observer_copies", "Copies of requests by what became of them.", self._model, copies)
        yield _by_outcome("sluice_observer_answers", "Answers to copies, likewise.", self._model, answers)
        readable = GaugeMetricFamily(
            "sluice_observer_reference_readable",
            "Whether the reference, as it is now, is counted by.",
            labels=["model"],
        )
        readable.add_metric([self._model], 0 if self.problem else 1)
        yield readable


def _by_outcome(name, purpose, model, counts):
    family = CounterMetricFamily(name, purpose, labels=["model", "outcome"])
    for outcome, count in counts.items():
        family.add_metric([model, outcome], count)
    return family
