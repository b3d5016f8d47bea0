"""How downloaded files are laid out for a model server: file names in, moves out, nothing touched.

    Plain             <destination>/<files as they are in the store>
    TritonRepository  <destination>/<model>/config.pbtxt, 1/model.onnx      (Triton's onnxruntime backend)
    TritonPythonOnnx  <destination>/<model>/config.pbtxt, 1/model.onnx, 1/model.py   (Triton's Python backend)
    MLServerModel     <destination>/model.<suffix>, or an MLflow model's folder as it is
    BentoStore        <destination>/bento.yaml and what belongs to it

A ready Triton repository, or one model's folder of it, is taken as it is in both Triton layouts.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from sluice_storage.failures import DownloadError, Reason

VERSION: Final = "1"  # one revision serves one version; Triton's own version folders are not used for releases
MODEL_FILE: Final = "model.onnx"
CONFIG_FILE: Final = "config.pbtxt"
SERVER_CODE: Final = "model.py"  # the Python-backend model that ships with the downloader
SERVABLE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")


class Layout(enum.Enum):
    PLAIN = "Plain"
    TRITON_REPOSITORY = "TritonRepository"
    TRITON_PYTHON_ONNX = "TritonPythonOnnx"
    MLSERVER_MODEL = "MLServerModel"
    BENTO_STORE = "BentoStore"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What to do with the files. Paths are relative: `moves` from the download to the destination."""

    moves: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...] = ()  # (target, content) of files to write
    server_code: str = ""  # target of a copy of SERVER_CODE; empty: none


def arranged(files: Sequence[str], layout: Layout, model_name: str) -> Arrangement:
    """Plan the layout of `files`, the relative POSIX paths that were downloaded.

    Raises DownloadError with UnsupportedModel, and says which files there are, where they do not fit.
    """
    if not SERVABLE_NAME.fullmatch(model_name):
        raise _unsupported(f"model name {model_name!r} cannot be a folder name; use letters, digits, '-', '_' and '.'")
    match layout:
        case Layout.PLAIN:
            return Arrangement(tuple((file, file) for file in files))
        case Layout.MLSERVER_MODEL:
            return _mlserver_model(files)
        case Layout.BENTO_STORE:
            return _bento(files)
        case _:
            return _triton_model(files, layout, model_name)


def _triton_model(files: Sequence[str], layout: Layout, model_name: str) -> Arrangement:
    return _ready_repository(files, model_name) or _one_onnx(files, layout, model_name)


def _ready_repository(files: Sequence[str], model_name: str) -> Arrangement | None:
    """The files of a repository or of one model folder, or None where `files` is neither."""
    if any(_is_model_folder_file(PurePosixPath(file)) for file in files):
        return Arrangement(tuple((file, f"{model_name}/{file}") for file in files))
    models = sorted({path.parts[0] for path in map(PurePosixPath, files) if _is_repository_file(path)})
    if not models:
        return None
    if model_name not in models:
        raise _unsupported(
            f"the Triton repository has no model {model_name!r}, only {', '.join(models)}; set spec.model.name to one of them"
        )
    return Arrangement(tuple((file, file) for file in files))


def _is_model_folder_file(path: PurePosixPath) -> bool:
    return path.as_posix() == CONFIG_FILE or (len(path.parts) > 1 and path.parts[0].isdecimal())


def _is_repository_file(path: PurePosixPath) -> bool:
    return len(path.parts) > 1 and _is_model_folder_file(PurePosixPath(*path.parts[1:]))


def _one_onnx(files: Sequence[str], layout: Layout, model_name: str) -> Arrangement:
    model = _only_onnx_file(files)
    folder = PurePosixPath(model).parent
    version = f"{model_name}/{VERSION}"
    # Files beside or below the model come along: weights of more than 2 GB lie in files of their own.
    neighbours = [file for file in files if file != model and PurePosixPath(file).is_relative_to(folder)]
    moves = [(model, f"{version}/{MODEL_FILE}")]
    moves += [(file, f"{version}/{PurePosixPath(file).relative_to(folder)}") for file in neighbours]
    python = layout is Layout.TRITON_PYTHON_ONNX
    config = _configuration(model_name, "python" if python else "onnxruntime")
    return Arrangement(
        moves=tuple(moves),
        texts=((f"{model_name}/{CONFIG_FILE}", config),),
        server_code=f"{version}/{SERVER_CODE}" if python else "",
    )


def _only_onnx_file(files: Sequence[str]) -> str:
    models = sorted(file for file in files if file.endswith(".onnx"))
    if not models:
        raise _unsupported(f"no .onnx file among {_listed(files)}; export the model to ONNX or set spec.model.format")
    if len(models) > 1:
        raise _unsupported(f"{len(models)} .onnx files: {_listed(models)}; let spec.model.uri name one of them")
    return models[0]


def _configuration(model_name: str, backend: str) -> str:
    """Inputs and outputs are completed from the graph. No batching: one bad input would fail its whole batch."""
    return f'name: "{model_name}"\nbackend: "{backend}"\nmax_batch_size: 0\ninstance_group [{{ count: 1, kind: KIND_AUTO }}]\n'


MLFLOW_FILE: Final = "MLmodel"
MLSERVER_SUFFIXES: Final = {
    # suffix of the user's file: the one that MLServer looks for
    ".joblib": ".joblib",
    ".pickle": ".pickle",
    ".pkl": ".pkl",
    ".bst": ".bst",
    ".json": ".json",
    ".ubj": ".ubj",
    ".txt": ".bst",  # LightGBM's own text, which MLServer wants under this name
}


def _mlserver_model(files: Sequence[str]) -> Arrangement:
    """MLServer finds a model by its name: `model`, with a suffix that its library knows."""
    folders = [PurePosixPath(file).parent for file in files if PurePosixPath(file).name == MLFLOW_FILE]
    if folders:
        return _folder_as_it_is(files, min(folders, key=lambda folder: len(folder.parts)))
    models = sorted(file for file in files if PurePosixPath(file).suffix in MLSERVER_SUFFIXES)
    if len(models) != 1:
        suffixes = ", ".join(MLSERVER_SUFFIXES)
        raise _unsupported(
            f"{len(models)} model files among {_listed(files)}; spec.model.uri must lead to one file with a suffix of "
            f"{suffixes}, or to an MLflow model (a folder with {MLFLOW_FILE})"
        )
    suffix = MLSERVER_SUFFIXES[PurePosixPath(models[0]).suffix]
    return Arrangement(((models[0], f"model{suffix}"),))


BENTO_FILE: Final = "bento.yaml"


def _bento(files: Sequence[str]) -> Arrangement:
    folders = [PurePosixPath(file).parent for file in files if PurePosixPath(file).name == BENTO_FILE]
    if len(folders) != 1:
        raise _unsupported(
            f"{len(folders)} Bentos (folders with {BENTO_FILE}) among {_listed(files)}; spec.model.uri must lead to one, "
            "as `bentoml build` makes it"
        )
    return _folder_as_it_is(files, folders[0])


def _folder_as_it_is(files: Sequence[str], folder: PurePosixPath, prefix: str = "") -> Arrangement:
    """What lies in and below the folder, moved to `prefix` of the destination."""
    inside = [file for file in files if PurePosixPath(file).is_relative_to(folder)]
    return Arrangement(tuple((file, prefix + PurePosixPath(file).relative_to(folder).as_posix()) for file in inside))


def _listed(files: Sequence[str], limit: int = 5) -> str:
    more = len(files) - limit
    return ", ".join(files[:limit]) + (f" and {more} more" if more > 0 else "")


def _unsupported(text: str) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, text)
