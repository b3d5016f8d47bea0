"""A port of this machine that leads to a pod, through a kubectl that is made up."""

import os
from pathlib import Path

import pytest

from kubectl_sluice.adapters import portforward
from sluice_core import errors


def fake_kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "kubectl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_the_local_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "said"
    fake_kubectl(
        tmp_path,
        monkeypatch,
        f'echo "$@" > {said}; echo $$ >> {said}; echo "Forwarding from 127.0.0.1:45678 -> 8000"; exec sleep 60',
    )
    async with portforward.forwarded("p", 8000, namespace="ml", options=("--context=c",)) as port:
        assert port == 45678
        arguments, pid = said.read_text().splitlines()
    assert arguments == "port-forward pod/p :8000 --address=127.0.0.1 --namespace=ml --context=c"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


async def test_what_kubectl_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_kubectl(tmp_path, monkeypatch, 'echo "pods p is forbidden" >&2; exit 1')
    with pytest.raises(errors.Unavailable, match="pods p is forbidden; you need create of pods/portforward"):
        async with portforward.forwarded("p", 8000, namespace="ml", options=()):
            pass


async def test_without_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.Unavailable, match="it must be on the PATH"):
        async with portforward.forwarded("p", 8000, namespace="ml", options=()):
            pass
