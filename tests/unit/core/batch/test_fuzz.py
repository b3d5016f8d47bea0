"""Whatever pods of batch inference and of variants say of themselves is figures, or nothing."""

from hypothesis import strategies as st

from sluice_core.api.v1alpha1.batchinference import ShardCounts
from sluice_core.batch import progress
from sluice_core.kernel import naming
from sluice_core.parsing import jobs
from sluice_core.parsing.runstate import RunState, ShardProgress
from sluice_core.render.jobs import batchjob
from sluice_core.situation import variants
from sluice_judge import timestamps
from tests.support.fuzzing import CHANGES, bodies, examples, run, spoiled

NOW = 1_800_000_000.0
ANSWER = {"shard": 2, "splits": 8, "splitsDone": 3, "rowsTotal": 1000, "read": 400, "written": 390, "failed": 10}
RESULT = {"read": 400, "written": 390, "failed": 10, "wrong": 3}
VARIANT = {
    "sizeBytes": 1000,
    "originalSizeBytes": 4000,
    "agreement": 0.99,
    "rows": 10,
    "calibrated": True,
    "latencyMillis": 1.5,
    "originalLatencyMillis": 2.5,
}
MOST = 2**63 - 1


def require_writable(figures: progress.RunProgress) -> None:
    """The API server takes whole numbers of 64 bits, and moments that a calendar has."""
    counted = [figures.counted.read, figures.counted.written, figures.counted.failed]
    rows = [figures.rows.total or 0, figures.rows.read, figures.rows.written, figures.rows.failed]
    assert all(0 <= number <= MOST for number in (*counted, *rows, figures.percent))
    if figures.estimated_completion_time is not None:
        assert timestamps.seconds(figures.estimated_completion_time) >= NOW


@examples
def test_progress_pages(count: int) -> None:
    def check(pages: list[bytes]) -> None:
        figures, heard = progress.RunProgress(), dict[str, ShardProgress]()
        state = RunState(exists=True, shards=ShardCounts(total=3, running=2))
        for number, page in enumerate(pages):
            try:
                heard[f"pod-{number}"] = jobs.read_progress(page.decode(errors="replace"))
            except ValueError:
                continue
            figures = progress.folded(figures, state, heard, NOW + 10 * number)
            require_writable(figures)

    pages = bodies(st.builds(spoiled, st.sampled_from([ANSWER, {**ANSWER, "shard": 1, "read": 900}]), CHANGES))
    run(count, check, pages=st.lists(pages, min_size=1, max_size=4))


def ended(container: str, message: str) -> dict[str, object]:
    end = {"exitCode": 0, "message": message}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": container, "state": {"terminated": end}}]}
    return {"kind": "Pod", "metadata": {"name": "pod", "labels": {batchjob.INDEX_LABEL: "1"}}, "status": status}


@examples
def test_last_words_of_shards(count: int) -> None:
    def check(message: bytes) -> None:
        state = jobs.said([ended(naming.BATCH_CONTAINER, message.decode(errors="replace"))], NOW)
        require_writable(progress.folded(progress.RunProgress(), state, {}, NOW))

    run(count, check, message=bodies(st.builds(spoiled, st.just(RESULT), CHANGES)))


@examples
def test_last_words_of_variants(count: int) -> None:
    def check(message: bytes) -> None:
        for report in variants.reports([ended(naming.OPTIMIZER_CONTAINER, message.decode(errors="replace"))]):
            assert all(0 <= number <= MOST for number in report.values() if isinstance(number, int))
            assert not {"nan", "inf"} & {word.strip("-%") for word in map(str, report.values())}

    run(count, check, message=bodies(st.builds(spoiled, st.just(VARIANT), CHANGES)))
