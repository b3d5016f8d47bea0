"""A real S3-compatible store as a process of this machine; its program is built once, by Go."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from lab import freeports, gotools
from tests.support import patience

KEYS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "models"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its address, with an empty bucket."""
    gotools.ensure("versitygw")
    port = freeports.take()
    environment = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    command = [gotools.program("versitygw"), "--port", f"127.0.0.1:{port}", "posix", folder]
    store = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        try:
            connected(address).create_bucket(Bucket=BUCKET)
        except BotoCoreError as error:
            pytest.fail(f"the store did not start: {error}")
        yield address
    finally:
        store.terminate()
        store.wait(patience.HANG_SECONDS)


def connected(address: str) -> Any:
    """A client whose own retries wait until the store answers."""
    settings = Config(retries={"max_attempts": 12, "mode": "standard"}, connect_timeout=2)
    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_DEFAULT_REGION"],
        config=settings,
    )
