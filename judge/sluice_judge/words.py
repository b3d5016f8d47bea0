"""Numbers in digits for people."""

import math
from typing import Final

_LN10: Final = math.log(10)


def weight(permille: int) -> str:
    """`5 %`, `0.5 %`."""
    return f"{permille / 10:g} %"


def percentage(share: float) -> str:
    """A share as a percentage with significant digits."""
    percent = 100 * share
    return f"{percent:.1f}%" if percent >= 1 or percent == 0 else f"{percent:.2g}%"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def log10(natural_log: float) -> float:
    """A natural logarithm as log10; at most 999 digits either way, since JSON has no number for ln 0."""
    return max(-999.0, min(999.0, natural_log / _LN10))


def log10_text(natural_log: float) -> str:
    """The same with one decimal."""
    return f"{log10(natural_log):.1f}"


def number(value: float) -> str | None:
    """Three digits; None if it is infinite."""
    return f"{value:.3g}" if math.isfinite(value) else None
