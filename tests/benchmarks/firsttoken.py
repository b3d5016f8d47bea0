"""What the launcher of llama.cpp adds to a stream: `PYTHONPATH=build/serving-runtime/llamacpp/site:operator:. python -m
tests.benchmarks.firsttoken`, after `serving-runtime/stage.sh llamacpp`.

llama.cpp's own HTTP server and the launcher's answer the same request in turns, from one process with one model, to a client in
another process. On busy processors only the fast half says something.
"""

import asyncio
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from demo import languagemodels

ROUNDS: Final = 200
TOKENS: Final = 32
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

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
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
        time.sleep(1)  # until the launcher listens, which the main thread begins below
        subprocess.run([sys.executable, "-m", "tests.benchmarks.firsttoken", direct, f"127.0.0.1:{port}"], check=False)
        os._exit(0)

    threading.Thread(target=ask).start()
    sys.setswitchinterval(launcher.SWITCH_SECONDS)
    asyncio.run(launcher._serve(loaded, wanted, found.context))


def compared(direct: str, launcher: str) -> list[str]:
    found: dict[str, list[tuple[float, float]]] = {direct: [], launcher: []}
    for number in range(ROUNDS):
        for address in (direct, launcher):
            measured = asked(address)
            if number > 20:
                found[address].append(measured)
    lines = [
        "| | first token, 10th percentile | median | whole answer, 10th percentile | median |",
        "|---|---|---|---|---|",
    ]
    for name, address in (("llama.cpp's own server", direct), ("launcher", launcher)):
        columns = [sorted(each) for each in zip(*found[address], strict=True)]
        shown = [f"{column[len(column) // 10]:.2f} ms | {statistics.median(column):.2f} ms" for column in columns]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return lines


def asked(address: str) -> tuple[float, float]:
    """Milliseconds to the first line and to the end."""
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.connect()
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.readline()
    first = time.perf_counter()
    answer.read()
    ended = time.perf_counter()
    connection.close()
    return (first - began) * 1000, (ended - began) * 1000


if __name__ == "__main__":
    main()
