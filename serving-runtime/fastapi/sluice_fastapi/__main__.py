"""`python -m sluice_fastapi`: serves until SIGTERM, and then finishes requests in flight before it exits.

Environment: PORT (default 8080), MODEL_PATH (default /models), MODEL_NAME (default model). The runtime sets all three.
"""

import os
import sys

import uvicorn

from sluice_fastapi import app, model

LONGEST_REQUEST_SECONDS = 60
IDLE_SECONDS = 2 * 3600
"""The gateway must be the one to close idle connections: a request that crosses the server's close is lost."""


def main():
    try:
        loaded = model.load(os.environ.get("MODEL_PATH", "/models"))
    except model.NotLoadable as error:
        return str(error)
    served = app.build(loaded, os.environ.get("MODEL_NAME", "model"))
    # The port opens only now: a client that connects finds a loaded model.
    port = int(os.environ.get("PORT", "8080"))
    host = "0.0.0.0"  # noqa: S104 - the kubelet and the gateway come from other hosts
    limits = {"timeout_keep_alive": IDLE_SECONDS, "timeout_graceful_shutdown": LONGEST_REQUEST_SECONDS}
    uvicorn.run(served, host=host, port=port, access_log=False, **limits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
