"""Plans the layout of downloaded files for a model server: file names in, moves out, without touching the files.

    Plain             <destination>/<files as they are in the store>
    TritonRepository  <destination>/<model>/config.pbtxt, 1/model.onnx      (Triton's onnxruntime backend)
    TritonPythonOnnx  <destination>/<model>/config.pbtxt, 1/model.onnx, 1/model.py   (Triton's Python backend)
    MLServerModel     <destination>/model.<suffix>, or an MLflow model's folder as it is
    BentoStore        <destination>/bento.yaml and what belongs to it
    TorchServeStore   <destination>/config.properties and <model>.mar, or <model>/ (a TorchScript file, packed on the way)
    TensorFlowVersions  <destination>/models.config, monitoring.config and <model>/1/saved_model.pb

Both Triton layouts take a ready repository, or one model's folder of it, as it is.

Environment, all for the configurations that are written here: SLUICE_MAXIMUM_BATCH_SIZE and
SLUICE_MAXIMUM_QUEUE_DELAY_MICROSECONDS, dynamic batching, none without the first; SLUICE_INSTANCES, copies of the model, for
each device where there are some; SLUICE_THREADS, of one inference; SLUICE_TENSORRT_PRECISION and
SLUICE_TENSORRT_WORKSPACE_MEBIBYTES, TensorRT, none without the first. And SLUICE_FORMAT: the model must be of this format,
and nothing else that the layout takes as well; without it, whatever the layout takes.
"""

import enum
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from sluice_storage.failures import DownloadError, Reason

VERSION: Final = "1"  # one revision serves one version; Triton's own version folders are not used for releases
ONNX_RUNTIME: Final = "onnxruntime"
TRITON_BACKENDS: Final = {".onnx": ONNX_RUNTIME, ".plan": "tensorrt"}
"""Backends that complete a model's inputs and outputs from its file."""
BATCH_SIZE: Final = "SLUICE_MAXIMUM_BATCH_SIZE"
QUEUE_DELAY: Final = "SLUICE_MAXIMUM_QUEUE_DELAY_MICROSECONDS"
INSTANCES: Final = "SLUICE_INSTANCES"
THREADS: Final = "SLUICE_THREADS"
TENSORRT_PRECISION: Final = "SLUICE_TENSORRT_PRECISION"
TENSORRT_WORKSPACE: Final = "SLUICE_TENSORRT_WORKSPACE_MEBIBYTES"
FORMAT: Final = "SLUICE_FORMAT"
CODE_SUFFIXES: Final = (".py", ".pyc", ".so")
"""Files that Triton, or its backend's Python, would load from a model's folder: libtriton_onnxruntime.so, numpy.py."""
SETTINGS: Final = {
    BATCH_SIZE: "batching",
    INSTANCES: "instances",
    THREADS: "threads",
    TENSORRT_PRECISION: "tensorRT",
}
"""The variable that shows that a setting is requested: the field of spec.runtime."""
CONFIG_FILE: Final = "config.pbtxt"
SERVER_CODE: Final = "model.py"  # the Python-backend model that ships with the downloader
TOP: Final = PurePosixPath()
SERVABLE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")


class Layout(enum.Enum):
    PLAIN = "Plain"
    TRITON_REPOSITORY = "TritonRepository"
    TRITON_PYTHON_ONNX = "TritonPythonOnnx"
    MLSERVER_MODEL = "MLServerModel"
    BENTO_STORE = "BentoStore"
    TORCHSERVE_STORE = "TorchServeStore"
    TENSORFLOW_VERSIONS = "TensorFlowVersions"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The operations on the files. Paths are relative: `moves` from the download to the destination."""

    moves: tuple[tuple[str, str], ...]
    folders: tuple[str, ...] = ()  # to create empty
    texts: tuple[tuple[str, str], ...] = ()  # (target, content) of files to write
    server_code: str = ""  # target of a copy of SERVER_CODE; empty: none


def arranged(files: Sequence[str], layout: Layout, model_name: str, folders: Sequence[str] = ()) -> Arrangement:
    """The layout of `files`, the downloaded relative POSIX paths, and of empty `folders`.

    Raises DownloadError with UnsupportedModel, and lists the files, where they do not fit.
    """
    if not SERVABLE_NAME.fullmatch(model_name):
        raise _unsupported(f"model name {model_name!r} cannot be a folder name; use letters, digits, '-', '_' and '.'")
    match layout:
        case Layout.PLAIN:
            return _as_it_is(files, folders)
        case Layout.MLSERVER_MODEL:
            return _mlserver_model(files, folders)
        case Layout.BENTO_STORE:
            return _bento(files, folders)
        case Layout.TORCHSERVE_STORE:
            return _torchserve_model(files, model_name)
        case Layout.TENSORFLOW_VERSIONS:
            return _saved_model(files, folders, model_name)
        case _:
            return _triton_model(files, folders, layout, model_name)


def _triton_model(files: Sequence[str], folders: Sequence[str], layout: Layout, model_name: str) -> Arrangement:
    ready = _ready_repository(files, folders, model_name)
    if ready is None:
        return _one_file(files, layout, model_name)
    if os.environ.get(FORMAT, "triton") != "triton":
        raise _unsupported(
            f"a Triton repository ({_listed(files)}), which can bring code of its own, and not one model of format "
            f"{os.environ[FORMAT]}; let spec.model.uri name the model's file"
        )
    asked = [f"spec.runtime.{field}" for variable, field in SETTINGS.items() if variable in os.environ]
    if asked:
        raise _unsupported(f"{', '.join(asked)}: a ready Triton repository defines this itself, in its config.pbtxt")
    return ready


def _ready_repository(files: Sequence[str], folders: Sequence[str], model_name: str) -> Arrangement | None:
    """The files of a repository or of one model folder, or None where `files` is neither.

    The version folder of an ensemble is empty, but must exist.
    """
    if any(_is_model_folder_file(PurePosixPath(file)) for file in files):
        return _as_it_is(files, folders, prefix=f"{model_name}/")
    models = sorted({path.parts[0] for path in map(PurePosixPath, files) if _is_repository_file(path)})
    if not models:
        return None
    if model_name not in models:
        raise _unsupported(
            f"the Triton repository has no model {model_name!r}, only {', '.join(models)}; set spec.model.name to one of them"
        )
    return _as_it_is(files, folders)


def _is_model_folder_file(path: PurePosixPath) -> bool:
    return path.as_posix() == CONFIG_FILE or (len(path.parts) > 1 and path.parts[0].isdecimal())


def _is_repository_file(path: PurePosixPath) -> bool:
    return len(path.parts) > 1 and _is_model_folder_file(PurePosixPath(*path.parts[1:]))


def _one_file(files: Sequence[str], layout: Layout, model_name: str) -> Arrangement:
    """A model of one file, with the configuration of the backend that runs it."""
    python = layout is Layout.TRITON_PYTHON_ONNX
    suffixes = (".onnx",) if python or os.environ.get(FORMAT) == "onnx" else tuple(TRITON_BACKENDS)
    model = _only_model(files, suffixes)
    suffix = PurePosixPath(model).suffix
    folder = PurePosixPath(model).parent
    version = f"{model_name}/{VERSION}"
    # Files beside or below the model come along: weights of more than 2 GB are in separate files.
    neighbours = [file for file in files if file != model and PurePosixPath(file).is_relative_to(folder)]
    code = sorted(file for file in neighbours if file.endswith(CODE_SUFFIXES))
    if code and FORMAT in os.environ:
        raise _unsupported(
            f"code beside the model ({_listed(code)}), which is no part of format {os.environ[FORMAT]}; remove it, or let "
            "spec.model.uri name the model's file"
        )
    moves = [(model, f"{version}/model{suffix}")]
    moves += [(file, f"{version}/{PurePosixPath(file).relative_to(folder)}") for file in neighbours]
    config = _configuration(model_name, "python" if python else TRITON_BACKENDS[suffix])
    return Arrangement(
        moves=tuple(moves),
        texts=((f"{model_name}/{CONFIG_FILE}", config),),
        server_code=f"{version}/{SERVER_CODE}" if python else "",
    )


def _only_model(files: Sequence[str], suffixes: tuple[str, ...]) -> str:
    models = sorted(file for file in files if file.endswith(suffixes))
    if not models:
        raise _unsupported(
            f"no {' or '.join(suffixes)} file among {_listed(files)}; export the model, set spec.model.format, or "
            f"provide a Triton repository (a folder with {CONFIG_FILE}): only that can describe a TorchScript "
            "model's inputs"
        )
    if len(models) > 1:
        raise _unsupported(
            f"{len(models)} {' or '.join(suffixes)} files: {_listed(models)}; let spec.model.uri name one"
        )
    return models[0]


def _configuration(model_name: str, backend: str) -> str:
    """Inputs and outputs are completed from the model. Batching is the user's choice: each joined request waits."""
    size, delay = os.environ.get(BATCH_SIZE, "0"), os.environ.get(QUEUE_DELAY, "0")
    batching = f"dynamic_batching {{ max_queue_delay_microseconds: {int(delay)} }}\n" if int(size) else ""
    return (
        f'name: "{model_name}"\nbackend: "{backend}"\nmax_batch_size: {int(size)}\n{batching}'
        f"instance_group [{{ count: {int(os.environ.get(INSTANCES, '1'))}, kind: KIND_AUTO }}]\n"
        f"{_threads(backend)}{_tensorrt(backend)}"
    )


def _threads(backend: str) -> str:
    """The Python backend's model reads its own variable."""
    if THREADS not in os.environ or backend == "python":
        return ""
    if backend != ONNX_RUNTIME:
        raise _unsupported(
            f"spec.runtime.threads: backend {backend} does not run inference on the processor; remove the field"
        )
    count = int(os.environ[THREADS])
    return f'parameters {{ key: "intra_op_thread_count" value: {{ string_value: "{count}" }} }}\n'


def _tensorrt(backend: str) -> str:
    """ONNX Runtime's TensorRT; a TensorRT engine got these settings when it was built."""
    if TENSORRT_PRECISION not in os.environ:
        return ""
    if backend != ONNX_RUNTIME:
        raise _unsupported(
            f"spec.runtime.tensorRT: backend {backend} does not support it; it is for a .onnx file on Triton's "
            "backend for ONNX Runtime (layout TritonRepository)"
        )
    precision = os.environ[TENSORRT_PRECISION]
    parameters = {
        "precision_mode": precision,
        "max_workspace_size_bytes": str(int(os.environ[TENSORRT_WORKSPACE]) * 2**20),
    }
    lines = "".join(f'      parameters {{ key: "{key}" value: "{value}" }}\n' for key, value in parameters.items())
    return (
        "optimization {\n  execution_accelerators {\n    gpu_execution_accelerator [ {\n"
        f'      name: "tensorrt"\n{lines}    }} ]\n  }}\n}}\n'
    )


MLFLOW_FILE: Final = "MLmodel"
MLSERVER_SUFFIXES: Final = {
    # suffix of the user's file: the one that MLServer looks for
    ".joblib": ".joblib",
    ".pickle": ".pickle",
    ".pkl": ".pkl",
    ".bst": ".bst",
    ".json": ".json",
    ".ubj": ".ubj",
    ".txt": ".bst",  # LightGBM's own text format, which MLServer expects under this name
}


def _mlserver_model(files: Sequence[str], folders: Sequence[str]) -> Arrangement:
    """MLServer finds a model by its name: `model`, with a suffix that its library knows."""
    found = [PurePosixPath(file).parent for file in files if PurePosixPath(file).name == MLFLOW_FILE]
    if found and os.environ.get(FORMAT, "mlflow") != "mlflow":
        raise _unsupported(
            f"an MLflow model (a folder with {MLFLOW_FILE}), and not a file of format {os.environ[FORMAT]}; let "
            "spec.model.uri name the model's file"
        )
    if found:
        return _as_it_is(files, folders, min(found, key=lambda folder: len(folder.parts)))
    models = sorted(file for file in files if PurePosixPath(file).suffix in MLSERVER_SUFFIXES)
    if len(models) != 1:
        suffixes = ", ".join(MLSERVER_SUFFIXES)
        raise _unsupported(
            f"{len(models)} model files among {_listed(files)}; spec.model.uri must point to one file with a suffix of "
            f"{suffixes}, or to an MLflow model (a folder with {MLFLOW_FILE})"
        )
    suffix = MLSERVER_SUFFIXES[PurePosixPath(models[0]).suffix]
    return Arrangement(((models[0], f"model{suffix}"),))


BENTO_FILE: Final = "bento.yaml"


def _bento(files: Sequence[str], folders: Sequence[str]) -> Arrangement:
    found = [PurePosixPath(file).parent for file in files if PurePosixPath(file).name == BENTO_FILE]
    if len(found) != 1:
        raise _unsupported(
            f"{len(found)} Bentos (folders with {BENTO_FILE}) among {_listed(files)}; spec.model.uri must point to "
            "one, as `bentoml build` makes it"
        )
    return _as_it_is(files, folders, found[0])


ARCHIVE_SUFFIX: Final = ".mar"
TORCHSCRIPT_SUFFIXES: Final = (".pt", ".pth", ".torchscript")
HANDLER: Final = Path(__file__).with_name("torchserve_handler.py")  # ships with the downloader
TORCHSERVE_CONFIG: Final = "config.properties"


def _torchserve_model(files: Sequence[str], model_name: str) -> Arrangement:
    """A model archive, or a TorchScript file as a folder with the content of such an archive: TorchServe takes both."""
    archives = [file for file in files if file.endswith(ARCHIVE_SUFFIX)]
    scripts = [file for file in files if file.endswith(TORCHSCRIPT_SUFFIXES)]
    if len(archives or scripts) != 1:
        raise _unsupported(
            f"{len(archives)} {ARCHIVE_SUFFIX} files and {len(scripts)} TorchScript files ({', '.join(TORCHSCRIPT_SUFFIXES)}) "
            f"among {_listed(files)}; spec.model.uri must point to one"
        )
    if archives:
        archive = f"{model_name}{ARCHIVE_SUFFIX}"
        config = _torchserve_config(model_name, archive)
        return Arrangement(((archives[0], archive),), texts=((TORCHSERVE_CONFIG, config),))
    manifest = {
        "runtime": "python",
        "model": {
            "modelName": model_name,
            "modelVersion": "1.0",
            "serializedFile": "model.pt",
            "handler": "handler.py",
        },
        "archiverVersion": "0.12.0",
    }
    return Arrangement(
        moves=((scripts[0], f"{model_name}/model.pt"),),
        texts=(
            (f"{model_name}/MAR-INF/MANIFEST.json", json.dumps(manifest, indent=2) + "\n"),
            (f"{model_name}/handler.py", HANDLER.read_text()),
            (TORCHSERVE_CONFIG, _torchserve_config(model_name, model_name)),
        ),
    )


def _torchserve_config(model_name: str, where: str) -> str:
    """The management port stays inside the pod: its clients can load code."""
    settings = {
        "inference_address": "http://0.0.0.0:8080",
        "management_address": "http://127.0.0.1:8081",
        "metrics_address": "http://0.0.0.0:8082",
        "disable_token_authorization": "true",
        "metrics_mode": "prometheus",
        "enable_metrics_api": "true",
        "default_workers_per_model": str(int(os.environ.get(INSTANCES, "1"))),
        "job_queue_size": "1000",  # requests that may wait; the default of 100 answers 503 in a short burst
        "load_models": f"{model_name}={where}",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


SAVED_MODEL_FILE: Final = "saved_model.pb"
MODEL_FOLDER: Final = "/models"  # the server's path of the destination: TensorFlow Serving needs absolute paths


def _saved_model(files: Sequence[str], folders: Sequence[str], model_name: str) -> Arrangement:
    """One SavedModel as version 1; a version folder, as TensorFlow Serving has it, is also taken."""
    found = [PurePosixPath(file).parent for file in files if PurePosixPath(file).name == SAVED_MODEL_FILE]
    if len(found) != 1:
        raise _unsupported(
            f"{len(found)} SavedModels (folders with {SAVED_MODEL_FILE}) among {_listed(files)}; spec.model.uri "
            "must point to one version of a model"
        )
    config = (
        f'model_config_list {{\n  config {{\n    name: "{model_name}"\n'
        f'    base_path: "{MODEL_FOLDER}/{model_name}"\n    model_platform: "tensorflow"\n  }}\n}}\n'
    )
    monitoring = 'prometheus_config {\n  enable: true\n  path: "/metrics"\n}\n'
    return replace(
        _as_it_is(files, folders, found[0], f"{model_name}/{VERSION}/"),
        texts=(("models.config", config), ("monitoring.config", monitoring)),
    )


def _as_it_is(
    files: Sequence[str], folders: Sequence[str], below: PurePosixPath = TOP, prefix: str = ""
) -> Arrangement:
    """Everything in and below a folder, moved to `prefix` of the destination."""

    def moved(names: Sequence[str]) -> Iterator[tuple[str, str]]:
        for name in names:
            if PurePosixPath(name).is_relative_to(below):
                yield name, prefix + PurePosixPath(name).relative_to(below).as_posix()

    return Arrangement(tuple(moved(files)), tuple(target for _, target in moved(folders)))


def _listed(files: Sequence[str], limit: int = 5) -> str:
    more = len(files) - limit
    return ", ".join(files[:limit]) + (f" and {more} more" if more > 0 else "")


def _unsupported(text: str) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, text)
