"""What holds a server back: one made-up server for each answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sluice.offline.profile.bottleneck import BOTTLENECKS, Bottleneck, bottleneck
from kubectl_sluice.offline.profile.model import (
    BatchingMode,
    LatencySplit,
    Measurements,
    Setting,
    TextFigures,
    Through,
    knee,
)
from tests.unit.plugin.offline.profile.builders import make_measurements, make_point

QUEUED = LatencySplit(queue_millis=60.0, input_millis=0.1, infer_millis=10.0, output_millis=0.1)
BUSY, IDLE = 1.9, 0.9


def flat(**changes: object) -> Measurements:
    """Asking more brings nothing; queue where the last point stands."""
    return make_measurements(make_point(1, 100), make_point(8, 105, split=QUEUED, cores=IDLE), **changes)


def text(**gauges: float | None) -> TextFigures:
    return TextFigures(100.0, 50.0, 90.0, 20.0, **{"running": None, "waiting": None, "kv_cache": None, **gauges})


CASES = {
    "too slow to answer at all": (
        make_measurements(make_point(1, 100), make_point(2, 0), make_point(4, 100)),
        Bottleneck.FAILURES,
        "with 2 at once nothing was answered",
    ),
    "some requests fail": (
        make_measurements(make_point(1, 100), make_point(8, 100, failures=50, problem="503 full")),
        Bottleneck.FAILURES,
        "with 8 at once 50 of 1050 requests failed (503 full)",
    ),
    "the load is the limit": (
        make_measurements(make_point(1, 900), make_point(8, 2500, generator_cores=0.98)),
        Bottleneck.GENERATOR,
        "1.0 processors busy at 2500 requests/s",
    ),
    "the way through the gateway": (
        flat(through=Through(direct_millis=10, through_millis=30)),
        Bottleneck.GATEWAY,
        "of the 30.0 ms that a single request takes through it, 20.0 ms",
    ),
    "bodies": (
        make_measurements(make_point(1, 100, split=LatencySplit(0.1, 2.0, 3.0, 0.5)), make_point(8, 101)),
        Bottleneck.SERIALISATION,
        "6.90 ms of 10.0 ms are HTTP and reading and writing of bodies (271 bytes a request), and 3.00 ms the model",
    ),
    "a batch that nobody joins": (
        make_measurements(make_point(1, 50, split=LatencySplit(15.0, 0.1, 4.0, 0.1)), make_point(8, 51)),
        Bottleneck.BATCH_WINDOW,
        "even a single request waits 15.0 ms of 20.0 ms",
    ),
    "a full cache of a language model": (
        make_measurements(make_point(4, 10, split=None, text=text(kv_cache=0.95)), make_point(8, 10, split=None)),
        Bottleneck.KV_CACHE,
        "with 4 at once the server's cache is 95 % full",
    ),
    "a full batch of a language model": (
        make_measurements(make_point(4, 10, split=None, text=text(running=2, waiting=2))),
        Bottleneck.BATCH,
        "computes 2 requests together and lets 2 wait",
    ),
    "processors": (
        make_measurements(make_point(1, 100), make_point(4, 190, split=QUEUED, cores=BUSY), make_point(8, 191)),
        Bottleneck.CPU,
        "with 4 at once the server keeps 1.9 of 2 processors busy, and requests wait 60.0 ms of 21.1 ms",
    ),
    "others on the node": (
        make_measurements(make_point(1, 100, node_busy_cores=3.9), make_point(4, 101)),
        Bottleneck.NODE,
        "all of its 4 processors are busy, and the server has 0.5 of them",
    ),
    "more could be asked": (
        make_measurements(make_point(1, 100), make_point(2, 190)),
        Bottleneck.NOT_REACHED,
        "from 1 to 2 at once the throughput still grows by 90 %",
    ),
    "one point": (make_measurements(make_point(4, 100, mean=10)), Bottleneck.NOT_REACHED, "one point of load"),
    "one instance": (
        flat(),
        Bottleneck.INSTANCES,
        "waits 60.0 ms for its turn and is computed in 10.2 ms, and the server uses 0.9 of its 2 processors",
    ),
    "a server that tells nothing": (
        make_measurements(make_point(1, 100, split=None), make_point(8, 105, split=None, cores=None)),
        Bottleneck.UNKNOWN,
        "this server does not report where the time goes",
    ),
}


@pytest.mark.parametrize(("found", "kind", "words"), CASES.values(), ids=CASES.keys())
def test_bottlenecks(found: Measurements, kind: Bottleneck, words: str) -> None:
    finding = bottleneck(found)
    assert (finding.kind, words in finding.sentence) == (kind, True), finding.sentence


def test_each_has_its_case() -> None:
    assert {kind for _, kind, _ in CASES.values()} == set(Bottleneck) == {kind for kind, _ in BOTTLENECKS}


@pytest.mark.parametrize(("limited", "kind"), [(False, Bottleneck.CPU), (True, Bottleneck.UNKNOWN)])
def test_only_without_a_limit_the_load_takes_from_the_servers_processors(limited: bool, kind: Bottleneck) -> None:
    points = (make_point(1, 100, cores=1.5, generator_cores=0.3), make_point(4, 101, cores=1.5, generator_cores=0.3))
    assert bottleneck(make_measurements(*points, limited=limited)).kind is kind


def test_only_what_serves_is_judged() -> None:
    other = Setting(BatchingMode.ON, 100)
    points = (make_point(1, 100, setting=other, failures=900), make_point(1, 100), make_point(8, 105))
    assert bottleneck(make_measurements(*points)).kind is Bottleneck.UNKNOWN


splits = st.none() | st.builds(LatencySplit, *[st.floats(0, 1e4)] * 4)
points = st.builds(
    make_point,
    st.integers(1, 64),
    st.floats(0, 1e5),
    split=splits,
    p95=st.floats(0, 1e5),
    cores=st.none() | st.floats(0, 64),
    failures=st.integers(0, 100),
    generator_cores=st.floats(0, 2),
)


@given(st.lists(points, min_size=1, max_size=6, unique_by=lambda point: point.concurrency), st.booleans())
def test_every_measurement_has_one_sentence(found: list[object], limited: bool) -> None:
    sentence = bottleneck(make_measurements(*found, limited=limited)).sentence  # type: ignore[arg-type]
    assert sentence.endswith(".")
    assert "nan" not in sentence


@given(st.lists(points, min_size=1, max_size=6, unique_by=lambda point: point.concurrency))
def test_the_knee_has_nearly_the_most_with_the_fewest_clients(found: list[object]) -> None:
    base = make_measurements(*found).base  # type: ignore[arg-type]
    chosen, most = knee(base), max(point.rate for point in base)
    assert chosen.rate >= 0.95 * most
    assert all(point.rate < 0.95 * most for point in base if point.concurrency < chosen.concurrency)
