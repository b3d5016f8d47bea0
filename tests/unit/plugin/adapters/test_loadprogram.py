"""The generator as a process of this machine."""

import subprocess
import sys

from kubectl_sluice.adapters import loadprogram


async def test_a_generator_ends_with_the_block() -> None:
    plan = '{"host": "127.0.0.1", "port": 9, "model": "m", "readySeconds": 60, "readyPath": "/r"}'
    async with loadprogram.running({"SLUICE_PROFILE": plan}) as generator:
        assert not generator.ended
    assert generator.ended


def test_the_text_needs_no_package_beside_it() -> None:
    """In a pod there is no Sluice: what it says about a plan that is missing comes from the text alone."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", loadprogram.program()], env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "KeyError: 'SLUICE_PROFILE'" in done.stderr
