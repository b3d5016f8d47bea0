"""What a pod of the Spark image begins with."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support import patience

IMAGE: Final = Path(__file__).parents[3] / "serving-runtime" / "spark"
EXECUTOR: Final = {
    "SPARK_EXECUTOR_MEMORY": "512m",
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.1:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "1",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "digits-exec-3",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Programs that say what they were started with, one argument a line."""
    for name in ("java", "bin/spark-submit", "other"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\nbasename "$0"\nprintf "%s\\n" "$@"\n')
        path.chmod(0o755)
    return tmp_path


def start(programs: Path, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """The exit status, and the lines on both outputs."""
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(IMAGE), "SPARK_HOME": str(programs)}
    command = [sys.executable, "-m", "sluice_spark", *arguments]
    done = subprocess.run(
        command,
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience.HANG_SECONDS,
    )
    return done.returncode, done.stdout.splitlines()


def test_an_executor_is_java_with_what_spark_said_in_variables(programs: Path) -> None:
    options = {"SPARK_JAVA_OPT_10": "-Dlast=1", "SPARK_JAVA_OPT_2": "-Dspark.driver.port=7078"}
    status, said = start(programs, "executor", **EXECUTOR, **options, SPARK_CLASSPATH="/extra.jar")
    assert status == 0
    program, *arguments = said
    assert program == "java"
    assert arguments[:4] == ["-Dspark.driver.port=7078", "-Dlast=1", "-Xms512m", "-Xmx512m"]
    assert arguments[4:6] == ["-cp", f"{programs}/jars/*:/extra.jar"]
    told = dict(zip(arguments[7::2], arguments[8::2], strict=True))
    assert told == {
        "--driver-url": "spark://CoarseGrainedScheduler@10.0.0.1:7078",
        "--executor-id": "3",
        "--cores": "1",
        "--app-id": "spark-1",
        "--hostname": "10.0.0.2",
        "--resourceProfileId": "0",
        "--podName": "digits-exec-3",
    }


def test_a_driver_of_cluster_mode_is_spark_submit_in_client_mode(programs: Path) -> None:
    given = ("--properties-file", "/opt/spark/conf/spark.properties", "local:///main.py", "--run", "a b")
    status, said = start(programs, "driver", *given, SPARK_DRIVER_BIND_ADDRESS="10.0.0.1")
    assert status == 0
    assert said[0] == "spark-submit"
    assert "spark.driver.bindAddress=10.0.0.1" in said
    assert said[-7:] == ["--deploy-mode", "client", *given]


def test_everything_else_is_a_program(programs: Path) -> None:
    assert start(programs, "other", "x y") == (0, ["other", "x y"])
    assert start(programs, "nothing-of-this-name") == (127, ["nothing-of-this-name: No such file or directory"])


def test_nothing_is_told_how(programs: Path) -> None:
    status, said = start(programs)
    assert status == 2
    assert said[0].startswith("usage: executor")
