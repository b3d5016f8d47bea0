"""Requests on a machine that may be slow: an answer is lost only when the machine, too, had the time to give it."""

from typing import Final

from demo.load import REQUEST_TIMEOUT_SECONDS, DigitAsker
from tests.support import patience

LOST_SECONDS: Final = patience.seconds(REQUEST_TIMEOUT_SECONDS)
"""After which an answer is lost."""


class PatientAsker(DigitAsker):
    """Asks for digits, as the demo does."""

    seconds = LOST_SECONDS
