"""A model server that works on one request at a time, for a fixed time, and costs no processor: what a pod can do is known."""

from typing import Any, Final

from demo import cluster as clusters

NAME: Final = "one-at-a-time"
FORMAT: Final = "triton"
SECONDS: Final = 0.04
PORT: Final = 8080

PROGRAM: Final = f"""
import http.server, json, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({{}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep({SECONDS})
        self.answer({{"outputs": [{{"name": "label", "shape": [1], "datatype": "INT64", "data": [0]}}]}})

    def log_message(self, *_):
        pass

class Server(http.server.HTTPServer):
    request_queue_size = 1024

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Server(("", {PORT}), Handler).serve_forever()
"""

SPEC: Final[dict[str, Any]] = {"model": {"format": FORMAT}, "runtime": {"name": NAME}}
"""What a ModelDeployment says to run on it."""


def runtime() -> dict[str, Any]:
    """The ServingRuntime; by its name only."""
    # A probe waits its turn behind the requests: it asks for the port, which answers at once.
    probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    container = {
        "name": "server",
        "image": clusters.IMAGES["storage-initializer"].tag,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c"],
        "args": [PROGRAM],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": {**probe, "failureThreshold": 60},
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": NAME},
        "spec": {
            "formats": [{"name": FORMAT, "priority": 0}],
            "modelLayout": "Plain",
            "port": PORT,
            "containers": [container],
            "drain": {"preStopSeconds": 5},
        },
    }
