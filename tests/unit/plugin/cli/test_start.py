"""How the plugin's processes start, and what they import only when it is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import certifi
import pytest

COLLECTED = """
import asyncio, gc, sys
from kubectl_sluice.cli import start
sys.argv = ["kubectl-sluice", "status", "digits", "--kubeconfig=/dev/null"]
run = asyncio.run
def reported(command):
    print("kubectl_sluice.cli.releases.status" in sys.modules, len(collected), gc.isenabled())
    return run(command)
asyncio.run = reported
collected = []
gc.callbacks.append(lambda phase, information: collected.append(phase))
start.main()
"""


def test_nothing_is_searched_for_garbage_before_the_command_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTED], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "0", "True"], done.stderr


FROZEN = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 10_000))
from kubectl_sluice.cli import start
sys.argv = ["kubectl-sluice", "--version"]
start.main()
"""


def test_nothing_is_searched_for_garbage_before_the_end() -> None:
    """Which is a sixth of a command: the interpreter looks through all that is imported."""
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


PRINTED = """
import sys
from kubectl_sluice.cli import start
sys.argv = ["kubectl-sluice", "--version"]
start.main()
"""


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (">/dev/full", "error: standard output: No space left on device\n"),
        (">&-", ""),
        ("<&- >&- 2>&-", ""),
    ],
)
def test_standard_streams_that_take_nothing_end_in_no_traceback(streams: str, said: str) -> None:
    shell = ["sh", "-c", f'"$0" -c "$1" {streams}', sys.executable, PRINTED]
    assert subprocess.run(shell, capture_output=True, text=True, check=False).stderr == said


AUTHORITIES = """
import os, ssl
from kubectl_sluice.cli import app
app.ENTRIES["status"].load("status")
import aiohttp.connector
for made in (aiohttp.connector._SSL_CONTEXT_VERIFIED, ssl.create_default_context()):
    print(len(made.get_ca_certs()))
print(os.environ.get("SSL_CERT_FILE"), gc.isenabled())
"""


@pytest.mark.parametrize("chosen", [True, False])
def test_certificates_are_read_where_they_are_used(chosen: bool, tmp_path: Path) -> None:
    """aiohttp reads all authorities of the machine twice when it is imported, which is a fifth of a command."""
    file = tmp_path / "authorities.pem"
    file.write_text(Path(certifi.where()).read_text())
    environment = {**os.environ, "SSL_CERT_FILE": str(file)} if chosen else {**os.environ}
    script = [sys.executable, "-c", f"import gc{AUTHORITIES}"]
    printed = subprocess.run(script, capture_output=True, text=True, check=True, env=environment).stdout.split()
    assert printed[0] == "0"
    assert printed[2:] == [str(environment.get("SSL_CERT_FILE")), "True"]
    assert not chosen or int(printed[1]) > 50


LAZY = """
import asyncio, os, sys
from kubectl_sluice.cli import start
before = dict(os.environ)
sys.argv = ["kubectl-sluice", "status", "digits", "--kubeconfig=/dev/null"]
def reported(command):
    command.close()
    left_out = ("kubernetes.client", "kubernetes.aio.dynamic", "_sysconfigdata")
    print(*(name for name in sys.modules if name.startswith(left_out)))
    print({**before, "PYTHONTZPATH": os.environ["PYTHONTZPATH"]} == os.environ, "kubernetes.aio.client" in sys.modules)
    import kubernetes
    print(kubernetes.client.V1Pod.__name__, hasattr(kubernetes.aio, "nothing"))
    return 0
asyncio.run = reported
start.main()
"""


def test_what_no_command_uses_is_not_imported_and_can_be_later() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["", "True True", "V1Pod False"], done.stderr
