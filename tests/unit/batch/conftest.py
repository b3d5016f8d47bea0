"""A model, a folder, and a real object store."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from tests.support.stores import s3
from tests.unit.batch import network
from tests.unit.batch.program import Output, Runner

COUNTER = itertools.count()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network.summing(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def brittle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network.summing(tmp_path_factory.mktemp("brittle"), brittle=True)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the object store."""
    with s3.running(tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the input is, on a file system."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def runner(tmp_path: Path, model: Path, data: Path) -> Runner:
    """From the folder `data` to the folder `out`."""
    return Runner(tmp_path, model, f"file://{data}", f"file://{tmp_path}/out")


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(fs.LocalFileSystem(), f"{tmp_path}/out")


class Bucket:
    """A folder of the store that nobody else uses."""

    def __init__(self, address: str) -> None:
        self.client = s3.connected(address)
        self.folder = f"case-{next(COUNTER)}"
        self.environment = {
            f"{side}_{name}": value
            for side in ("INPUT", "OUTPUT")
            for name, value in {**s3.KEYS, "AWS_ENDPOINT_URL": address}.items()
        }
        system = fs.S3FileSystem(
            access_key=s3.KEYS["AWS_ACCESS_KEY_ID"],
            secret_key=s3.KEYS["AWS_SECRET_ACCESS_KEY"],
            region=s3.KEYS["AWS_DEFAULT_REGION"],
            endpoint_override=address,
        )
        self.output = Output(system, f"{s3.BUCKET}/{self.folder}/out")

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=s3.BUCKET, Key=f"{self.folder}/{name}", Body=body)

    def uri(self, name: str) -> str:
        return f"s3://{s3.BUCKET}/{self.folder}/{name}"

    def runner(self, tmp_path: Path, model: Path) -> Runner:
        return Runner(tmp_path, model, self.uri("data"), self.uri("out"), environment=self.environment)


@pytest.fixture
def bucket(address: str) -> Bucket:
    return Bucket(address)
