"""llama.cpp in this process, by way of xllamacpp: a request goes in as JSON, events come out as they are generated."""

import ctypes
import difflib
import enum
import json
import os
import signal
import tempfile
import urllib.request
from contextlib import contextmanager

import xllamacpp

from sluice_llamacpp import options as command
from sluice_llamacpp.problems import NotLoadable

SLOTS_SECONDS = 1.0
LAST_LINES = 6


class Engine:
    """Answers as many requests at once as it has slots; each call occupies one thread until its answer ends."""

    def __init__(self, server):
        self._server = server

    def answer(self, *, chat, body, put):
        """Calls `put(event)` for each event, JSON without its frame, until that returns True. Raises the refusal of a
        body.

        The engine continues while `put` waits: events generated meanwhile are kept, at most a context.
        """
        handle = self._server.handle_chat_completions if chat else self._server.handle_completions
        handle(body, put)

    def kv_cache_usage(self):
        """The share of the KV cache in use. Raises OSError where the engine does not answer in time."""
        with urllib.request.urlopen(f"{self._server.listening_address}/slots", timeout=SLOTS_SECONDS) as answer:  # noqa: S310
            slots = json.load(answer)
        used = sum(slot.get("n_prompt_tokens", 0) for slot in slots if slot["is_processing"])
        return used / max(1, sum(slot["n_ctx"] for slot in slots))


def load(model, options):
    """Raises NotLoadable."""
    parameters = _parameters(model, options)
    with _ended_by_sigterm(), _kept_errors() as errors:
        try:
            return Engine(xllamacpp.Server(parameters))
        except (RuntimeError, MemoryError) as error:
            said = errors() or str(error)
    raise NotLoadable(f"llama.cpp cannot load {model.path}: {said}")


def _parameters(model, options):
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model.path)
    parameters.model_alias = {options.alias}
    parameters.n_parallel = options.parallel
    # Each slot has its own context: none is cut because others are long.
    parameters.n_ctx = model.context * options.parallel
    parameters.kv_unified = False
    # Its threads share the processors with the event loop, which must not wait for a spinning thread.
    threads = int(options.threads or command.processors())
    for each in (parameters.cpuparams, parameters.cpuparams_batch):
        each.n_threads = threads
        each.poll = 0
    if options.gpu_layers is not None:
        parameters.n_gpu_layers = options.gpu_layers
    parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in map(str, model.adapters)]
    # Its own HTTP server only serves `kv_cache_usage`, on a port that is not reachable from outside.
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.ui = False
    parameters.endpoint_slots = True
    parameters.fit_params = False  # it would silently shorten the context
    parameters.cache_ram_mib = 0
    parameters.sse_ping_interval = -1  # its comments are no events
    parameters.verbosity = 3 if options.verbose else 1
    for name, value in options.set.items():
        _set(parameters, name, value)
    return parameters


def _set(parameters, name, value):
    holder, path = parameters, name.split(".")
    for part in path[:-1]:
        holder = getattr(holder, part, None)
    known = [each for each in dir(holder) if not each.startswith("_")] if holder is not None else []
    if path[-1] not in known:
        close = difflib.get_close_matches(path[-1], known, 3)
        near = f"did you mean {' or '.join(close)}?" if close else "see its documentation for their names"
        raise NotLoadable(f"--set {name}={value}: llama.cpp has no parameter of this name; {near}")
    try:
        setattr(holder, path[-1], _typed(getattr(holder, path[-1]), value))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise NotLoadable(f"--set {name}={value}: {error}; correct it in spec.runtime.args") from error


def _typed(present, text):
    if isinstance(present, bool):
        if text not in ("true", "false"):
            raise ValueError("write true or false")
        return text == "true"
    if isinstance(present, enum.Enum):
        names = list(type(present).__members__)
        if text not in names:
            raise ValueError(f"use one of {', '.join(names)}")
        return type(present)[text]
    if isinstance(present, int | float | str):
        return type(present)(text)
    raise TypeError(f"it is a {type(present).__name__}, which no text can say")


@contextmanager
def _ended_by_sigterm():
    """While the model loads, Python runs nothing, so the C library itself ends the process; PID 1 has no default."""
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    library.signal(signal.SIGTERM, ctypes.cast(library._exit, ctypes.c_void_p))
    yield
    # llama.cpp has installed its own handlers by now, which would cut all answers. No request is in flight yet.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _kept_errors():
    """Redirects standard error to a file, and copies it back afterwards. Returns its last lines on demand."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def last():
            file.seek(0)
            lines = [line.partition(b" E ")[2] or line for line in file.read().splitlines()]
            return b"; ".join(lines[:LAST_LINES]).decode(errors="replace")

        try:
            yield last
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            while chunk := file.read(1 << 16):
                os.write(2, chunk)
