"""`python -m sluice_spark executor | driver ARGS… | PROGRAM ARGS…`: the entry point of this image.

Spark's Kubernetes backend passes its pods one word, `executor` or `driver`, and the rest in variables. Anything else is
a program to run, such as spark-submit in client mode. Each replaces this process, so that signals reach it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

SPARK_HOME: Final = Path(os.environ.get("SPARK_HOME", "/opt/site/pyspark"))
EXECUTOR: Final = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
JAVA_OPTION: Final = "SPARK_JAVA_OPT_"


def main(arguments: Sequence[str], variables: Mapping[str, str]) -> int:
    match arguments:
        case ["executor", *_]:
            program = executor(variables)
        case ["driver", *others]:
            program = driver(others, variables)
        case [_, *_]:
            program = list(arguments)
        case _:
            print("usage: executor, driver ARGUMENTS, or a program with its arguments", file=sys.stderr)
            return 2
    try:
        os.execvp(program[0], program)  # noqa: S606 - the container's own arguments
    except OSError as error:
        print(f"{program[0]}: {error.strerror}", file=sys.stderr)
        return 127


def executor(variables: Mapping[str, str]) -> list[str]:
    """Java with the executor's class. Its options are in numbered variables, in that order."""
    options = {
        int(name.removeprefix(JAVA_OPTION)): value for name, value in variables.items() if name.startswith(JAVA_OPTION)
    }
    memory = variables["SPARK_EXECUTOR_MEMORY"]
    return [
        "java",
        *(options[number] for number in sorted(options)),
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        _class_path(variables),
        EXECUTOR,
        *("--driver-url", variables["SPARK_DRIVER_URL"]),
        *("--executor-id", variables["SPARK_EXECUTOR_ID"]),
        *("--cores", variables["SPARK_EXECUTOR_CORES"]),
        *("--app-id", variables["SPARK_APPLICATION_ID"]),
        *("--hostname", variables["SPARK_EXECUTOR_POD_IP"]),
        *("--resourceProfileId", variables["SPARK_RESOURCE_PROFILE_ID"]),
        *("--podName", variables["SPARK_EXECUTOR_POD_NAME"]),
    ]


def driver(arguments: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The driver in its own pod, by spark-submit in cluster mode or the Spark operator."""
    address = variables["SPARK_DRIVER_BIND_ADDRESS"]
    return [
        str(SPARK_HOME / "bin" / "spark-submit"),
        *("--conf", f"spark.driver.bindAddress={address}"),
        *("--conf", f"spark.executorEnv.SPARK_DRIVER_POD_IP={address}"),
        *("--deploy-mode", "client"),
        *arguments,
    ]


def _class_path(variables: Mapping[str, str]) -> str:
    """Configuration before the jars, as in Spark's own scripts; jars that the application adds last."""
    parts = [str(SPARK_HOME / "jars" / "*"), variables.get("SPARK_CLASSPATH", "")]
    folder = variables.get("SPARK_CONF_DIR", "")
    return ":".join(part for part in (folder, *parts) if part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
