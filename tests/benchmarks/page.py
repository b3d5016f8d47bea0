"""Memory of the web page with 48 concurrent pages, beside pods with 1.4 MB of labels each.

An earlier commit is measured first, by its own page: `pageworld` runs there, too.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import httpx

from demo import cluster as clusters
from demo.progress import step
from tests.benchmarks import checkouts, pageworld, report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "page"
PAGES: Final = 48
LIMIT: Final = 512
"""The chart's limit, in MiB."""
METHOD: Final = f"""\
The web page runs as a process, as in a cluster (`MALLOC_ARENA_MAX=2`), before the tests' API server in another process.
{pageworld.SESSIONS} sessions of one user ask for {PAGES} pages of a model at once; {pageworld.PODS} of its pods have
{pageworld.LABEL_BYTES / 1e6:.1f} MB of labels each. Another reader asks for the page of a small model meanwhile, again and
again. *Most* is the maximum of resident memory."""
MODEL: Final = "/models/team-a/digits"
SMALL: Final = "/models/team-b/hidden-model"

Found: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Options:
    before: Path | None = None
    """An earlier commit to measure as well."""


def measure(options: Options) -> Section:
    machine = report.host()
    checkouts_ = {"before": options.before} if options.before is not None else {}
    found = {name: _measured(path) for name, path in {**checkouts_, "now": clusters.ROOT}.items() if path is not None}
    rows = [
        (
            name,
            f"{each['base']:.0f} MiB",
            f"{each['most']:.0f} MiB",
            f"{each['answered']:.0f} of {PAGES}",
            f"{each['others']:.0f}",
        )
        for name, each in found.items()
    ]
    most = found["now"]["most"]
    return Section(
        key=KEY,
        title="Memory of the web page",
        method=METHOD,
        figures=(Figure("most under the attack", f"{most:.0f} MiB", f"≤ {LIMIT} MiB", most <= LIMIT),),
        tables=(Table(("page", "before it", "most", "pages answered", "of the other reader meanwhile"), rows),),
        machine=machine,
    )


def _measured(checkout: Path) -> Found:
    with (
        step(f"page: {PAGES} at once"),
        _process([sys.executable, "-m", "tests.benchmarks.pageworld", "api"], clusters.ROOT) as (_, api),
        _process([sys.executable, str(Path(pageworld.__file__)), "page", api], checkout) as (pid, page),
    ):
        return asyncio.run(_attacked(pid, page))


@contextlib.contextmanager
def _process(command: list[str], checkout: Path) -> Iterator[tuple[int, str]]:
    """Its process id, and the address that it prints."""
    own = checkouts.process(checkout, "pageworld") | {"args": command}
    own["env"] = {**own["env"], "SSL_CERT_FILE": os.devnull}
    with subprocess.Popen(**own, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.kill()


async def _attacked(pid: int, page: str) -> Found:
    async with contextlib.AsyncExitStack() as stack:
        tokens = [pageworld.OTHER, *(pageworld.ATTACKER.format(number) for number in range(pageworld.SESSIONS))]
        other, *attackers = [await stack.enter_async_context(_client(page, token)) for token in tokens]
        for each in (other, *attackers):
            (await each.get("/batches")).raise_for_status()
        base = _most(pid)
        asked = [asyncio.create_task(attackers[n % len(attackers)].get(MODEL)) for n in range(PAGES)]
        others = 0
        while not all(each.done() for each in asked):
            others += (await other.get(SMALL)).status_code == 200
        answers = await asyncio.gather(*asked, return_exceptions=True)
        answered = sum(isinstance(each, httpx.Response) and each.status_code == 200 for each in answers)
        return {"base": base, "most": _most(pid), "answered": answered, "others": others}


def _client(page: str, token: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=page, headers=headers, limits=limits, timeout=600, trust_env=False)


def _most(pid: int) -> float:
    """MiB."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) / 1024
