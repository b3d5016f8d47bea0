"""The release judge's input: OpenTelemetry's GenAI metrics of a model server, in Prometheus' form."""

import enum

import prometheus_client

prometheus_client.disable_created_metrics()

FIRST_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0)
BETWEEN_TOKENS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
WHOLE = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
GAPS = (*BETWEEN_TOKENS, 5.0, 10.0)
COMPUTED = tuple(2**power for power in range(4, 15))
"""Upper limits of the buckets for the computed tokens of a prompt: 16 to 16384."""
MORE = "more"


class Outcome(enum.StrEnum):
    """How a stream ended."""

    COMPLETE = "Complete"
    BROKEN = "Broken"
    """Closed by the server without its regular end, or with an error event."""
    CANCELLED = "Cancelled"
    """By its client."""


class Source(enum.StrEnum):
    """Where the computation of a prompt's token came from."""

    COMPUTED = "Computed"
    REUSED = "Reused"
    """The prefix cache had it."""


def computed_bucket(count):
    """The label of a prompt by its computed tokens: the smallest limit that they do not exceed."""
    return next((str(limit) for limit in COMPUTED if count <= limit), MORE)


class Counting:
    """All series exist from the beginning: a first jump from nothing would be lost."""

    def __init__(self):
        self.registry = prometheus_client.CollectorRegistry()
        self.first_token = self._histogram(
            "time_to_first_token_seconds", "From the request to its first token.", FIRST_TOKEN
        )
        self.between_tokens = self._histogram(
            "time_per_output_token_seconds", "Mean time of an answer's tokens after the first.", BETWEEN_TOKENS
        )
        self.whole = self._histogram("request_duration_seconds", "From the request to the end of its answer.", WHOLE)
        self.gaps = prometheus_client.Histogram(
            "sluice_llm_inter_token_latency_seconds",
            "Time between two tokens of a stream.",
            buckets=GAPS,
            registry=self.registry,
        )
        self.streams = self._counter("streams", "Streams that have ended, by how.", "outcome")
        self.requests = self._counter("requests", "Answers by the class of their status code.", "code")
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts, by where they came from.", "source")
        self.computed = prometheus_client.Histogram(
            "sluice_llm_computed_prompt_tokens",
            "Tokens of a prompt that were not in the prefix cache.",
            buckets=COMPUTED,
            registry=self.registry,
        )
        self.output_tokens = prometheus_client.Counter(
            "sluice_llm_output_tokens", "Tokens generated.", registry=self.registry
        )
        self.running = self._gauge("requests_running", "Requests that are being answered.")
        self.waiting = self._gauge("requests_waiting", "Requests that wait for a slot.")
        self.kv_cache = self._gauge("kv_cache_usage_ratio", "Share of the KV cache that running requests fill.")
        for outcome in Outcome:
            self.streams.labels(outcome)
        for code in ("2xx", "4xx", "5xx"):
            self.requests.labels(code)
        for source in Source:
            self.prompt_tokens.labels(source)
        for histogram in (self.first_token, self.between_tokens, self.whole):
            for bucket in (*map(str, COMPUTED), MORE):
                histogram.labels(bucket)

    def text(self):
        return prometheus_client.generate_latest(self.registry)

    def _histogram(self, name, text, bounds):
        return prometheus_client.Histogram(
            f"gen_ai_server_{name}", text, ["computed_bucket"], buckets=bounds, registry=self.registry
        )

    def _counter(self, name, text, label):
        return prometheus_client.Counter(f"sluice_llm_{name}", text, [label], registry=self.registry)

    def _gauge(self, name, text):
        return prometheus_client.Gauge(f"sluice_llm_{name}", text, registry=self.registry)
