"""A plug-in of llama.cpp's launcher that misbehaves like a bad server, each way where the prompt has its word."""

from typing import Any, Final

NAME: Final = "bad-plug-in"
PATH: Final = "/plug-in"
BREAKS, DIES, ENDLESS, SILENT, RARE = "break", "die", "endless", "silent", "rare"
RARE_SECONDS: Final = 20
DEAF: Final = "DEAF"
"""A server with this variable ignores SIGTERM."""

PROGRAM: Final = f"""\
# Loaded by Python as it starts.
import asyncio
import os
import time

from sluice_llamacpp import engine

answer = engine.Engine.answer


def bad(self, *, chat, body, put):
    count = 0

    def counted(event):
        nonlocal count
        count += 1
        if count == 3 and b"{BREAKS}" in body:
            raise RuntimeError("the engine is dead")
        if count == 3 and b"{DIES}" in body:
            time.sleep(1)  # what came before is sent
            os._exit(3)
        if count == 3 and b"{SILENT}" in body:
            time.sleep(3600)
        if count == 3 and b"{ENDLESS}" in body:
            while not put(event):
                time.sleep(0.1)
        if b"{RARE}" in body:
            time.sleep({RARE_SECONDS})
        return put(event)

    answer(self, chat=chat, body=body, put=counted)


engine.Engine.answer = bad
if "{DEAF}" in os.environ:
    asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = lambda *_: None
"""


def config_map() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME},
        "data": {"sitecustomize.py": PROGRAM},
    }


def spec(*arguments: str, deaf: bool = False) -> dict[str, Any]:
    """The spec of a ModelDeployment whose server has it. arguments: of the server."""
    env = [{"name": "PYTHONPATH", "value": f"{PATH}:/opt/site"}]
    return {
        "runtime": {"args": list(arguments), "env": env + [{"name": DEAF, "value": "1"}] * deaf},
        "volumes": [{"name": "plug-in", "configMap": {"name": NAME}}],
        "volumeMounts": [{"name": "plug-in", "mountPath": PATH, "readOnly": True}],
    }
