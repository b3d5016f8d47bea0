"""Checks the length of commit subjects: `python -m tests.commits`.

It looks at the last 50 commits that are not merges, if they are newer than the rule. So a subject that was published too
long does not fail for ever, and a shallow clone, or a tree without history, passes with what it has.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MOST_CHARACTERS: Final = 72
MOST_COMMITS: Final = 50
RULE_SINCE: Final = "2026-12-01T15:33:21Z"
"""Committed later than cff4b003, the last commit before the rule."""


def newest(repository: Path) -> list[str] | None:
    """Short hash and subject of each commit to look at, the newest first; None without a history."""
    if not (repository / ".git").exists():  # git itself would look for one in the folders above
        return None
    limits = (f"--max-count={MOST_COMMITS}", f"--since={RULE_SINCE}")
    command = ["git", "log", "--no-merges", "--no-show-signature", *limits, "--format=%h %s"]
    done = subprocess.run(command, cwd=repository, capture_output=True, encoding="utf-8", errors="replace", check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None


def complaints(commits: list[str]) -> Iterator[str]:
    """What is too long, and what to do about it. commits: as of `newest`."""
    for commit in commits:
        name, _, subject = commit.partition(" ")
        if len(subject) > MOST_CHARACTERS:
            yield (
                f"commit {name}: its subject has {len(subject)} characters, at most {MOST_CHARACTERS} are allowed; "
                f"reword it, and give the reason in the body: {subject}"
            )


def main() -> int:
    commits = newest(ROOT)
    if commits is None:
        print("commits: there is no history to check")
        return 0
    wrong = list(complaints(commits))
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
