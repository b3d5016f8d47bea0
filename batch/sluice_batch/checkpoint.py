"""A run's finished work, recorded beside its output, so that a restarted shard does only what is missing.

    <output>/part-00007.parquet                 appears whole, then
    <output>/_failed/part-00007.jsonl           if rows failed, then
    <output>/_sluice/<run>/done/00007.json      the marker: from now on the split is not done again
    <output>/_sluice/<run>/plan.json            what all shards agree on
    <output>/_SUCCESS                           the totals, when all markers are there

A killed pod leaves at most one split without marker, which is repeated: the same rows, to the same names. Two pods of
one shard write the same bytes to the same names. A replaced plan (two first pods, and data that came in between) has
another digest: markers of another digest do not count, and a shard whose plan was replaced restarts.
"""

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Final

from sluice_batch import runplan, storage
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.options import Format, Mode
from sluice_batch.runplan import RunPlan
from sluice_batch.storage import Place

SUCCESS: Final = "_SUCCESS"
OWN_FOLDERS: Final = ("_failed/", "_sluice/")
PART: Final = re.compile(r"part-\d{5,}\.(parquet|csv|jsonl)")
MARKERS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Rows. wrong: of those with an answer, where answers are compared with labels."""

    read: int = 0
    written: int = 0
    failed: int = 0
    wrong: int = 0

    def __add__(self, other: "SplitCounts") -> "SplitCounts":
        return SplitCounts(
            self.read + other.read, self.written + other.written, self.failed + other.failed, self.wrong + other.wrong
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint of one run at its output."""

    place: Place
    run: str

    @property
    def _folder(self) -> str:
        return f"_sluice/{self.run}"

    def plan(self) -> RunPlan | None:
        stored = self.place.read_json(f"{self._folder}/plan.json")
        return None if stored is None else runplan.loaded(stored)

    def begin(self, made: RunPlan, mode: Mode) -> RunPlan:
        """Makes room for the output and writes the plan, unless another pod of shard 0 has; the plan in force."""
        try:
            names = self._in_the_way(mode)
        except BatchError:
            if (other := self.plan()) is not None:
                return other  # another pod wrote it after this one looked for a plan
            raise
        for name in names:
            if (other := self.plan()) is not None:
                return other
            self.place.delete(name)
        other = self.plan()
        if other is None:
            self.place.write(f"{self._folder}/plan.json", made.dumped())
        return other or made.as_loaded()

    def require_unreplaced(self, held: RunPlan) -> None:
        now = self.plan()
        if now is None or now.digest != held.digest:
            raise BatchError(
                FailureReason.PLAN_REPLACED, "another pod made a different plan for this run; this shard starts again"
            )

    def done(self, held: RunPlan, splits: range) -> dict[int, SplitCounts]:
        """The splits among these that need not be repeated."""
        folder = f"{self._folder}/done"
        names = {f"{folder}/{file.name}" for file in self.place.within(folder).files()}
        there = [split for split in splits if self._marker(split) in names]
        with ThreadPoolExecutor(MARKERS_AT_ONCE) as pool:
            found = pool.map(lambda split: self._marked(held, split), there)
            return {split: counts for split, counts in zip(there, found, strict=True) if counts is not None}

    def mark(self, held: RunPlan, split: int, counts: SplitCounts) -> None:
        body = {**asdict(counts), "plan": held.digest}
        self.place.write(self._marker(split), json.dumps(body).encode())

    def finish(self, totals: SplitCounts) -> None:
        """Marks the whole output as complete."""
        body = {"run": self.run, "read": totals.read, "written": totals.written, "failed": totals.failed}
        self.place.write(SUCCESS, json.dumps(body).encode())

    def lost(self, done: dict[int, SplitCounts], kind: Format) -> list[int]:
        """Splits with a marker whose rows were removed."""
        names = {file.name for file in self.place.files()}
        return [split for split, counts in done.items() if counts.written and part(split, kind) not in names]

    def forget(self, splits: Iterable[int]) -> None:
        for split in splits:
            self.place.delete(self._marker(split))

    def _marker(self, split: int) -> str:
        return f"{self._folder}/done/{split:05d}.json"

    def _marked(self, held: RunPlan, split: int) -> SplitCounts | None:
        stored = self.place.read_json(self._marker(split))
        if stored is None or stored.pop("plan") != held.digest:
            return None
        return SplitCounts(**stored)

    def _in_the_way(self, mode: Mode) -> list[str]:
        """Files to delete first. Raises BatchError where they are not ours to delete."""
        names = [file.name for file in self.place.files() if not file.name.startswith(f"{self._folder}/")]
        if not names:
            return []
        if mode is Mode.ERROR_IF_EXISTS:
            raise BatchError(
                FailureReason.OUTPUT_EXISTS,
                f"{self.place.uri} holds {names[0]!r}; choose an empty folder, or set spec.output.mode to Overwrite",
            )
        foreign = [name for name in names if not is_own(name)]
        if foreign:
            raise BatchError(
                FailureReason.OUTPUT_EXISTS,
                f"{self.place.uri} holds {foreign[0]!r}, which no batch inference wrote, so it is not overwritten; "
                "choose another folder",
            )
        return sorted(names, key=lambda name: name != SUCCESS)  # an incomplete output must not be marked as complete


def is_own(name: str) -> bool:
    """Whether a file of the output was written by a run."""
    return name == SUCCESS or name.startswith((*OWN_FOLDERS, storage.TEMPORARY)) or bool(PART.fullmatch(name))


def part(split: int, kind: Format) -> str:
    return f"part-{split:05d}.{kind.extension}"


def failed_part(split: int) -> str:
    return f"_failed/part-{split:05d}.jsonl"
