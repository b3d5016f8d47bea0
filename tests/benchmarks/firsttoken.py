"""The latency that the launcher of llama.cpp adds to a stream:
`PYTHONPATH=build/serving-runtime/llamacpp/site:operator:. python -m tests.benchmarks.firsttoken`, after
`serving-runtime/stage.sh llamacpp`.

llama.cpp's own HTTP server and the launcher's answer the same request in turns, from one process with one model, to a
client in another process: each on a separate connection, and the launcher's also all on one, like a gateway. On busy
processors only the fast half is meaningful.
"""

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from demo import languagemodels
from lab import freeports

ROUNDS: Final = 200
TOKENS: Final = 32
KEPT: Final = "launcher, all on one connection"
BODY: Final = json.dumps(
    {
        "stream": True,
        "max_tokens": TOKENS,
        "cache_prompt": False,
        "messages": [{"role": "user", "content": "Say something."}],
    }
)


def main() -> None:
    if sys.argv[1:]:
        print(*compared(*sys.argv[1:]), sep="\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        serve(languagemodels.write(Path(scratch) / "model.gguf"))


def serve(model: Path) -> None:
    from sluice_llamacpp import __main__ as launcher
    from sluice_llamacpp import checks, engine, options

    port = freeports.take()
    wanted = options.parsed(
        [
            f"--model={model}",
            "--alias=net",
            "--host=127.0.0.1",
            f"--port={port}",
            "--context-length=2048",
            "--threads=1",
        ]
    )
    found = checks.checked(wanted)
    loaded: Any = engine.load(found, wanted)
    direct = loaded._server.listening_address.removeprefix("http://")

    def ask() -> None:
        time.sleep(1)  # until the launcher listens, started by the main thread below
        subprocess.run([sys.executable, "-m", "tests.benchmarks.firsttoken", direct, f"127.0.0.1:{port}"], check=False)
        os._exit(0)

    threading.Thread(target=ask).start()
    sys.setswitchinterval(launcher.SWITCH_SECONDS)
    asyncio.run(launcher._serve(loaded, wanted, found.context))


def compared(direct: str, launcher: str) -> list[str]:
    lines = [
        "| | first token, 10th percentile | median | whole answer, 10th percentile | median |",
        "|---|---|---|---|---|",
    ]
    addresses = {"llama.cpp's own server": direct, "launcher": launcher, KEPT: launcher}
    connections = {name: http.client.HTTPConnection(address, timeout=60) for name, address in addresses.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in addresses}
    for number in range(ROUNDS):
        for name, connection in connections.items():
            if name != KEPT:
                connection.close()
            measured = asked(connection)
            if number > 20:
                found[name].append(measured)
    for name, answers in found.items():
        columns = [sorted(each) for each in zip(*answers, strict=True)]
        shown = [f"{column[len(column) // 10]:.2f} ms | {statistics.median(column):.2f} ms" for column in columns]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return lines


def asked(connection: http.client.HTTPConnection) -> tuple[float, float]:
    """Milliseconds to the first line and to the end."""
    if connection.sock is None:
        connection.connect()
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.readline()
    first = time.perf_counter()
    answer.read()
    return (first - began) * 1000, (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
