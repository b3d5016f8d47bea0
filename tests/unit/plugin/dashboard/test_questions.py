"""The twelve questions of a release that runs, and of one that was rolled back, beside what the API objects say."""

import html
import re
from collections.abc import Sequence
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from kubectl_sluice.views.releases import questions
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome, StepRecord
from sluice_judge.model import Answers, Question
from tests.support.live import tokenapi
from tests.support.live.tokenapi import Reader, TokenApi
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.unit.plugin.dashboard.conftest import ALL, World

VOID = {"meta", "link", "input", "br", "img", "rect", "path", "polyline"}


class SimulatedMetrics:
    """Implements `ports.Metrics` by the simulated Prometheus."""

    def __init__(self, world: Cluster) -> None:
        self._world = world
        self.asked: list[Question] = []

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        self.asked += questions
        return self._world.answer(tuple(questions))


class Sections(HTMLParser):
    """The text of each answer, and of each element with one of our data attributes within it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self._open: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in VOID:
            return
        above = self._open[-1] if self._open else []
        names = [
            value if name == "data-question" else f"{name}={value or ''}" for name, value in attrs if "data-" in name
        ]
        within = [f"{above[0]} {name}" for name in names if above and above[0] in questions.QUESTIONS]
        self._open.append([*(names if not above else []), *above, *within])

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for name in self._open[-1] if self._open else []:
            self.texts[name] = " ".join(f"{self.texts.get(name, '')} {data}".split())


@pytest.fixture(scope="module")
def failed() -> Cluster:
    world = scenarios.serving_cluster(warm_seconds=120)
    world.user_applies(scenarios.manifest(scenarios.FAILING))
    world.run(300, until=lambda: world.newest().status.outcome is not None)
    assert world.newest().status.outcome is Outcome.ROLLED_BACK
    return world


@pytest.fixture(scope="module")
def running() -> Cluster:
    world = scenarios.serving_cluster(warm_seconds=120)
    world.user_applies(scenarios.manifest(scenarios.V2))
    world.run(600, until=lambda: world.newest().status.step == 2 and step(world).candidate_requests > 0)
    world.asks("Pause", by="alice <b>")
    world.run(3)
    assert world.newest().status.outcome is None
    return world


def step(world: Cluster) -> StepRecord:
    return world.newest().status.steps[-1]


def pod(name: str, revision: str, restarts: int = 0, **spec: Any) -> dict[str, Any]:
    """A pod that is ready."""
    labels = {"sluice.dev/model-deployment": "digits", "sluice.dev/revision": revision}
    statuses = [{"name": "server", "ready": True, "restartCount": restarts}]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "server", **spec}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": statuses,
        },
    }


def stored(world: Cluster) -> list[dict[str, Any]]:
    found = [*deepcopy(world.objects).values(), *deepcopy(world.shared).values()]
    target = world.newest().spec.target.revision
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "2"}}}
    found += [pod("calm", target, **gpu), pod("odd", target, 3, **gpu), pod("older", target, **gpu)]
    found[-1]["spec"]["resourceClaims"] = [{"name": "nic", "resourceClaimName": "nic"}]
    for raw in found:
        raw["metadata"].setdefault("uid", f"{raw['kind']}-{raw['metadata']['name']}")
        raw["metadata"].setdefault("namespace", "default")
    return found


class Shown:
    """One release, as its pages show it."""

    def __init__(self, world: Cluster, page: str, verdict: str, metrics: SimulatedMetrics) -> None:
        self.world = world
        self.page = page
        self.texts = Sections(page).texts
        self.verdict = verdict
        self.metrics = metrics

    @property
    def rollout(self) -> ModelRollout:
        return self.world.newest()

    def data(self, question: str, name: str, value: str = "") -> str:
        return self.texts[f"{question} data-{name}={value}"]


async def shown(world: Cluster, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setattr("kubectl_sluice.dashboard.reading.time.time", lambda: world.now)
    metrics = SimulatedMetrics(world)
    async with tokenapi.running(TokenApi({ALL: Reader("all")}, stored(world))) as api:
        pages = World(api)
        async with pages.client(ALL, app=pages.app(metrics)) as client:
            path = f"/models/default/digits/releases/{world.newest().metadata.name}"
            page: httpx.Response = await client.get(path)
            verdict = await client.get(f"{path}/verdict", headers={"HX-Request": "true"})
            assert (page.status_code, verdict.status_code) == (200, 200), page.text + verdict.text
            assert f'hx-get="{path}/verdict"' in page.text
        await pages.doors[-1].close()
    return Shown(world, page.text, verdict.text, metrics)


@pytest.fixture
async def back(failed: Cluster, monkeypatch: pytest.MonkeyPatch) -> Shown:
    return await shown(failed, monkeypatch)


@pytest.fixture
async def live(running: Cluster, monkeypatch: pytest.MonkeyPatch) -> Shown:
    return await shown(running, monkeypatch)


@pytest.mark.parametrize("which", ["back", "live"])
def test_each_question_is_one_click_away(which: str, request: pytest.FixtureRequest) -> None:
    found: Shown = request.getfixturevalue(which)
    for name, words in questions.QUESTIONS.items():
        assert f'<a href="#q-{name}">{html.escape(words)}</a>' in found.page
        assert found.page.count(f'id="q-{name}" data-question="{name}"') == 1
        assert len(found.texts[name]) > len(words) + 4, name


def test_1_what_is_it_doing_and_why(live: Shown, back: Shown) -> None:
    for found in (live, back):
        assert found.data("doing", "reason") == found.rollout.status.reason
        assert found.data("doing", "message") == " ".join(found.rollout.status.message.split())
    assert live.texts["doing"].count("Running") == 1
    assert "RolledBack" in back.texts["doing"]


def test_2_what_does_it_wait_for(live: Shown, back: Shown) -> None:
    assert live.data("waits", "needed") == f"{live.rollout.status.requests_needed:,}"
    assert re.fullmatch(r"\d+[smh].*", live.data("waits", "eta"))
    assert "Nothing: it ended RolledBack" in back.texts["waits"]


def test_3_how_strong_is_the_evidence(live: Shown, back: Shown) -> None:
    for found in (live, back):
        for objective in found.rollout.status.objectives:
            row = found.data("evidence", "objective", objective.name)
            assert f"{objective.candidate.failures:,} of {objective.candidate.requests:,}" in row
            for value, threshold in (
                (objective.rollback_log10, objective.rollback_threshold_log10),
                (objective.advance_log10, objective.advance_threshold_log10),
            ):
                if value is not None and threshold is not None:
                    assert f"{round(float(value), 2) + 0.0:.2f} of {float(threshold):.2f}" in row


def test_4_what_split_was_wanted_and_what_is_real(live: Shown, back: Shown) -> None:
    assert live.rollout.status.permille == 250
    row = live.data("split", "role", "candidate")
    assert row.count("25 %") == 2
    counts = live.rollout.status.steps[-1]
    assert f"{100 * counts.candidate_requests / (counts.candidate_requests + counts.stable_requests):.2f}%" in row
    assert "0 % 0 %" in back.data("split", "role", "candidate")
    assert "100 % 100 %" in back.data("split", "role", "stable")


def test_5_how_many_requests_have_been_harmed(back: Shown) -> None:
    errors = next(each for each in back.rollout.status.objectives if each.name == "errors")
    row = back.data("harmed", "objective", "errors")
    assert f" {errors.candidate.failures:,} {errors.candidate.requests:,} " in row
    expected = errors.candidate.requests * errors.stable.failures / errors.stable.requests
    assert row.endswith(f"{errors.candidate.failures - expected:.0f}")


def test_6_which_pods_are_unlike_the_others(live: Shown) -> None:
    assert live.data("pods", "pod", "odd") == "odd candidate ready 3 - restarted 3 times, others at most 0"
    assert live.data("pods", "pod", "calm") == "calm candidate ready 0 - -"
    assert "1 pod, first below" in live.texts["pods"]
    assert live.page.index('data-pod="odd"') < live.page.index('data-pod="calm"')


def test_7_what_does_it_cost_in_devices(live: Shown) -> None:
    assert live.data("devices", "role", "candidate").endswith(" 3 6 nvidia.com/gpu; by claims, not counted: nic")
    assert live.data("devices", "role", "stable").endswith(" 0 none")


def test_7_devices_by_claims_alone(live: Shown) -> None:
    claiming = pod("a", live.rollout.spec.target.revision)
    claiming["spec"]["resourceClaims"] = [{"name": name, "resourceClaimName": "a"} for name in ("nic", "gpu")]
    [line, *_] = [line for line in questions.held(live.rollout, [claiming]) if line.role == "candidate"]
    assert (line.pods, line.resource, line.devices, line.claims) == (1, "", 0, ("gpu", "nic"))


def test_8_what_happened_who_asked_when_and_why(live: Shown, back: Shown) -> None:
    for found in (live, back):
        for entry in found.rollout.status.timeline:
            for word in (entry.time, entry.actor, entry.what, entry.why):
                assert " ".join(word.split()) in found.texts["happened"]
    assert "alice <b>" in live.texts["happened"]
    assert "alice <b>" not in live.page


def test_9_what_would_happen_if_nobody_acts(live: Shown, back: Shown) -> None:
    assert live.rollout.status.paused
    assert "until a person says more" in live.texts["unattended"]
    assert str(live.rollout.status.deadline_time) in live.texts["unattended"]
    assert "Nothing: the release has ended." in back.texts["unattended"]


def test_10_how_do_i_stop_it_skip_go_back(live: Shown, back: Shown) -> None:
    for verb in ("resume", "skip", "promote", "abort"):
        assert f"kubectl sluice {verb} digits -n default" in live.texts["actions"]
    assert "is already paused" in live.texts["actions"]
    assert "kubectl sluice retry digits -n default" in back.texts["actions"]
    assert "kubectl sluice abort" not in back.texts["actions"]


def test_11_was_the_last_verdict_right(live: Shown, back: Shown) -> None:
    assert 'data-same="yes"' in back.verdict
    assert f"for {back.rollout.status.reason}" in back.verdict
    assert html.escape(back.rollout.status.message) in back.verdict
    assert 'data-same="yes"' in live.verdict
    assert "The same so far" in live.verdict
    for found in (live, back):
        assert found.verdict.count("<svg") == 2
        assert "<html" not in found.verdict


def test_11_prometheus_is_asked_for_the_namespace_alone(back: Shown) -> None:
    assert back.metrics.asked
    ours = [
        each.selector for each in back.metrics.asked if each.selector != 'envoy_server_live{namespace="projectcontour"}'
    ]
    assert all('=~"default_(' in selector or 'namespace="default"' in selector for selector in ours)


def test_12_which_dashboards_and_runbooks_belong_to_it(live: Shown, back: Shown) -> None:
    assert "docs/runbooks/rolled-back.md" in back.texts["links"]
    assert "docs/runbooks/waiting.md" in live.texts["links"]


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({}, "What serves is what the manifest asks for."),
        ({"uri": scenarios.V2}, scenarios.V2),
        ({"resources": {"requests": {"cpu": "2"}}}, "differs in other fields that change a pod"),
    ],
)
async def test_a_model_says_how_its_manifest_differs_from_what_serves(spec: dict[str, Any], want: str) -> None:
    world = scenarios.serving_cluster(warm_seconds=20)
    world.user_applies(scenarios.manifest(**spec))
    objects = [*world.objects.values(), *world.shared.values()]
    async with tokenapi.running(TokenApi({ALL: Reader("all")}, objects)) as api:
        pages = World(api)
        async with pages.client(ALL) as client:
            page = await client.get("/models/default/digits")
        await pages.doors[-1].close()
    assert page.status_code == 200
    assert want in page.text
    assert page.text.count("<dt>Asked for</dt>") == ("uri" in spec)
