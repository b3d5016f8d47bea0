"""The downloader as its image runs it, against a real S3-compatible store on this machine.

The packages are those of requirements.txt, staged as for the image.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.stores import s3
from tests.support.stores.downloader import InsideDownloader, StagedDownloader
from tests.support.stores.s3 import KEYS, connected
from tests.unit.serving_runtime import attacks

ROOT = Path(__file__).parents[3]
OBJECTS = {
    "digits/1/model.onnx": b"one",
    "digits/10/model.onnx": b"ten",
    "notes/readme.txt": b"no model",
    "both/a.onnx": b"a",
    "both/b.onnx": b"b",
    "empty/nothing": b"",
    "words/v/model": b"other",
    "words/v#1/model": b"right",
    "words/v?1/model": b"right",
    "words/v%31/model": b"right",
    "repository/digits/1/": b"",
    "repository/digits/config.pbtxt": b"x",
    "repository/empty": b"",
    "packed.tgz": attacks.tar([attacks.entry("model.onnx", b"packed")], "w:gz"),
    "large/model": bytes(range(256)) * 150_000,  # 38 MB: several parts
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.running(tmp_path_factory.mktemp("store")) as address:
        _fill(address)
        yield address


def _fill(address: str) -> None:
    client = connected(address)
    for key, body in OBJECTS.items():
        client.put_object(Bucket=s3.BUCKET, Key=key, Body=body)


@pytest.fixture
def staged(site: Path, endpoint: str, tmp_path: Path) -> StagedDownloader:
    """As the image runs it."""
    return StagedDownloader(site, tmp_path, {**KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"})


@pytest.fixture
def downloader(staged: StagedDownloader, capsys: pytest.CaptureFixture[str]) -> StagedDownloader:
    return InsideDownloader(staged.site, staged.folder, staged.environment, capsys)


def test_a_folder_is_fetched_without_the_one_whose_name_begins_alike(staged: StagedDownloader) -> None:
    outcome = staged.run("s3://models/digits/1")
    assert (outcome.status, outcome.message) == (0, "")
    assert set(outcome.files) == {"digits/config.pbtxt", "digits/1/model.onnx", "digits/1/model.py"}
    assert outcome.files["digits/1/model.onnx"] == b"one"
    server_code = ROOT / "serving-runtime" / "triton" / "model.py"
    assert outcome.files["digits/1/model.py"] == server_code.read_bytes()


def test_one_object_is_fetched_by_its_key(downloader: StagedDownloader) -> None:
    outcome = downloader.run("s3://models/both/b.onnx", "TritonRepository")
    assert outcome.files["digits/1/model.onnx"] == b"b"
    assert set(outcome.files) == {"digits/config.pbtxt", "digits/1/model.onnx"}


def test_what_an_earlier_attempt_left_is_gone(downloader: StagedDownloader) -> None:
    downloader.run("s3://models/digits/1")
    assert downloader.run("s3://models/notes", "Plain").files == {"readme.txt": b"no model"}


def test_a_signed_address_is_a_web_file_whose_signature_nobody_sees(
    downloader: StagedDownloader, endpoint: str
) -> None:
    """Signed for GET only, as stores do; a real store's ranges and ETags."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=endpoint.replace("127.0.0.1", "localhost"),
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_DEFAULT_REGION"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = client.generate_presigned_url("get_object", Params={"Bucket": "models", "Key": "digits/10/model.onnx"})
    outcome = downloader.run(url, "Plain", sha256=hashlib.sha256(b"ten").hexdigest())
    assert (outcome.status, outcome.files) == (0, {"model.onnx": b"ten"})
    refused = downloader.run(url.replace("Signature=", "Signature=0"), "Plain")
    assert refused.message.startswith("AccessDenied: http://localhost:")
    assert "Signature" not in outcome.log + refused.log + refused.message


TWO_FILES = "spec.model.sha256 is the checksum of one file, but s3://models/both gives 2"


def test_the_checksum_is_verified(downloader: StagedDownloader) -> None:
    right = hashlib.sha256(b"one").hexdigest()
    assert downloader.run("s3://models/digits/1", sha256=right).status == 0
    wrong = downloader.run("s3://models/digits/10", sha256=right)
    assert wrong.message.startswith(
        f"ChecksumMismatch: s3://models/digits/10 has sha256 {hashlib.sha256(b'ten').hexdigest()}"
    )
    assert TWO_FILES in downloader.run("s3://models/both", sha256=right).message
    packed = hashlib.sha256(OBJECTS["packed.tgz"]).hexdigest()
    assert downloader.run("s3://models/packed.tgz", "Plain", sha256=packed).files == {"model.onnx": b"packed"}
    assert downloader.run("s3://models/packed.tgz", "Plain", sha256=right).message.startswith("ChecksumMismatch: ")


@pytest.mark.parametrize("path", ["words/v#1", "words/v?1", "words/v%31"])
def test_a_path_is_taken_word_for_word(path: str, downloader: StagedDownloader) -> None:
    assert downloader.run(f"s3://models/{path}", "Plain").files == {"model": b"right"}


def test_empty_objects_and_empty_folders_stay(downloader: StagedDownloader) -> None:
    outcome = downloader.run("s3://models/repository", "TritonRepository")
    assert outcome.files == {"digits/config.pbtxt": b"x", "empty": b""}
    assert (downloader.folder / "models/digits/1").is_dir()


def test_a_large_object_is_whole(downloader: StagedDownloader) -> None:
    assert downloader.run("s3://models/large", "Plain").files == {"model": OBJECTS["large/model"]}


REFUSED = r"AccessDenied: http://127.0.0.1:\d+ refused the credentials for s3://models/digits/1; check the keys AWS_"
NO_KEYS = (
    r"AccessDenied: http://127.0.0.1:\d+ does not let everybody read s3://models/digits/1, and there are no credentials; "
    "put the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into a Secret, and name it in spec.model.credentialsSecretRef$"
)
FAILURES = {
    "object": ("s3://models/digits/7", {}, "ObjectNotFound: s3://models/digits/7 does not exist"),
    "only empty objects": ("s3://models/empty", {}, "ObjectNotFound: "),
    "bucket": ("s3://nowhere/digits", {}, "ObjectNotFound: s3://nowhere/digits does not exist"),
    "wrong secret": ("s3://models/digits/1", {"AWS_SECRET_ACCESS_KEY": "wrong"}, REFUSED),
    "unknown user": ("s3://models/digits/1", {"AWS_ACCESS_KEY_ID": "nobody"}, REFUSED),
    "no keys": ("s3://models/digits/1", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, NO_KEYS),
    "store away": (
        "s3://models/digits/1",
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        "StoreUnreachable: no connection to",
    ),
    "bad endpoint": ("s3://models/digits/1", {"AWS_ENDPOINT_URL": "store"}, "StoreUnreachable: "),
    "no onnx": ("s3://models/notes", {}, "UnsupportedModel: no .onnx file among readme.txt"),
    "two onnx": ("s3://models/both", {}, "UnsupportedModel: 2 .onnx files"),
    "scheme": ("ftp://models/digits", {}, "UnsupportedModel: spec.model.uri 'ftp://models/digits'"),
}


@pytest.mark.parametrize(("uri", "changes", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_with_its_reason_for_the_kubelet(
    downloader: StagedDownloader, uri: str, changes: dict[str, str], message: str
) -> None:
    outcome = downloader.run(uri, **changes)
    assert outcome.status == 1
    assert re.match(message, outcome.message), outcome.message
    assert "\n" not in outcome.message
