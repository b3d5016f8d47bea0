"""The user's predictor: the one class of model.py that is a kserve.Model."""

import contextlib
import importlib.util
import inspect
import sys
from pathlib import Path

import kserve

MODEL_FILE = "model.py"
TERMINATION_LOG = Path("/dev/termination-log")


class NotLoadable(Exception):
    """The model cannot be loaded. The line is left where the operator reads it."""

    def __init__(self, text):
        super().__init__(f"ModelNotLoadable: {' '.join(text.split())}")
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_text(str(self)[:4096])


def load(folder, name):
    """The predictor, loaded and ready. Raises NotLoadable."""
    path = Path(folder) / MODEL_FILE
    if not path.exists():
        raise NotLoadable(f"{folder} has no {MODEL_FILE} with a class derived from kserve.Model")
    found = _predictors(_imported(path))
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise NotLoadable(f"{MODEL_FILE} must have one class derived from kserve.Model; it has: {names}")
    try:
        model = found[0](name)
        model.load()
    except Exception as error:
        raise NotLoadable(f"{found[0].__name__} cannot be loaded: {type(error).__name__}: {error}") from error
    if not model.ready:
        raise NotLoadable(f"{found[0].__name__}.load() did not set self.ready")
    return model


def _imported(path):
    sys.path.insert(0, str(path.parent))  # so that it can import its neighbours
    spec = importlib.util.spec_from_file_location("model", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise NotLoadable(f"{MODEL_FILE} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _predictors(module):
    classes = (member for _, member in inspect.getmembers(module, inspect.isclass))
    return [cls for cls in classes if issubclass(cls, kserve.Model) and cls.__module__ == module.__name__]
