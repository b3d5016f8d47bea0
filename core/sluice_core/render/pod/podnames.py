"""Names in the pods that Sluice renders: containers and volumes, and the fields of a ModelDeployment behind them."""

import re
from typing import Final

STORAGE_INITIALIZER: Final = "storage-initializer"
"""The init container that fetches the model; those for adapters have a number at the end."""
WARM_UP: Final = "warm-up"
"""The container that sends the first requests."""
MODELS_VOLUME: Final = "models"
"""The volume that a model is written to."""
ADAPTERS_VOLUME: Final = "adapters"
"""The same for adapters."""
MODEL_VOLUME: Final = "source"
"""The volume of a source that need not be fetched."""
MODEL_FIELD: Final = "spec.model"


def field_of(name: str, kind: str = STORAGE_INITIALIZER) -> str:
    """The field of the ModelDeployment behind an init container, or a volume (MODEL_VOLUME); empty: neither."""
    known = re.fullmatch(rf"{kind}(?:-([0-9]+))?", name)
    if known is None:
        return ""
    return MODEL_FIELD if known[1] is None else f"{MODEL_FIELD}.adapters[{known[1]}]"
