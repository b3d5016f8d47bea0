"""Runs beside vLLM when its pod is removed, before it is told to stop: returns when it has nothing left to answer.

Told to stop, vLLM waits for the engine's last token and then closes its way to it. What the HTTP server has not read of
the answers by then is lost, and on busy processors it is behind.
"""

import http.client
import sys
import time

PORT, PAUSE_SECONDS, DRAIN_SECONDS = (int(argument) for argument in sys.argv[1:])
# The HTTP server sets both after it has read what the engine made.
GAUGES = ("vllm:num_requests_running{", "vllm:num_requests_waiting{")
# In a row: a request is counted with its first step, not when it comes.
LOOKS = 3


def is_idle() -> bool:
    """What cannot be seen is waited for."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    values = [float(line.split()[-1]) for line in lines if line.startswith(GAUGES)]
    return bool(values) and not any(values)


def wait() -> None:
    until = time.monotonic() + PAUSE_SECONDS + DRAIN_SECONDS
    time.sleep(PAUSE_SECONDS)  # in which the gateway learns that the pod goes
    looks = 0
    while looks < LOOKS and time.monotonic() < until:
        try:
            looks = looks + 1 if is_idle() else 0
        except ConnectionRefusedError:
            return  # it has ended by itself
        except (OSError, http.client.HTTPException):
            looks = 0  # too busy to answer
        time.sleep(1)  # until the next look


wait()
