"""What the operator asks, where nobody answers."""

from collections.abc import Sequence

from sluice.core.judge.model import Failed, Question
from sluice.core.observe import runstate as batch
from sluice.core.observe.runstate import Asked
from sluice.core.situation.devices import Devices, DevicesQuestion
from sluice.shell.asking import Look
from sluice.shell.keys import Key


class NoMetrics:
    """A Prometheus that is away, and says so at once."""

    def look(self, key: Key, questions: Sequence[Question]) -> Look:
        return Look({question.key: Failed("away") for question in questions})


class NoProgress:
    """Pods of batch inference that do not answer."""

    async def progress(self, asked: Sequence[Asked]) -> batch.Answers:
        return {}


class NoAccelerators:
    """A cluster whose devices nobody may count."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        return Devices(unknown="not allowed")
