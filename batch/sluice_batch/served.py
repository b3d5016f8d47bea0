"""A model server in the same pod, over loopback."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
import numpy as np

from sluice_batch import failures
from sluice_batch.columns import Tensor
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.model import Rejected
from sluice_batch.options import Server, ServerProtocol

AT_ONCE: Final = 4
"""The most requests in flight, which protects the server from overload."""
PATIENCE_SECONDS: Final = 300.0
"""How long a server may be away, or still starting."""
REQUEST_SECONDS: Final = 300.0
FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 5.0
QUOTED: Final = 300
"""How many characters of a server's answer are quoted."""
BUSY: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that say nothing about the rows."""
DTYPES: Final[Mapping[str, Any]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
DATATYPES: Final = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
UNTOLD: Final = Tensor("input-0", np.dtype(np.float64), (None,))
"""The input name for a server that does not report its inputs."""
AS_ARRAY: Final = {"content_type": "np"}
"""Sent with it: a data frame would need column names, which are unknown, and MLflow models on MLServer expect one
otherwise."""


@contextmanager
def connected(server: Server) -> Iterator["ServedModel"]:
    """The model, once the server is there. Raises BatchError."""
    with httpx.Client(base_url=server.endpoint, timeout=REQUEST_SECONDS, trust_env=False) as client:
        yield ServedModel(client, server)


class ServedModel:
    """A Model."""

    at_once = AT_ONCE

    def __init__(self, client: httpx.Client, server: Server) -> None:
        self._client, self._server = client, server
        version = server.protocol.value.lower()
        self._path = f"/{version}/models/{server.model_name}"
        self.inputs: Sequence[Tensor] = self._told_inputs()

    def predict(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        if self._server.protocol is ServerProtocol.V1:
            answer = self._post(f"{self._path}:predict", v1_request(arrays))
            return self._understood(v1_outputs, answer)
        untold = UNTOLD.name in arrays
        answer = self._post(f"{self._path}/infer", v2_request(arrays, AS_ARRAY if untold else {}))
        return self._understood(v2_outputs, answer)

    def _told_inputs(self) -> tuple[Tensor, ...]:
        """From the model's metadata, which V1 and some servers of V2 lack."""
        if self._server.protocol is ServerProtocol.V1:
            self._patiently(lambda: self._client.get(self._path))
            return (UNTOLD,)
        answer = self._patiently(lambda: self._client.get(self._path))
        entries = answer.json().get("inputs") if answer.is_success else None
        return tuple(v2_tensor(entry) for entry in entries) if entries else (UNTOLD,)

    def _post(self, path: str, body: Any) -> Any:
        answer = self._patiently(lambda: self._client.post(path, json=body))
        if not answer.is_success:
            raise Rejected(f"the server answers {answer.status_code}: {failures.one_line(answer.text)[:QUOTED]}")
        return answer.json()

    def _understood(self, read: Callable[[Any], dict[str, Any]], answer: Any) -> dict[str, Any]:
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise BatchError(
                FailureReason.UNSUPPORTED_MODEL,
                f"the server's answer does not follow protocol {self._server.protocol.value} "
                f"({type(error).__name__}: {error})",
            ) from error

    def _patiently(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Repeats with growing pauses while the server does not answer, or is not ready."""
        deadline, wait = time.monotonic() + PATIENCE_SECONDS, FIRST_WAIT_SECONDS
        while True:
            try:
                answer = ask()
                if answer.status_code not in BUSY:
                    return answer
                said = f"answers {answer.status_code}"
            except httpx.TransportError as error:
                said = f"{type(error).__name__}: {error}"
            if time.monotonic() + wait > deadline:
                raise BatchError(
                    FailureReason.SERVER_UNREACHABLE,
                    f"the model server at {self._server.endpoint} {said}; see the log of its container",
                )
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)


def v2_tensor(entry: Mapping[str, Any]) -> Tensor:
    """An input from a model's metadata; -1 is any size."""
    dtype = DTYPES.get(str(entry.get("datatype")))
    if dtype is None:
        raise BatchError(FailureReason.UNSUPPORTED_MODEL, f"the input {entry.get('name')!r} is {entry.get('datatype')}")
    batch, *shape = (None if int(size) < 0 else int(size) for size in entry.get("shape") or [-1, -1])
    return Tensor(str(entry["name"]), np.dtype(dtype), tuple(shape), 1 if batch == 1 else None)


def v2_request(arrays: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    inputs = [
        {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype], "data": array.ravel().tolist()}
        for name, array in arrays.items()
    ]
    return {"inputs": inputs, **({"parameters": dict(parameters)} if parameters else {})}


def v2_outputs(answer: Any) -> dict[str, Any]:
    return {
        output["name"]: np.array(output["data"], DTYPES[output["datatype"]]).reshape(output["shape"])
        for output in answer["outputs"]
    }


def v1_request(arrays: Mapping[str, Any]) -> dict[str, Any]:
    (array,) = arrays.values()
    return {"instances": array.tolist()}


def v1_outputs(answer: Any) -> dict[str, Any]:
    """One output named `prediction`, or one for each name where the predictions are objects."""
    predictions = answer["predictions"]
    if predictions and isinstance(predictions[0], dict):
        return {name: _text_as_objects(np.array([entry[name] for entry in predictions])) for name in predictions[0]}
    return {"prediction": _text_as_objects(np.array(predictions))}


def _text_as_objects(array: Any) -> Any:
    return array.astype(np.object_) if array.dtype.kind in "US" else array
