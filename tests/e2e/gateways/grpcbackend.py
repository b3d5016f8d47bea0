"""The same by gRPC, without protocol buffers: bytes in, the revision's name out. Runs in a Pod with grpcio beside it.

/sluice.Backend/Say     OK and its name        /sluice.Backend/Fail    INTERNAL, with its name for a message
/sluice.Backend/Administer    as Say; no client should reach it
"""

import concurrent.futures
import os
from collections.abc import Callable
from typing import Final

import grpc

PORT: Final = 8081
SERVICE: Final = "sluice.Backend"
REVISION: Final = os.environ.get("REVISION", "")


def say(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    return REVISION.encode()


def fail(_request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.INTERNAL, REVISION)
    raise AssertionError("abort raises")


METHODS: Final[dict[str, Callable[[bytes, grpc.ServicerContext], bytes]]] = {
    "Say": say,
    "Fail": fail,
    "Administer": say,
}

if __name__ == "__main__":
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in METHODS.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"0.0.0.0:{PORT}")
    server.start()
    server.wait_for_termination()
