"""Which files of a repository a server reads: authors put the same weights there for every framework.

A rule is for a format, and for whole repositories; who names a folder or a file gets it as it is. Code that is told apart, as
in a ModelPack, is for servers that run some.
"""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

READ_BY: Final = "SLUICE_READ_BY"
"""The format of the model, which says what its server needs; unset: everything."""
EVERYTHING: Final = "*"
"""As the path of a URI: all files, whatever a server reads."""
READS: Final[Mapping[str, tuple[str, ...]]] = {
    # format: names of the weights that its servers read, the first that there are of it
    "huggingface": ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin"),
    "gguf": ("*.gguf",),
}
WEIGHTS: Final = frozenset(
    {
        *(".safetensors", ".bin", ".gguf", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".ot"),
        *(".onnx", ".onnx_data", ".tflite", ".mlmodel", ".mlpackage", ".nemo", ".engine", ".plan"),
    }
)
"""Suffixes of files that hold weights, of whatever framework."""
ORIGINALS: Final = "original"
"""The folder in which some authors keep what they trained, beside what was made of it."""
WITHOUT_CODE: Final = frozenset(
    {"onnx", "huggingface", "gguf", "sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch"}
)
"""Formats whose servers run no code that lies beside the model; that of PyTorch is in the model's archive."""


def server() -> str:
    """The format that the model is for; empty: nobody says."""
    return os.environ.get(READ_BY, "")


def read_by(model_format: str, files: Sequence[str]) -> list[str]:
    """Those of `files` that a server of this format reads; all of them where nobody knows."""
    of_it = (pattern for pattern in READS.get(model_format, ()) if any(_is_weight(file, pattern) for file in files))
    pattern = next(of_it, "")
    if not pattern:
        return list(files)
    return [file for file in files if not _is_foreign(PurePosixPath(file), PurePosixPath(pattern).suffix)]


def _is_weight(file: str, pattern: str) -> bool:
    path = PurePosixPath(file)
    return fnmatchcase(path.name.lower(), pattern) and not _is_original(path)


def _is_foreign(path: PurePosixPath, weights: str) -> bool:
    suffix = path.suffix.lower()
    return _is_original(path) or (suffix in WEIGHTS and suffix != weights)


def _is_original(path: PurePosixPath) -> bool:
    return len(path.parts) > 1 and path.parts[0] == ORIGINALS
