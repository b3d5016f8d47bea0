"""`python -m sluice_llamacpp --model PATH --alias NAME [options]`: serves until SIGTERM, and then finishes requests in
flight.

The port opens when the model is loaded: a client that connects finds a loaded model.
"""

import asyncio
import contextlib
import os
import signal
import sys

import uvicorn

from sluice_llamacpp import checks, engine, listening, options
from sluice_llamacpp.front import Front
from sluice_llamacpp.problems import NotLoadable

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter from others: the longest wait of a token."""

IDLE_SECONDS = 2 * 3600
"""A gateway keeps connections for its next requests, Envoy for an hour. It must be the one to close them: a request
that crosses the server's close is lost."""


def main():
    wanted = options.parsed()
    try:
        model = checks.checked(wanted)
        loaded = engine.load(model, wanted)
    except NotLoadable as error:
        return str(error)
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(_serve(loaded, wanted, model.context))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # skips the engine's shutdown, which waits for abandoned answers


async def _serve(loaded, wanted, context):
    front = Front(loaded, wanted, context)
    server = QuietlyEnding(
        uvicorn.Config(
            front.application(),
            access_log=False,
            log_level="warning",
            lifespan="off",
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=wanted.drain_seconds,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    with listening.opened(wanted) as listener:
        print(f"serving {wanted.alias} on {wanted.host}:{listener.getsockname()[1]}", flush=True)
        await server.serve([listener])


class QuietlyEnding(uvicorn.Server):
    """Without uvicorn's own signal handling, which ends the process by the signal when all is done."""

    def capture_signals(self):
        return contextlib.nullcontext()


if __name__ == "__main__":
    sys.exit(main())
