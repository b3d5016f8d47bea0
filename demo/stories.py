"""The stories that the demo can tell, and what the one of the digits needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import aftermath, chat, digits, setup
from demo.aftermath import Incident
from demo.cluster import Cluster
from demo.load import DigitAsker, LoadClient, Target
from demo.progress import step
from demo.release import PROMOTED, ROLLED_BACK, Plan


@dataclass(frozen=True, slots=True)
class Story:
    """One model, and its releases one after the other."""

    name: str
    """The name of the model, and of its manifests among the examples."""
    plans: tuple[Plan, ...]
    models: Callable[[], Mapping[str, Path]]
    """Makes all versions; by their keys in the object store."""
    client: Callable[[Target, Path], LoadClient]
    """The users. The path is that of their log."""
    begin: Callable[[Cluster, LoadClient], None]
    """What is connected and looked at while the users come. Raises DemoError where the machine is not fit for it."""
    prepare: Callable[[Cluster], None] = lambda _: None
    """What the cluster needs beside Sluice as the chart installs it."""
    show: Callable[[Cluster, Path], None] = lambda *_: None
    """Shows the first version."""
    incidents: tuple[Incident, ...] = ()
    """What happens to the version that serves in the end, one after the other."""
    keep_watch: Callable[[Cluster], None] = lambda _: None
    """Sets up what notices them."""


def _digits() -> dict[str, Path]:
    paths = setup.prepared_models()
    return {f"{setup.NAME}/{name.removeprefix('v')}/model.onnx": path for name, path in paths.items()}


def _digit_users(target: Target, log: Path) -> LoadClient:
    return LoadClient(target, metrics_port=0, log=log)


def _begin_digits(cluster: Cluster, client: LoadClient) -> None:
    with step("send 100 requests/s and let Prometheus read the client's counters"):
        setup.connect_feedback(cluster, client, setup.NAMESPACE)
        setup.require_calm_machine(client)


def _story_of_digits(*plans: Plan, incidents: tuple[Incident, ...] = ()) -> Story:
    return Story(
        setup.NAME,
        plans,
        _digits,
        _digit_users,
        _begin_digits,
        show=setup.show_prediction,
        incidents=incidents,
        keep_watch=aftermath.keep_watch,
    )


def _digit_plan(model: str, story: str, expected: str, decided_by: str = "") -> Plan:
    return Plan(model, story, expected, f"s3://models/digits/{model.removeprefix('v')}", decided_by)


BETTER: Final = _digit_plan("v2", "a better model", PROMOTED)
WRONG: Final = _digit_plan("v3", "fast, but its preprocessing is wrong", ROLLED_BACK, "accuracy")
FAILING: Final = _digit_plan("v4", "fails on about 10 % of the images", ROLLED_BACK, "errors")
SLOW: Final = _digit_plan("v5", "as accurate, but about 100 ms an image", ROLLED_BACK, "latency")
NARROW: Final = _digit_plan("v6", "as good, and it knows the 17 grey levels that there are", PROMOTED)
"""Nothing that anybody sends now tells it from v2."""

DRIFT: Final = Incident(
    "drift",
    "half of the images come from a scanner with a stuck pixel; hardly an answer tells of it",
    lambda target: DigitAsker(target, digits.with_stuck_pixel(digits.split()[1].images, 0.5)),
    expected=f"image[{digits.STUCK_PIXEL}]",
    look=aftermath.moved_feature,
)
FAILS_LATER: Final = Incident(
    "failures",
    "one in five images comes from a scanner with 256 grey levels, on which v6 fails",
    lambda target: DigitAsker(target, digits.with_eight_bits(digits.split()[1].images, 0.2)),
    expected="errors",
    look=aftermath.worsening,
)

STORIES: Final[Mapping[str, Story]] = {
    "default": _story_of_digits(BETTER, WRONG),
    "all": _story_of_digits(BETTER, WRONG, FAILING, SLOW, NARROW, incidents=(DRIFT, FAILS_LATER)),
    "llm": Story(chat.NAME, chat.PLANS, chat.made_models, chat.users, chat.begin, prepare=chat.prepare, show=chat.show),
}
"""The stories by scenario."""
