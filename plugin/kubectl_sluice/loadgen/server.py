"""The measured model server: readiness, first request, settings and statistics."""

import http
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final

from kubectl_sluice.loadgen import connection, events, payload, processors, triton

WAIT_SECONDS: Final = 0.2


class MeasuredServer:
    """One server and how to send requests to it."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        self.host, self.port, self.model = str(plan["host"]), int(plan["port"]), str(plan["model"])
        self.connection = connection.ServerConnection(self.host, self.port)
        self.body = b""
        self.config: dict[str, Any] | None = None
        """Triton's configuration of the model before any change; None on other servers."""
        self._changed = False

    def wait_ready(self) -> None:
        path, deadline = self.plan["readyPath"], time.monotonic() + float(self.plan["readySeconds"])
        while time.monotonic() < deadline:
            try:
                if not self.connection.problem("GET", path or "/") or not path:
                    return
            except connection.ERRORS:
                pass  # it is still starting
            time.sleep(WAIT_SECONDS)
        raise events.LoadFailed("NotReady", f"the model was not ready within {self.plan['readySeconds']} s")

    def introduce(self, given: bytes | None) -> None:
        """One request; returns the server's identity. Raises `LoadFailed` where the server refuses it."""
        about = self.connection.fetch("/v2") or {}
        self.body = given if given is not None else self._made_up()
        self.config = (
            self.connection.fetch(f"/v2/models/{self.model}/config") if about.get("name") == "triton" else None
        )
        self._ask_once()
        events.emit(
            "server",
            name=str(about.get("name", "")),
            version=str(about.get("version", "")),
            nodeCores=os.cpu_count(),
            bodyBytes=len(self.body),
            madeUp=given is None,
        )

    def _made_up(self) -> bytes:
        metadata = self.connection.fetch(f"/v2/models/{self.model}")
        try:
            return payload.body_of(metadata or {})
        except (ValueError, TypeError, AttributeError) as error:
            raise events.LoadFailed("NoPayload", f"no request can be generated: {error}") from error

    def _ask_once(self) -> None:
        what = f"POST {self.plan['path']}"
        try:
            status, text = self.connection.ask("POST", self.plan["path"], self.body)
        except connection.ERRORS as error:
            raise events.LoadFailed("NoAnswer", f"{what}: {type(error).__name__}: {error}") from error
        if status >= http.HTTPStatus.BAD_REQUEST:
            reason = "ModelFails" if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else "PayloadRefused"
            raise events.LoadFailed(reason, f"{what} answers {status}: {connection.quoted(text)}")

    def use(self, setting: Mapping[str, Any]) -> str:
        """Applies a setting; why it cannot be applied, or empty."""
        as_it_was = setting["batching"] == "as is" and setting["instances"] is None
        if as_it_was and not self._changed:
            return ""
        if self.config is None:
            return "only Triton changes its batching and instances while it runs"
        try:
            wanted = triton.overridden(self.config, setting, int(self.plan["maximumBatch"]))
        except ValueError as error:
            return str(error)
        if wanted == self.config and not as_it_was:
            return "the same as it is"
        self._changed = not as_it_was
        return self._load(wanted)

    def _load(self, config: Mapping[str, Any]) -> str:
        """Reloads the model with a configuration, and sends it one request; why that fails, or empty."""
        body = json.dumps({"parameters": {"config": json.dumps(config)}}).encode()
        try:
            status, text = self.connection.ask("POST", f"/v2/repository/models/{self.model}/load", body)
            if status == http.HTTPStatus.OK:
                status, text = self.connection.ask("POST", self.plan["path"], self.body)
        except connection.ERRORS as error:
            return connection.described(error)
        return "" if status < http.HTTPStatus.BAD_REQUEST else connection.quoted(text)

    def statistics(self) -> dict[str, Any] | None:
        """Triton's statistics so far; None on other servers."""
        if self.config is None:
            return None
        models = triton.measured_models(self.config, self.model)
        return triton.counted([self.connection.fetch(f"/v2/models/{name}/stats") for name in models])

    def processors(self) -> tuple[dict[int, float], float | None]:
        """(the server's processes, the node); empty where it runs elsewhere."""
        root = self.plan["processes"]
        return (processors.processor_seconds(root), processors.busy_seconds()) if root is not None else ({}, None)
