"""The load client's sister for gRPC: real images through the GRPCRoute, every call counted by what became of it."""

import random
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from demo import counting, digits
from demo.counting import Book, Counts, Fate
from demo.load import REVISION_HEADER, Target

GRPC_PREFIX: Final = "grpc-"
CALLERS: Final = 4
"""Each has a connection of its own."""
DEADLINE_SECONDS: Final = 60.0
OF_THE_SERVER: Final = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN}
)
"""Statuses that the model server itself answers; the others are made by the gateway, or by nobody."""


class GrpcLoad:
    """Calls in threads of its own between `start()` and `stop()`, each call when it is due or right after the last."""

    def __init__(self, target: Target, *, rate: float, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._address = target.url.removeprefix("http://").rstrip("/")
        self._authority = f"{GRPC_PREFIX}{target.host}"
        self._model = target.model
        self._pause_seconds = CALLERS / rate
        self._metadata = metadata
        self._book = Book()
        self._stopping = threading.Event()
        _, held_out = digits.split()
        self._examples = tuple(zip(held_out.images, held_out.labels.tolist(), strict=True))
        self._threads = [
            threading.Thread(target=self._call_on_time, args=(seed,), daemon=True) for seed in range(CALLERS)
        ]

    def start(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> Counts:
        self._stopping.set()
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS + 5)
        return self.counts()

    def counts(self) -> Counts:
        return self._book.counts()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _call_on_time(self, seed: int) -> None:
        choice = random.Random(seed)
        # A subchannel pool of its own: otherwise all callers of a process share one connection.
        options = (("grpc.default_authority", self._authority), ("grpc.use_local_subchannel_pool", 1))
        with grpc.insecure_channel(self._address, options=options) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            due = time.monotonic()
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                due += self._pause_seconds
                self._call(stub, *choice.choice(self._examples))

    def _call(self, stub: Any, image: Any, label: int) -> None:
        began, problem = time.monotonic(), ""
        try:
            answer, call = stub.ModelInfer.with_call(
                infer_request(self._model, image), timeout=DEADLINE_SECONDS, metadata=self._metadata
            )
            fate = Fate.RIGHT if predicted_label(answer) == label else Fate.WRONG
        except grpc.RpcError as error:
            call, problem = error, f"{error.code().name}: {error.details()}"
            fate = Fate.FAILED if error.code() in OF_THE_SERVER else Fate.LOST
        self._book.add(revision_of(call), fate, (time.monotonic() - began) * 1000, problem)


def infer_request(model: str, image: Any) -> Any:
    """A ModelInfer request of the Open Inference Protocol for one image of shape [64]."""
    contents = service_pb2.InferTensorContents(fp32_contents=[float(pixel) for pixel in image])
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="image", datatype="FP32", shape=[1, digits.PIXELS], contents=contents
    )
    output = service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="label")
    return service_pb2.ModelInferRequest(model_name=model, inputs=[tensor], outputs=[output])


def predicted_label(answer: Any) -> int:
    return int(np.frombuffer(answer.raw_output_contents[0], dtype=np.int64)[0])


def revision_of(call: Any) -> str:
    """Which revision answered; an answer that is nothing but a status has the header among its trailers."""
    metadata = {
        key: value for pairs in (call.initial_metadata(), call.trailing_metadata()) for key, value in pairs or ()
    }
    return str(metadata.get(REVISION_HEADER, counting.UNKNOWN_REVISION))
