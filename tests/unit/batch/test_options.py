"""The command line."""

from pathlib import Path

import pytest

from sluice_batch import options
from sluice_batch.failures import BatchError
from sluice_batch.options import Format, InputData, Mode, OutputData, Server, ServerProtocol

NEEDED = ["--run", "r", "--input", "s3://b/in", "--input-format", "CSV"]
WHOLE = [*NEEDED, "--output", "s3://b/out", "--model", "/models"]


def test_what_is_given_is_what_is_meant() -> None:
    more = ["--shards", "3", "--columns", "a, b", "--keep", "id", "--mode", "Overwrite", "--output-format", "JSONLines"]
    more += ["--batch-size", "8", "--maximum-failed-rows-percent", "2.5%", "--progress-port", "0", "--scratch", "/s"]
    given = options.parsed([*WHOLE, *more], {"JOB_COMPLETION_INDEX": "2"})
    assert given.source == InputData("s3://b/in", Format.CSV, ("a", "b"))
    assert given.target == OutputData("s3://b/out", Format.JSON_LINES, Mode.OVERWRITE, ("id",))
    assert (given.run, given.shards, given.shard) == ("r", 3, 2)
    assert (given.batch_size, given.maximum_failed_percent) == (8, 2.5)
    assert (given.model, given.scratch) == (Path("/models"), Path("/s"))


def test_a_server_takes_the_place_of_a_model() -> None:
    served = ["--endpoint", "http://127.0.0.1:8080", "--protocol", "V1", "--model-name", "digits"]
    given = options.parsed([*NEEDED, "--labels", "truth", "--shard", "0", *served], {})
    assert given.model == Server("http://127.0.0.1:8080", ServerProtocol.V1, "digits")
    assert (given.target, given.labels) == (None, "truth")


WRONG = {
    "no input": (["--run", "r"], "the following arguments are required: --input"),
    "output and labels": ([*WHOLE, "--labels", "x"], "pass either --output, or --labels"),
    "neither": ([*NEEDED, "--model", "/m"], "pass either --output, or --labels"),
    "model and server": ([*WHOLE, "--endpoint", "http://x"], "pass either --model, or --endpoint"),
    "server without a name": (
        [*NEEDED, "--output", "s3://b/o", "--endpoint", "http://x"],
        "--endpoint needs --model-name",
    ),
    "shard out of range": ([*WHOLE, "--shard", "1"], "--shard 1 is not among 0 … 0"),
    "no shard": (WHOLE, "give --shard, or set JOB_COMPLETION_INDEX"),
    "format": ([*WHOLE, "--output-format", "ORC"], "argument --output-format: invalid choice: 'ORC'"),
    "percent": ([*WHOLE, "--maximum-failed-rows-percent", "101%"], "101% is not among 0 … 100"),
    "size": ([*WHOLE, "--batch-size", "0"], "0 is not 1 or more"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_together_is_never_tried_again(arguments: list[str], said: str) -> None:
    with pytest.raises(BatchError) as error:
        options.parsed(arguments, {})
    assert str(error.value).startswith("InvalidOption: ")
    assert said in str(error.value)
    assert error.value.exit_code == 42
