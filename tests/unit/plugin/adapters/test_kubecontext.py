"""The connection of a kubeconfig."""

from pathlib import Path

import pytest
import yaml

from kubectl_sluice.adapters import kubecontext
from kubectl_sluice.views import serviceaddress
from sluice_core import errors
from tests.support.stores import webserver
from tests.support.stores.webserver import Page


async def test_a_service_behind_the_api_server_sends_nobody_elsewhere(tmp_path: Path) -> None:
    """With the user's credentials it would make a request of the tenant's choice."""
    address = serviceaddress.parsed("http://prometheus.evil.svc:9090")
    assert address is not None
    with webserver.running() as server:
        chosen = "/api/v1/namespaces/team/services/admin:80/proxy/delete-all"
        server.pages[f"{address.proxy_path}/api/v1/query"] = Page(status=302, headers={"Location": chosen})
        server.pages[chosen] = Page(b"{}")
        (tmp_path / "config").write_text(
            yaml.safe_dump(
                {
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
                    "clusters": [{"name": "here", "cluster": {"server": server.url("")}}],
                    "users": [{"name": "admin", "user": {"token": "administrators-own"}}],
                }
            )
        )
        async with kubecontext.connect(kubeconfig=tmp_path / "config") as cluster:
            with pytest.raises(errors.Unavailable, match="it redirects to /api/v1/namespaces/team"):
                await cluster.ask_service(address, "/api/v1/query", {}, at_most_bytes=1000)
        assert [path for path, _, _ in server.asked if path == chosen] == []
