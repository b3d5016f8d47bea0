"""A server with TensorFlow Serving's published interface, where the real one cannot be had.

It reads the flags of the ServingRuntime and the two configurations that the downloader writes, by the published protobuf schema;
serves REST and gRPC; and refuses what the real one refuses: a relative path, a version without a SavedModel, an unknown model.
Its model adds up each row. Field numbers are those of tensorflow_serving/apis and tensorflow_serving/config.
"""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from tests.support import patience

Field = descriptor_pb2.FieldDescriptorProto
PACKAGE: Final = "tensorflow.serving"
DT_FLOAT: Final = 1
PREDICT: Final = f"/{PACKAGE}.PredictionService/Predict"

SCHEMA: Final = {
    # message: {field: (number, type, repeated)}
    "ModelConfig": {
        "name": (1, "string", False),
        "base_path": (2, "string", False),
        "model_platform": (4, "string", False),
    },
    "ModelConfigList": {"config": (1, "ModelConfig", True)},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList", False)},
    "PrometheusConfig": {"enable": (1, "bool", False), "path": (2, "string", False)},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig", False)},
    "Dim": {"size": (1, "int64", False)},
    "TensorShapeProto": {"dim": (2, "Dim", True)},
    "TensorProto": {
        "dtype": (1, "int32", False),
        "tensor_shape": (2, "TensorShapeProto", False),
        "tensor_content": (4, "bytes", False),
        "float_val": (5, "float", True),
    },
    "Int64Value": {"value": (1, "int64", False)},
    "ModelSpec": {
        "name": (1, "string", False),
        "version": (2, "Int64Value", False),
        "signature_name": (3, "string", False),
    },
    # A map on the wire is a repeated message of key and value.
    "TensorEntry": {"key": (1, "string", False), "value": (2, "TensorProto", False)},
    "PredictRequest": {"model_spec": (1, "ModelSpec", False), "inputs": (2, "TensorEntry", True)},
    "PredictResponse": {"outputs": (1, "TensorEntry", True), "model_spec": (2, "ModelSpec", False)},
}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="contract.proto", package=PACKAGE, syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = message.field.add(name=field, number=number)
            added.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            if kind in SCHEMA:
                added.type, added.type_name = Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                added.type = getattr(Field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in SCHEMA}


MESSAGES: Final = _messages()


class CannotStart(Exception):
    """What the real server ends with."""


@dataclass(frozen=True)
class Flags:
    """The flags that matter, as `--name=value`."""

    values: dict[str, str]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Flags":
        pairs = (argument.removeprefix("--").partition("=") for argument in arguments)
        return cls({name: value for name, _, value in pairs})

    def text(self, flag: str, message: str, root: Path) -> Any:
        return text_format.Parse((root / self.values[flag].removeprefix("/")).read_text(), MESSAGES[message]())


@contextlib.contextmanager
def running(arguments: Sequence[str], root: Path) -> Iterator[None]:
    """Serves by the flags; `root` stands for the container's `/`. Raises CannotStart as the server would end."""
    flags = Flags.of(arguments)
    [config] = flags.text("model_config_file", "ModelServerConfig", root).model_config_list.config
    monitoring = flags.text("monitoring_config_file", "MonitoringConfig", root).prometheus_config
    version = _loaded(config, root)
    counts: dict[str, int] = {"OK": 0, "INVALID_ARGUMENT": 0}
    metrics = monitoring.path if monitoring.enable else None
    rest = http.server.ThreadingHTTPServer(
        ("127.0.0.1", int(flags.values["rest_api_port"])), _handler(config.name, version, metrics, counts)
    )
    calls = grpc.server(futures.ThreadPoolExecutor(2))
    calls.add_generic_rpc_handlers((_Predict(config.name, version),))
    calls.add_insecure_port(f"127.0.0.1:{flags.values['port']}")
    calls.start()
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        rest.shutdown()
        rest.server_close()
        calls.stop(0).wait()


def _loaded(config: Any, root: Path) -> int:
    """The version that is served: the highest number below the base path."""
    if not config.base_path.startswith("/"):
        raise CannotStart(f"Expected model {config.name} to have an absolute path; got base_path()={config.base_path}")
    base = root / config.base_path.removeprefix("/")
    versions = sorted(int(folder.name) for folder in base.iterdir() if folder.name.isdecimal()) if base.is_dir() else []
    if not versions:
        raise CannotStart(f"No versions of servable {config.name} found under base path {config.base_path}")
    if not (base / str(versions[-1]) / "saved_model.pb").is_file():
        raise CannotStart(f"Could not find SavedModel .pb at {config.base_path}/{versions[-1]}")
    return versions[-1]


def _handler(name: str, version: int, metrics: str | None, counts: dict[str, int]) -> type[Any]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/v1/models/{name}":
                state = {
                    "version": str(version),
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
                self._say(200, json.dumps({"model_version_status": [state]}))
            elif self.path == f"/v1/models/{name}/metadata":
                self._say(200, json.dumps({"model_spec": {"name": name, "version": str(version)}, "metadata": {}}))
            elif self.path == metrics:
                rows = (
                    f':tensorflow:serving:request_count{{model_name="{name}",status="{s}"}} {n}'
                    for s, n in counts.items()
                )
                self._say(200, "\n".join(rows) + "\n")
            else:
                self._say(404, json.dumps({"error": f"Could not find any versions of model {self.path}"}))

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{name}:predict":
                return self._say(404, json.dumps({"error": f"Servable not found for request: {self.path}"}))
            if "instances" not in document:
                counts["INVALID_ARGUMENT"] += 1
                return self._say(400, json.dumps({"error": "Missing 'inputs' or 'instances' key"}))
            counts["OK"] += 1
            return self._say(200, json.dumps({"predictions": [sum(row) for row in document["instances"]]}))

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler


class _Predict(grpc.GenericRpcHandler):
    def __init__(self, name: str, version: int) -> None:
        self._name = name
        self._version = version

    def service(self, details: Any) -> Any:
        if details.method != PREDICT:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._predict, MESSAGES["PredictRequest"].FromString, MESSAGES["PredictResponse"].SerializeToString
        )

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.model_spec.name != self._name:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({request.model_spec.name})"
            )
        [entry] = request.inputs
        answer = MESSAGES["PredictResponse"]()
        answer.model_spec.name, answer.model_spec.version.value = self._name, self._version
        answer.outputs.add(key="total", value=tensor(array(entry.value).sum(axis=1)))
        return answer


def tensor(values: np.ndarray) -> Any:
    made = MESSAGES["TensorProto"](dtype=DT_FLOAT, tensor_content=values.astype("<f4").tobytes())
    for size in values.shape:
        made.tensor_shape.dim.add(size=size)
    return made


def array(value: Any) -> np.ndarray:
    return np.frombuffer(value.tensor_content, "<f4").reshape([dim.size for dim in value.tensor_shape.dim])


def predict_by_grpc(address: str, model: str, rows: np.ndarray) -> np.ndarray:
    """One call, as a client of TensorFlow Serving makes it."""
    request = MESSAGES["PredictRequest"]()
    request.model_spec.name = model
    request.inputs.add(key="rows", value=tensor(rows))
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            PREDICT, MESSAGES["PredictRequest"].SerializeToString, MESSAGES["PredictResponse"].FromString
        )
        [output] = call(request, timeout=patience.HANG_SECONDS).outputs
    return array(output.value)
