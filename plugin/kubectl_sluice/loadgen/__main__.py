"""The program: plan and payload come from the environment, results are lines on standard output."""

import json
import os
import sys

from kubectl_sluice.loadgen import events, payload, profile, stream

PLAN = "SLUICE_PROFILE"
PAYLOAD = "SLUICE_PAYLOAD_"
"""Followed by a number: Linux limits the size of one variable."""


def main() -> int:
    chunks = sorted((int(name.removeprefix(PAYLOAD)), name) for name in os.environ if name.startswith(PAYLOAD))
    packed = "".join(os.environ[name] for _, name in chunks)
    plan = json.loads(os.environ[PLAN])
    run = stream.run if "stream" in plan else profile.run
    try:
        run(plan, payload.unpacked(packed) if packed else None)
    except events.LoadFailed as failed:
        events.emit("failed", reason=failed.reason, problem=str(failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
