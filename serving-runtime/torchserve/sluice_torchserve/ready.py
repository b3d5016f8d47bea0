"""`python3 -m sluice_torchserve.ready NAME`: status 0 when each worker of the model is READY.

`/ping` answers 200 more than a second before a worker has loaded its model, so a probe must ask the management port.
"""

import http.client
import json
import sys

MANAGEMENT_PORT = 8081


def main():
    connection = http.client.HTTPConnection("127.0.0.1", MANAGEMENT_PORT, timeout=2)
    try:
        connection.request("GET", f"/models/{sys.argv[1]}")
        answer = connection.getresponse()
        described = json.loads(answer.read()) if answer.status == 200 else []
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    workers = [worker["status"] for model in described for worker in model.get("workers", ())]
    return 0 if workers and set(workers) == {"READY"} else f"workers: {', '.join(workers) or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
