"""Exit codes, for pipelines."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
"""The command failed, or the ModelDeployment is stalled; the message says why."""
NOT_RELEASED: Final = 2
"""`wait`: rolled back or aborted."""
UNTRIED: Final = 2
"""`calibrate`: too little history to try a release."""
TIMED_OUT: Final = 3
"""`wait`: no decision within the time given."""
USAGE: Final = 64
"""The command line is wrong. Not the usual 2, which would look like a roll-back."""
INTERRUPTED: Final = 130

HELP: Final = (
    "Exit codes: 0 done (wait: promoted, or already current), 1 failed or stalled, 2 wait: rolled back or aborted, calibrate: too little history, "
    "3 wait: time-out, 64 wrong command line, 130 interrupted."
)
