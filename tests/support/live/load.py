"""Requests on a machine that may be slow: an answer is lost only when the machine had the time to give it."""

from typing import Final

from demo.load import DigitAsker

LOST_SECONDS: Final = 60.0
"""After which an answer is lost."""


class PatientAsker(DigitAsker):
    """Asks for digits, as the demo does."""

    seconds = LOST_SECONDS
