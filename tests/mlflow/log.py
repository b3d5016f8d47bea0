"""Logs an ONNX model and registers it as a new version, by MLflow's own client: `python log.py NAME FILE`; prints the version.

Where and as whom, its variables say (MLFLOW_TRACKING_URI and others).
"""

import json
import sys

import mlflow
import onnx


def main(name: str, path: str) -> None:
    mlflow.set_experiment(name)
    with mlflow.start_run():
        logged = mlflow.onnx.log_model(onnx.load(path), name="model", registered_model_name=name)
    print(json.dumps({"version": logged.registered_model_version}))


if __name__ == "__main__":
    main(*sys.argv[1:])
