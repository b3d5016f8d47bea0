"""Selects the files of a repository that a server reads: authors put the same weights there for every framework.

A rule applies to a format, and to whole repositories; a named folder or file is fetched as it is. Code that is marked
as such, as in a ModelPack, is only for servers that run it.
"""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

READ_BY: Final = "SLUICE_READ_BY"
"""The format of the model, which determines what its server needs; unset: everything."""
EVERYTHING: Final = "*"
"""As the path of a URI: all files, whatever a server reads."""
READS: Final[Mapping[str, tuple[str, ...]]] = {
    # format: names of the weights that its servers read; the first that exists counts
    "huggingface": ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin"),
    "gguf": ("*.gguf",),
}
WEIGHTS: Final = frozenset(
    {
        *(".safetensors", ".bin", ".gguf", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".ot"),
        *(".onnx", ".onnx_data", ".tflite", ".mlmodel", ".mlpackage", ".nemo", ".engine", ".plan"),
    }
)
"""Suffixes of weight files of all frameworks."""
ORIGINALS: Final = "original"
"""A folder of some authors for the trained weights, beside conversions."""
WITHOUT_CODE: Final = frozenset(
    {"onnx", "huggingface", "gguf", "sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch"}
)
"""Formats whose servers run no code beside the model; that of PyTorch is in the model's archive."""


def server() -> str:
    """The format that the model is for; empty: unknown."""
    return os.environ.get(READ_BY, "")


def read_by(model_format: str, files: Sequence[str]) -> list[str]:
    """The `files` that a server of this format reads; all of them where that is unknown."""
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
