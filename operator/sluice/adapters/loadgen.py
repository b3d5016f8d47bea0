"""Load on a model server, measured beside it: a program of the standard library alone.

`kubectl sluice profile` sends this very file to a container of the profiled pod (`python3 -c`), so that generator and
plugin are always of one version; where that cannot be, it runs on the user's machine through a port-forward.

    plan ($SLUICE_PROFILE) ──> wait until ready ──> one request ──> for each setting: load ──> for each concurrency: point
                                                        │                        │                             │
    one JSON object a line on standard output:       server, failed        setting, skipped            point …, again, end

`kubectl sluice runtime check` sends it to a pod of its own, with a plan that names a stream:

    plan ──> wait until ready ──> one request ──> the metrics ──> requests at that rate, for so many seconds
                                       │              │                  │
                                server, failed     metrics       stream, once a second

Nothing is read from standard input, nothing is written but these lines.
"""

import base64
import http.client
import json
import math
import os
import statistics
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 60.0
WAIT_SECONDS: Final = 0.2
WARM_SHARE: Final = 0.2
"""Of a point's time, before what is measured."""
ENOUGH: Final = 20
"""Answers below which a point lasts longer, up to LONGEST times as long."""
LONGEST: Final = 6
GATEWAY_REQUESTS: Final = 50
MOST_AT_ONCE: Final = 256
TELL_SECONDS: Final = 1.0
QUOTED: Final = 300
LARGEST: Final = 16_000_000
"""Elements of an input that is made up; the zeros of more would fill the memory."""
FILLERS: Final[Mapping[str, Any]] = {"BOOL": False, "BYTES": ""}
STAGES: Final = ("queue", "compute_input", "compute_infer", "compute_output")
ENSEMBLE: Final = "ensemble"


class Failed(Exception):
    """Ends the run: (reason, what happened)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def tell(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


class Line:
    """One connection that is opened again when it breaks."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, path, body, kind | headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def fetch(self, path: str) -> dict[str, Any] | None:
        """A document, or None where this server has none there."""
        try:
            status, text = self.ask("GET", path)
            found = json.loads(text) if status == http.HTTPStatus.OK else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        self._connection.close()


# --- the request -----------------------------------------------------------------------------------------------------


def body_of(metadata: Mapping[str, Any]) -> bytes:
    """A V2 inference request of zeros, one row where the model leaves the number open.

    The rule of the warm-up (`sluice_warmup.protocols`), written again because this file travels alone; a test holds
    both against each other. Raises ValueError.
    """
    inputs = metadata.get("inputs")
    if not inputs:
        raise ValueError("the model's metadata name no inputs")
    return json.dumps({"inputs": [_input(entry) for entry in inputs]}).encode()


def _input(entry: Mapping[str, Any]) -> dict[str, Any]:
    shape = [max(1, int(size)) for size in entry.get("shape", ())]
    count = math.prod(shape)
    if count > LARGEST:
        raise ValueError(f"input {entry.get('name')} of shape {shape} is too large to make up")
    datatype = str(entry.get("datatype", ""))
    filler = FILLERS.get(datatype, 0)
    return {"name": entry.get("name"), "shape": shape, "datatype": datatype, "data": [filler] * count}


def packed(body: bytes) -> str:
    """A body as text that fits an environment variable."""
    return base64.b64encode(zlib.compress(body, 9)).decode()


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


# --- Triton's settings ------------------------------------------------------------------------------------------------


def overridden(config: Mapping[str, Any], setting: Mapping[str, Any], maximum_batch: int) -> dict[str, Any]:
    """Triton's configuration of a model with a setting of ours; equal to `config` where nothing changes.

    A model that batches nothing yet must have an open first dimension everywhere: that becomes the batch. Raises
    ValueError where it has not.
    """
    changed = dict(config)
    if setting["batching"] == "off":
        changed.pop("dynamic_batching", None)
    elif setting["batching"] == "on":
        if not changed.get("max_batch_size"):
            changed["max_batch_size"] = maximum_batch
            for side in ("input", "output"):
                changed[side] = [_without_batch(tensor) for tensor in changed.get(side, ())]
        changed["dynamic_batching"] = {"max_queue_delay_microseconds": setting["delayMicros"]}
    if setting["instances"] is not None:
        groups = changed.get("instance_group") or [{"kind": "KIND_AUTO"}]
        changed["instance_group"] = [{**groups[0], "count": setting["instances"]}]
    return changed


def _without_batch(tensor: Mapping[str, Any]) -> dict[str, Any]:
    first, *others = (int(size) for size in tensor["dims"])
    if first != -1:
        raise ValueError(f"{tensor['name']} of shape {tensor['dims']} has no open first dimension to batch over")
    # Triton wants at least one dimension beside the batch.
    return {**tensor, "dims": others} if others else {**tensor, "dims": [1], "reshape": {"shape": []}}


# --- what the server says of itself -----------------------------------------------------------------------------------


def counted(answers: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Triton's cumulative statistics of a model, or of the steps of an ensemble; None where one is missing.

    answers: what `/v2/models/NAME/stats` says. Nanoseconds and counts; `batches` counts executions by batch size, and
    `requests` what was asked of the whole: each step of an ensemble is asked once.
    """
    total: dict[str, Any] = {"requests": 0, "inferences": 0, "executions": 0, **dict.fromkeys(STAGES, 0), "batches": {}}
    for answer in answers:
        if not (models := (answer or {}).get("model_stats")):
            return None
        for version in models:
            said = version.get("inference_stats", {})
            total["requests"] += int(said.get("success", {}).get("count", 0))
            total["inferences"] += int(version.get("inference_count", 0))
            total["executions"] += int(version.get("execution_count", 0))
            for stage in STAGES:
                total[stage] += int(said.get(stage, {}).get("ns", 0))
            for batch in version.get("batch_stats", ()):
                size, times = str(batch["batch_size"]), int(batch["compute_infer"]["count"])
                total["batches"][size] = total["batches"].get(size, 0) + times
    total["requests"] /= len(answers)
    return total


def processor_seconds(root: int, proc: Path = Path("/proc")) -> dict[int, float]:
    """Processor time of a process and its descendants so far; 0: of all that are visible, except this one.

    A pod that shares its process namespace shows the server's processes and nobody else's. Empty where /proc is no help.
    """
    used, parents = {}, {}
    for entry in proc.glob("[0-9]*"):
        try:
            # The name, in parentheses, may contain anything.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")
    return {
        pid: seconds
        for pid, seconds in used.items()
        if pid != os.getpid() and (root == 0 or root in _ancestry(pid, parents))
    }


def used_between(before: Mapping[int, float], after: Mapping[int, float]) -> float | None:
    """Processor time between two looks; a process that has ended in between is not seen any more."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items()) if after else None


def busy_seconds(stat: Path = Path("/proc/stat")) -> float | None:
    """Processor time of the whole node, whoever used it; None where it is not told."""
    try:
        user, nice, system, _idle, _waits, *others = (
            int(ticks) for ticks in stat.read_text().split("\n")[0].split()[1:9]
        )
    except (OSError, ValueError):
        return None
    return sum((user, nice, system, *others)) / os.sysconf("SC_CLK_TCK")


def _cores(used: float | None, seconds: float) -> float | None:
    return None if used is None else round(used / seconds, 3)


def _ancestry(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    seen: set[int] = set()
    while pid and pid not in seen:
        yield pid
        seen.add(pid)
        pid = parents.get(pid, 0)


# --- load -------------------------------------------------------------------------------------------------------------


class Load:
    """So many threads, each with one request under way, until told to stop."""

    def __init__(self, host: str, port: int, path: str, body: bytes, concurrency: int) -> None:
        self._address, self._path, self._body = (host, port), path, body
        self._stopping = threading.Event()
        self.answers: list[tuple[float, float]] = []
        """(when it came, seconds it took); appending is atomic."""
        self.failures: list[tuple[float, str]] = []
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(concurrency)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        line = Line(*self._address)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                status, text = line.ask("POST", self._path, self._body)
                problem = f"{status} {quoted(text)}" if status >= http.HTTPStatus.BAD_REQUEST else ""
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__} {error}"
                self._stopping.wait(WAIT_SECONDS)
            ended = time.monotonic()
            if problem:
                self.failures.append((ended, problem))
            else:
                self.answers.append((ended, ended - began))
        line.close()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)


def quoted(text: bytes) -> str:
    """The server's words: V2 servers answer `{"error": …}`."""
    said = text.decode(errors="replace")
    try:
        found = json.loads(said)
        said = str(found["error"]) if isinstance(found, dict) and "error" in found else said
    except ValueError:
        pass  # plain text
    return " ".join(said.split())[:QUOTED]


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank: a value that was measured, at or below which so many percent are."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def summary(latencies: Sequence[float]) -> dict[str, float]:
    """Milliseconds; empty where nothing was answered."""
    if not latencies:
        return {}
    ordered = sorted(latencies)
    found = {f"p{percent}": percentile(ordered, percent) for percent in (50, 95, 99)}
    return {name: round(value * 1000, 3) for name, value in (found | {"mean": statistics.fmean(ordered)}).items()}


class Bench:
    """One server and how it is asked."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        self.host, self.port, self.model = str(plan["host"]), int(plan["port"]), str(plan["model"])
        self.line = Line(self.host, self.port)
        self.body = b""
        self.config: dict[str, Any] | None = None
        """Triton's configuration of the model as it was found; None on other servers."""
        self._changed = False

    def wait_ready(self) -> None:
        deadline = time.monotonic() + float(self.plan["readySeconds"])
        while time.monotonic() < deadline:
            try:
                status, _ = self.line.ask("GET", self.plan["readyPath"] or "/")
                if status < http.HTTPStatus.BAD_REQUEST or not self.plan["readyPath"]:
                    return
            except (OSError, http.client.HTTPException):
                pass  # it is still starting
            time.sleep(WAIT_SECONDS)
        raise Failed("NotReady", f"the model was not ready within {self.plan['readySeconds']} s")

    def introduce(self, payload: bytes | None) -> None:
        """One request; says who answers. Raises Failed where the server refuses it."""
        about = self.line.fetch("/v2") or {}
        self.body = payload if payload is not None else self._made_up()
        self.config = self.line.fetch(f"/v2/models/{self.model}/config") if about.get("name") == "triton" else None
        try:
            status, text = self.line.ask("POST", self.plan["path"], self.body)
        except (OSError, http.client.HTTPException) as error:
            raise Failed("NoAnswer", f"POST {self.plan['path']}: {type(error).__name__}: {error}") from error
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Failed("ModelFails", f"POST {self.plan['path']} answers {status}: {quoted(text)}")
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise Failed("PayloadRefused", f"POST {self.plan['path']} answers {status}: {quoted(text)}")
        tell(
            "server",
            name=str(about.get("name", "")),
            version=str(about.get("version", "")),
            nodeCores=os.cpu_count(),
            bodyBytes=len(self.body),
            madeUp=payload is None,
        )

    def _made_up(self) -> bytes:
        metadata = self.line.fetch(f"/v2/models/{self.model}")
        try:
            return body_of(metadata or {})
        except (ValueError, TypeError, AttributeError) as error:
            raise Failed("NoPayload", f"no request can be made up: {error}") from error

    def use(self, setting: Mapping[str, Any]) -> str:
        """Brings the server to a setting; why it cannot be, or empty."""
        as_found = setting["batching"] == "as is" and setting["instances"] is None
        if as_found and not self._changed:
            return ""
        if self.config is None:
            return "only Triton changes its batching and instances while it runs"
        try:
            wanted = overridden(self.config, setting, int(self.plan["maximumBatch"]))
        except ValueError as error:
            return str(error)
        if wanted == self.config and not as_found:
            return "the same as it is"
        self._changed = not as_found
        body = json.dumps({"parameters": {"config": json.dumps(wanted)}}).encode()
        try:
            status, text = self.line.ask("POST", f"/v2/repository/models/{self.model}/load", body)
            if status == http.HTTPStatus.OK:
                status, text = self.line.ask("POST", self.plan["path"], self.body)
            return "" if status < http.HTTPStatus.BAD_REQUEST else quoted(text)
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__} {error}"

    def statistics(self) -> dict[str, Any] | None:
        if self.config is None:
            return None
        steps = self.config.get("ensemble_scheduling", {}).get("step", ())
        names = [step["model_name"] for step in steps] if self.config.get("platform") == ENSEMBLE else [self.model]
        return counted([self.line.fetch(f"/v2/models/{name}/stats") for name in names])

    def processors(self) -> tuple[dict[int, float], float | None]:
        """(the server's processes, the node); nothing where it runs elsewhere."""
        root = self.plan["processes"]
        return (processor_seconds(root), busy_seconds()) if root is not None else ({}, None)

    def point(self, setting: Mapping[str, Any], concurrency: int, *, event: str = "point") -> None:
        """Load for a while; what lies between two looks counts."""
        seconds = float(self.plan["seconds"])
        load = Load(self.host, self.port, self.plan["path"], self.body, concurrency)
        time.sleep(seconds * WARM_SHARE)
        before, (processes, busy), own = self.statistics(), self.processors(), time.process_time()
        began = time.monotonic()
        time.sleep(seconds)
        while sum(when >= began for when, _ in load.answers) < ENOUGH and time.monotonic() < began + seconds * LONGEST:
            time.sleep(WAIT_SECONDS)
        ended = time.monotonic()
        own_used = time.process_time() - own
        after, (processes_after, busy_after) = self.statistics(), self.processors()
        load.stop()
        took = ended - began
        latencies = [latency for when, latency in load.answers if began <= when < ended]
        problems = [problem for when, problem in load.failures if began <= when < ended]
        tell(
            event,
            setting=setting,
            concurrency=concurrency,
            seconds=round(took, 3),
            requests=len(latencies),
            failures=len(problems),
            problem=problems[-1] if problems else "",
            latency=summary(latencies),
            server=difference(before, after) if before is not None and after is not None else None,
            serverCores=_cores(used_between(processes, processes_after), took),
            nodeBusyCores=_cores(None if busy is None or busy_after is None else busy_after - busy, took),
            generatorCores=_cores(own_used, took),
        )

    def compare_with(self, gateway: Mapping[str, str]) -> None:
        """The same request, in turns to the server and through the gateway, one at a time."""
        there = urlsplit(gateway["url"])
        through = Line(there.hostname or "", there.port or 80)
        times: dict[str, list[float]] = {"direct": [], "through": []}
        path = there.path.rstrip("/") + self.plan["path"]
        for _ in range(GATEWAY_REQUESTS):
            for name, line, target, headers in (
                ("direct", self.line, self.plan["path"], {}),
                ("through", through, path, {"Host": gateway["host"]}),
            ):
                began = time.monotonic()
                try:
                    status, text = line.ask("POST", target, self.body, **headers)
                except (OSError, http.client.HTTPException) as error:
                    return tell("gateway", problem=f"{gateway['url']}: {type(error).__name__} {error}")
                if status >= http.HTTPStatus.BAD_REQUEST:
                    return tell("gateway", problem=f"{gateway['url']} answers {status} {quoted(text)}")
                times[name].append(time.monotonic() - began)
        medians = {name: round(statistics.median(each) * 1000, 3) for name, each in times.items()}
        return tell("gateway", requests=GATEWAY_REQUESTS, **medians)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What happened between two looks at cumulative statistics; a reload in between begins them anew."""
    if after["requests"] < before["requests"]:
        return dict(after)
    counts = {key: after[key] - before[key] for key in after if key != "batches"}
    batches = {size: times - before["batches"].get(size, 0) for size, times in after["batches"].items()}
    return {**counts, "batches": {size: times for size, times in batches.items() if times > 0}}


def run(plan: Mapping[str, Any], payload: bytes | None) -> None:
    """Measures all that the plan names. Raises Failed."""
    bench = Bench(plan)
    bench.wait_ready()
    bench.introduce(payload)
    if plan["gateway"] is not None:
        bench.compare_with(plan["gateway"])
    for setting in plan["settings"]:
        problem = bench.use(setting)
        if problem:
            tell("skipped", setting=setting, problem=problem)
            continue
        tell("setting", setting=setting)
        for concurrency in plan["concurrency"]:
            bench.point(setting, concurrency)
    first = plan["settings"][0]
    # What two measurements of the same differ by is what no other setting can be credited with.
    if len(plan["settings"]) > 1 and not bench.use(first):
        bench.point(first, plan["concurrency"][-1], event="again")
    tell("end")


# --- a stream ---------------------------------------------------------------------------------------------------------


class Stream:
    """Requests at a steady rate, each when it is due and on a connection of its own, as those of new clients are."""

    def __init__(self, host: str, port: int, path: str, body: bytes) -> None:
        self._address, self._path, self._body = (host, port), path, body
        self._lock = threading.Lock()
        self._under_way: dict[int, float] = {}
        self.problems: Counter[str] = Counter()

    def run(self, rate: float, seconds: float) -> None:
        began = told = time.monotonic()
        sent = 0
        with ThreadPoolExecutor(MOST_AT_ONCE) as threads:
            while (now := time.monotonic()) < began + seconds:
                if now - told >= TELL_SECONDS:
                    told = now
                    self._tell(sent, now - began, now)
                self._under_way[sent] = now
                threads.submit(self._ask, sent)
                sent += 1
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))

    def _tell(self, sent: int, elapsed: float, now: float) -> None:
        """`settled`: of all that was sent until then, in seconds since the beginning, it is known what became of it."""
        with self._lock:
            oldest = min(self._under_way.values(), default=now)
            lost, problem = sum(self.problems.values()), next(iter(self.problems), "")
        settled = round(elapsed - (now - oldest), 3)
        tell("stream", elapsed=round(elapsed, 3), settled=settled, sent=sent, lost=lost, problem=problem)

    def _ask(self, number: int) -> None:
        line = Line(*self._address)
        try:
            status, text = line.ask("POST", self._path, self._body, Connection="close")
            problem = f"{status} {quoted(text)}" if status >= http.HTTPStatus.BAD_REQUEST else ""
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__} {error}"
        line.close()
        with self._lock:
            del self._under_way[number]
            if problem:
                self.problems[problem] += 1


def scraped(target: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the series that a server exposes, or why there are none."""
    try:
        status, text = Line(target["host"], target["port"]).ask("GET", target["path"], Connection="close")
    except (OSError, http.client.HTTPException) as error:
        return {"problem": f"{type(error).__name__} {error}"}
    if status != http.HTTPStatus.OK:
        return {"problem": f"{status} {quoted(text)}"}
    lines = (line for line in text.decode(errors="replace").splitlines() if line and not line.startswith("#"))
    return {"problem": "", "series": sorted({line.partition("{")[0].partition(" ")[0] for line in lines})}


def stream(plan: Mapping[str, Any], payload: bytes | None) -> None:
    """One request to a server, a look at its metrics, and a stream of requests to all. Raises Failed."""
    bench = Bench(plan)
    bench.wait_ready()
    try:
        bench.introduce(payload)
    finally:
        bench.line.close()
        if plan["metrics"] is not None:
            tell("metrics", **scraped(plan["metrics"]))
    to = plan["stream"]
    Stream(to["host"], to["port"], plan["path"], bench.body).run(float(plan["rate"]), float(plan["seconds"]))
    tell("end")


def main() -> int:
    parts = sorted((int(name.rpartition("_")[2]), name) for name in os.environ if name.startswith("SLUICE_PAYLOAD_"))
    payload = "".join(os.environ[name] for _, name in parts)
    plan = json.loads(os.environ["SLUICE_PROFILE"])
    try:
        (stream if "stream" in plan else run)(plan, unpacked(payload) if payload else None)
    except Failed as failed:
        tell("failed", reason=failed.reason, problem=str(failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
