"""A slow imitation of Prometheus: `python -m tests.benchmarks.slowprometheus MILLIS CANDIDATE`.

It prints its port, and answers `selector[window]` with steady counters of all Envoy clusters that the selector names:
those with CANDIDATE in their names have a quarter of the requests. Every twentieth answer is wrong. Series named slow_…
are answered after ten seconds.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

SCRAPE_SECONDS: Final = 5
SLOW_SECONDS: Final = 10.0
LES: Final = ("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "+Inf")
QUERY: Final = re.compile(r"(\w*)(?:\{(.*)\})?\[(\d+)s(?::(\d+)s)?\]", re.DOTALL)
NAMES: Final = re.compile(r"([^()|]*)\(([^()]*)\)([^()|]*)|([^()|]+)")
EXACT: Final = re.compile(r'(\w+)="([^"]*)"')
VALUES: Final = re.compile(r'envoy_cluster_name=~"([^"]*)"')


def series(query: str, moment: float, candidate: str) -> Iterator[dict[str, Any]]:
    """A query's series, with a sample of every scrape of its window."""
    parsed = QUERY.fullmatch(query)
    assert parsed is not None, query
    name, matchers, window, thinned = parsed[1], parsed[2] or "", int(parsed[3]), parsed[4]
    if not name:  # several names: the check for truncated answers, which are never truncated
        return
    step = int(thinned) if thinned else SCRAPE_SECONDS
    times = range(int((moment - window) // step + 1) * step, int(moment) + 1, step)
    for labels, rate in _labels(name, matchers, candidate):
        metric = {"__name__": name, "instance": "envoy-0", "job": "envoy", **dict(EXACT.findall(matchers)), **labels}
        yield {"metric": metric, "values": [[time, f"{rate * (time % 10_000_000)}"] for time in times]}


def _labels(name: str, matchers: str, candidate: str) -> Iterator[tuple[dict[str, str], int]]:
    found = VALUES.search(matchers)
    if found is None:
        yield {}, 1 if 'correct="false"' in matchers else 20
        return
    for cluster in _names(found[1]):
        rate = 5 if candidate in cluster else 15
        if name.endswith("_bucket"):
            yield from (({"envoy_cluster_name": cluster, "le": le}, rate) for le in LES)
        else:
            yield {"envoy_cluster_name": cluster, "envoy_response_code": "200"}, rate


def _names(pattern: str) -> Iterator[str]:
    """`a_(b|c)_d|e`: a_b_d, a_c_d, e."""
    for before, choices, after, plain in NAMES.findall(pattern):
        yield from (f"{before}{choice}{after}" for choice in choices.split("|")) if choices else (plain,)


async def serve(millis: float, candidate: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        asked = {**request.query, **await request.post()}
        query = str(asked["query"])
        await asyncio.sleep(SLOW_SECONDS if query.startswith("slow_") else millis / 1000)
        result = list(series(query, float(str(asked["time"])), candidate))
        return web.Response(
            text=json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}),
            content_type="application/json",
        )

    app = web.Application()
    app.router.add_route("*", "/api/v1/query", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), sys.argv[2]))
