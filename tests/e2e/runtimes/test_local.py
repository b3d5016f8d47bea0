"""Every model server of the table, without a cluster: its image, its pod template and a real model."""

import importlib
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sluice_core.api.v1alpha1.servingruntime import Protocol
from tests.support import patience
from tests.support.runtimes import box, local, rendered
from tests.support.runtimes.asking import Ask, Load
from tests.support.runtimes.box import Box
from tests.support.runtimes.local import LocalHost
from tests.support.runtimes.table import MODEL, PARAMETERS

LEARNED_SECONDS: Final = 3.0
"""After this long the gateway sends nothing more to a Pod that is deleted."""
LONG_ASKS: Final = 4
"""Requests in flight when the server is told to stop."""

pytestmark = [
    pytest.mark.skipif(not box.is_possible(), reason="needs root and Debian"),
]


@pytest.fixture(scope="module", params=PARAMETERS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    folder: Path = tmp_path_factory.mktemp(request.param.name)
    folder.chmod(0o755)
    host = LocalHost(request.param, folder)
    yield host
    host.close()


@pytest.fixture(scope="module")
def server(host: LocalHost) -> Iterator[Box]:
    """One that is ready."""
    with host.start() as server:
        server.wait_ready(host.case.seconds)
        yield server


def test_a_ready_server_answers_its_first_request_and_one_that_starts_is_not_ready(host: LocalHost) -> None:
    with host.start() as server:
        assert not server.passes("readinessProbe")
        seconds = server.wait_ready(host.case.seconds)
        print(f"\n{host.case.name}: ready after {seconds:.1f} s")
        assert host.case.asks[0].problem(host.place(server)) == ""


def test_each_protocol_answers_right(host: LocalHost, server: Box) -> None:
    problems = {ask.protocol: ask.problem(host.place(server)) for ask in host.case.asks}
    assert problems == dict.fromkeys(problems, "")
    assert set(problems) == set(map(str, host.runtime.protocols))


def test_its_first_protocol_can_be_warmed_up(host: LocalHost, server: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the operator tells the container of the warm-up, with the payload of the table."""
    monkeypatch.syspath_prepend(str(rendered.DOWNLOADER))
    warming = importlib.import_module("sluice_warmup.__main__")
    asks = {ask.protocol: ask for ask in host.case.asks if isinstance(ask, Ask)}
    wanted = {"payloadRef": {"configMap": "payload", "key": "payload"}}
    if host.runtime.protocols == [Protocol.NATIVE] and host.runtime.warmup is None:
        wanted |= {"path": asks["Native"].path}
    template = rendered.pod(
        host.case.runtime, name=MODEL, format_=host.case.format, spec={**host.case.spec, "warmup": wanted}
    )
    arguments = template["spec"]["containers"][-1]["args"]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    port = int(server.address(int(options["--port"])).rpartition(":")[2])
    protocol, ask = options["--protocol"], asks[options["--protocol"]]
    warmed = warming.Server(port, MODEL, protocol, options["--ready-path"], options.get("--path", ""))
    assert warmed.is_ready()
    assert len(warming.warm_up(warmed, json.dumps(ask.body).encode(), 3, None)) == 3


def test_a_ready_server_is_alive(server: Box) -> None:
    assert server.passes("livenessProbe")


def test_metrics_are_where_the_template_says(host: LocalHost, server: Box) -> None:
    assert host.case.asks[0].problem(host.place(server)) == ""
    port, path = host.metrics_url
    with urllib.request.urlopen(f"http://{server.address(port)}{path}", timeout=patience.HANG_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    missing = [series for series in host.case.series if not any(line.startswith(series) for line in lines)]
    assert missing == [], "\n".join(lines)


def test_it_runs_restricted(host: LocalHost, server: Box) -> None:
    """As the template says, and so it was started; its own processes are no other user's either."""
    context = host.template["spec"]["containers"][0]["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert server.users() == {int(box.USER)}
    assert server.is_read_only("/")
    assert server.is_read_only("/models")


def test_a_wrong_model_is_never_ready_and_the_reason_is_said(host: LocalHost, subtests: pytest.Subtests) -> None:
    for name, broken in host.case.broken.items():
        with subtests.test(name):
            if broken.by_downloader:
                with pytest.raises(rendered.download_error(), match=broken.said):
                    host.start_with(broken.files)
                continue
            with host.start_with(broken.files) as server:
                deadline = time.monotonic() + host.case.refuses_seconds
                while time.monotonic() < deadline and server.exit_code is None:
                    assert not (server.passes("startupProbe") and server.passes("readinessProbe"))
                    if re.search(broken.said, server.log):
                        break
                    time.sleep(0.2)
                assert re.search(broken.said, server.message if server.exit_code is not None else server.log)
                assert server.exit_code != 0


def test_requests_at_a_steady_rate_and_those_in_flight_survive_the_end(host: LocalHost) -> None:
    """The gateway goes on sending for a while; then long requests are still under way when SIGTERM comes."""
    ask, long_ask = host.case.asks[0], host.case.long_ask
    if long_ask is None:
        pytest.skip("the same server as with another format")
    assert isinstance(ask, Ask)
    with host.start() as server:
        server.wait_ready(host.case.seconds)
        place = host.place(server)
        long_problems: list[str] = []

        threads = [
            threading.Thread(target=lambda: long_problems.append(long_ask.problem(place))) for _ in range(LONG_ASKS)
        ]
        load = Load(ask, place, rate=host.case.rate)
        in_flight: list[int] = []

        def before_signal() -> None:
            time.sleep(LEARNED_SECONDS)
            load.stop()
            time.sleep(max(0.0, host.runtime.drain.pre_stop_seconds - LEARNED_SECONDS))
            for thread in threads:
                thread.start()
            server.wait_begun(host.port, LONG_ASKS)
            in_flight.append(sum(thread.is_alive() for thread in threads))

        with load:
            time.sleep(2)
            ending = server.terminate(before_signal)
        for thread in threads:
            thread.join(patience.HANG_SECONDS)
        print(f"\n{host.case.name}: {load.sent} requests, {ending}")
        assert load.problems == {}
        assert in_flight == [LONG_ASKS], "some were over before the signal came"
        assert long_problems == [""] * LONG_ASKS
        assert ending.seconds < local.DRAIN_SECONDS + 5, "the kubelet would have killed it"
