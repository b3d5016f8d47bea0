"""The presets: what they ask for, and that each series is given to the arm that it is of."""

import dataclasses
import re

import pytest

from sluice_core.kernel.snapshot import Paths
from sluice_core.render.traffic import route
from sluice_judge.gateways import PRESETS, binding
from sluice_judge.model import Arm
from sluice_judge.presets import Broken, GatewayPreset
from sluice_judge.samples import columns, selectors
from tests.support import traefiknames
from tests.support.cases import builders
from tests.support.simulated.trials import make_trial

STABLE = Arm("digits-aaa", "digits-aaa", 80, grpc_port=81, position=0)
CANDIDATE = Arm("digits-bbb", "digits-bbb", 80, grpc_port=81, position=1)
MIRROR = Arm("digits-bbb", "digits-bbb-mirror", 80, position=0, mirrored=True)
GRPC_ROUTE = f"digits{route.GRPC.name_suffix}"
PLACEHOLDERS = {"namespace", "service", "port", "grpcPort", "route", "rule", "backend"}
SELECTORS = (
    "requests",
    "latency_bucket",
    "mirror_requests",
    "mirror_latency_bucket",
    "grpc_requests",
    "grpc_latency_bucket",
)

GAUGES = ("active", "grpc_active", "unanswered", "grpc_unanswered")
BROKEN = ("broken", "mirror_broken", "grpc_broken")

every_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def texts(preset: GatewayPreset) -> dict[str, str]:
    """The selectors that the preset has, by field."""
    return {field: text for field in (*SELECTORS, *GAUGES, *BROKEN, "freshness") if (text := text_of(preset, field))}


def text_of(preset: GatewayPreset, field: str) -> str:
    """A selector of the preset; empty where it has none."""
    value = getattr(preset, field)
    return value.selector if isinstance(value, Broken) else value or ""


def name_of(selector: str) -> str:
    """The metric's name, or the pattern of it."""
    written = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", selector)
    return written[0] if written else re.findall(r'__name__=~"([^"]+)"', selector)[0]


@every_preset
def test_selectors_render_without_anything_left_open(preset: GatewayPreset) -> None:
    trial = make_trial(preset=preset, stable=STABLE, candidate=CANDIDATE)
    for field, text in texts(preset).items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= PLACEHOLDERS, field
        filled = selectors.filled(trial, text, (STABLE, CANDIDATE))
        assert not re.search(r"\{\w+\}", filled), field
        braces = re.fullmatch(r'[\w:]*(\{(\w+=~?"[^"]*",?)+\})?', filled)
        assert braces, f"{field}: {filled}"


@every_preset
def test_a_selector_for_both_arms_finds_each_arms_series(preset: GatewayPreset) -> None:
    trial = make_trial(preset=preset, stable=STABLE, candidate=CANDIDATE)
    for field in (
        "requests",
        "latency_bucket",
        "grpc_requests",
        "grpc_latency_bucket",
        *GAUGES,
        "broken",
        "grpc_broken",
    ):
        text = text_of(preset, field)
        if not text:
            continue
        both = selectors.filled(trial, text, (STABLE, CANDIDATE))
        patterns = dict(re.findall(r'(\w+)=~"([^"]*)"', both))
        for arm in (STABLE, CANDIDATE):
            alone = dict(re.findall(r'(\w+)=~"([^"]*)"', selectors.filled(trial, text, (arm,))))
            sample = {label: sample_of(pattern) for label, pattern in alone.items()}
            assert all(re.fullmatch(patterns[label], value) for label, value in sample.items()), field


@every_preset
def test_every_selector_asks_for_the_labels_of_the_gateway(preset: GatewayPreset) -> None:
    """Whatever a preset gets new: a text that is no selector must be said to be none."""
    bound = binding.bound(preset, {"namespace": "gateways", "job": "envoy"})
    own = 'job="envoy",namespace="gateways"'
    for field in dataclasses.fields(preset):
        text, before = text_of(bound, field.name), text_of(preset, field.name)
        if field.name not in binding.NO_SELECTORS and before and isinstance(text, str):
            assert text.endswith(own + "}"), field.name
            assert text.removesuffix(own + "}").rstrip(",{") == before.rstrip("}"), field.name
    assert bound.own == own
    assert binding.bound(preset, {}) is preset


@every_preset
def test_series_of_others_are_of_no_arm(preset: GatewayPreset) -> None:
    bound = binding.bound(preset, {"namespace": "gateways"})
    labels, candidate = counted("shop", "digits", preset)
    trial = make_trial(preset=bound, candidate=candidate)
    of_arm = selectors.matchers(trial, bound.requests, candidate)
    assert selectors.belongs({**labels, "namespace": "gateways"}, of_arm)
    assert not selectors.belongs({**labels, "namespace": "evil"}, of_arm)
    assert not selectors.belongs(labels, of_arm)


JOINED_ALIKE = (
    (("team", "fraud-detector"), ("team-fraud", "detector")),
    (("team-fraud", "detector"), ("team", "fraud-detector")),
    (("a-b", "c-d-e"), ("a-b-c-d", "e")),
)


@every_preset
@pytest.mark.parametrize(("ours", "theirs"), JOINED_ALIKE)
def test_namespaces_and_names_that_are_joined_alike_are_not_confused(
    preset: GatewayPreset, ours: tuple[str, str], theirs: tuple[str, str]
) -> None:
    """A tenant may name routes and Services in its own namespace as it likes."""
    labels, candidate = counted(*ours, preset)
    others, _ = counted(*theirs, preset)
    trial = dataclasses.replace(make_trial(preset=preset, candidate=candidate), namespace=ours[0], name=ours[1])
    of_arm = selectors.matchers(trial, preset.requests, candidate)

    stable = dataclasses.replace(candidate, service=f"{ours[1]}-aaa", position=0)

    assert selectors.belongs(labels, of_arm)
    assert not selectors.belongs(others, of_arm)
    assert not selectors.belongs(labels, selectors.matchers(trial, preset.requests, stable))
    assert selectors.not_confused(labels, preset, ours[1], candidate)


def test_no_route_of_ours_is_no_series_of_ours() -> None:
    labels, candidate = counted("shop", "digits", PRESETS["traefik"])
    trial = make_trial(preset=PRESETS["traefik"], candidate=dataclasses.replace(candidate, rules=()))
    assert not selectors.belongs(labels, selectors.matchers(trial, trial.gateway.preset.requests, trial.candidate))


def counted(namespace: str, name: str, preset: GatewayPreset) -> tuple[dict[str, str], Arm]:
    """The labels of a series of a model's candidate as the gateway writes them, and the candidate."""
    service, candidate = traefiknames.model(namespace, name)
    if preset.name == "traefik":
        return {"service": service}, candidate
    text = selectors.filled_for(namespace, name, preset.requests, [candidate])
    return {label: sample_of(value) for label, _, value in re.findall(r'(\w+)(=~?)"([^"]*)"', text)}, candidate


@every_preset
def test_who_exposes_series_of_any_backend_can_be_asked(preset: GatewayPreset) -> None:
    query = binding.sources(preset, {"cluster": "eu"})
    assert query.startswith("count by (cluster, job, namespace, pod) (")
    assert not re.search(r"\{\w+\}", query)
    assert not re.search(r'[^=]="[^"]*\.\+', query), "no pattern stands in a matcher of one value"


def sample_of(pattern: str) -> str:
    """A text that the pattern matches."""
    if pattern in SAMPLES:
        return SAMPLES[pattern]
    known = re.sub(r"\(upstream_.+\)", "upstream_rq_timeout", pattern).replace("(pending_)?", "pending_")
    return re.sub(r"\.\+|\[0-9\]\+", "7", known)


SAMPLES = {"(.*,)?(UT|UC|UR|UPE)(,.*)?": "UPE", "[0-4].*": "200"}


def envoy_series(cluster: str, statistic: str) -> dict[str, str]:
    """As Envoy writes it: the label has the name up to its first dot, and the metric the rest."""
    name, _, rest = f"{cluster}.{statistic}".partition(".")
    return {"__name__": f"envoy_cluster_{re.sub('[^0-9A-Za-z]', '_', rest)}", "envoy_cluster_name": name}


def istio_series(**labels: str) -> dict[str, str]:
    """Of the stable version's HTTP requests."""
    return {
        "reporter": "source",
        "destination_service_namespace": "shop",
        "destination_service_name": "digits-aaa",
        "request_protocol": "http",
        **labels,
    }


SERIES = (
    ("contour", "requests", STABLE, {"envoy_cluster_name": "shop_digits-aaa_80"}),
    ("contour", "requests", CANDIDATE, {"envoy_cluster_name": "shop_digits-bbb_80"}),
    ("contour", "requests", MIRROR, {"envoy_cluster_name": "shop_digits-bbb-mirror_80"}),
    (
        "contour",
        "grpc_requests",
        STABLE,
        {"__name__": "envoy_cluster_grpc_14", "envoy_cluster_name": "shop_digits-aaa_81"},
    ),
    ("envoy-gateway", "requests", STABLE, {"envoy_cluster_name": "httproute/shop/digits/rule/0/backend/0"}),
    ("envoy-gateway", "requests", CANDIDATE, {"envoy_cluster_name": "httproute/shop/digits/rule/0/backend/1"}),
    ("envoy-gateway", "mirror_requests", MIRROR, {"envoy_cluster_name": "httproute/shop/digits/rule/0-mirror-0"}),
    (
        "envoy-gateway",
        "grpc_requests",
        CANDIDATE,
        envoy_series(
            f"grpcroute/shop/{GRPC_ROUTE}/rule/0/backend/1", "grpc.inference.GRPCInferenceService.ModelInfer.0"
        ),
    ),
    (
        "envoy-gateway",
        "grpc_latency_bucket",
        STABLE,
        envoy_series(f"grpcroute/shop/{GRPC_ROUTE}/rule/0/backend/0", "upstream_rq_time_bucket"),
    ),
    ("contour", "broken", STABLE, envoy_series("shop_digits-aaa_80", "upstream_rq_timeout")),
    ("contour", "broken", CANDIDATE, envoy_series("shop_digits-bbb_80", "upstream_cx_protocol_error")),
    ("contour", "unanswered", CANDIDATE, envoy_series("shop_digits-bbb_80", "upstream_rq_active")),
    ("contour", "unanswered", CANDIDATE, envoy_series("shop_digits-bbb_80", "upstream_rq_pending_active")),
    ("contour", "grpc_unanswered", CANDIDATE, envoy_series("shop_digits-bbb_81", "upstream_rq_active")),
    ("contour", "grpc_broken", STABLE, envoy_series("shop_digits-aaa_81", "upstream_rq_pending_failure_eject")),
    (
        "envoy-gateway",
        "broken",
        CANDIDATE,
        envoy_series("httproute/shop/digits/rule/0/backend/1", "upstream_rq_per_try_timeout"),
    ),
    (
        "envoy-gateway",
        "mirror_broken",
        MIRROR,
        envoy_series("httproute/shop/digits/rule/0-mirror-0", "upstream_rq_timeout"),
    ),
    (
        "envoy-gateway",
        "grpc_broken",
        CANDIDATE,
        envoy_series(f"grpcroute/shop/{GRPC_ROUTE}/rule/0/backend/1", "upstream_rq_rx_reset"),
    ),
    (
        "envoy-gateway",
        "grpc_unanswered",
        CANDIDATE,
        envoy_series(f"grpcroute/shop/{GRPC_ROUTE}/rule/0/backend/1", "upstream_rq_pending_active"),
    ),
    ("istio", "broken", STABLE, istio_series(response_code="200", response_flags="UT")),
    ("istio", "broken", STABLE, istio_series(response_code="200", response_flags="UC,URX")),
    ("istio", "requests", STABLE, istio_series(response_code="200", response_flags="-")),
    ("nginx-gateway-fabric", "requests", STABLE, {"nginx_upstream_name": "shop_digits-aaa_80"}),
)


@pytest.mark.parametrize(
    ("preset", "field", "arm", "labels"), SERIES, ids=[f"{s[0]}-{s[1]}-{s[2].service}" for s in SERIES]
)
def test_a_series_is_given_to_its_arm_alone(preset: str, field: str, arm: Arm, labels: dict[str, str]) -> None:
    trial = make_trial(preset=PRESETS[preset], stable=STABLE, candidate=CANDIDATE)
    text = text_of(PRESETS[preset], field)
    mirrored = field.startswith("mirror_")
    others = [other for other in (STABLE, CANDIDATE, MIRROR) if other != arm and not (mirrored or other.mirrored)]
    assert selectors.belongs(labels, selectors.matchers(trial, text, arm))
    assert not any(selectors.belongs(labels, selectors.matchers(trial, text, other)) for other in others)


INNOCENT = (
    ("contour", envoy_series("shop_digits-aaa_80", "upstream_rq_tx_reset")),
    ("contour", envoy_series("shop_digits-aaa_80", "upstream_cx_destroy_local_with_active_rq")),
    ("contour", envoy_series("shop_digits-aaa_80", "upstream_rq_active")),
    ("contour", envoy_series("shop_digits-aaa_80", "upstream_rq_pending_failure_eject")),
    ("istio", istio_series(response_code="200", response_flags="DC")),
    ("istio", istio_series(response_code="200", response_flags="-")),
    ("istio", istio_series(response_code="504", response_flags="UT")),
)


@pytest.mark.parametrize(("preset", "labels"), INNOCENT)
def test_what_clients_cancel_and_what_has_a_code_is_not_broken(preset: str, labels: dict[str, str]) -> None:
    trial = make_trial(preset=PRESETS[preset], stable=STABLE, candidate=CANDIDATE)
    text = text_of(PRESETS[preset], "broken")
    assert not selectors.belongs(labels, selectors.matchers(trial, text, STABLE))


ANSWERS = (
    ("contour", "broken", "envoy_cluster_upstream_rq_timeout", "broken-504"),
    ("contour", "broken", "envoy_cluster_upstream_rq_per_try_timeout", "broken-504"),
    ("contour", "broken", "envoy_cluster_upstream_cx_protocol_error", "broken-502"),
    ("contour", "broken", "envoy_cluster_upstream_rq_rx_reset", "broken-503"),
    ("contour", "broken", "envoy_cluster_upstream_rq", ""),
    ("envoy-gateway", "grpc_broken", "envoy_cluster_grpc_rule_0_backend_1_upstream_rq_timeout", "broken-grpc-14"),
    ("istio", "broken", "istio_requests_total", "broken-"),
    ("istio", "grpc_broken", "istio_requests_total", "broken-grpc-"),
)


@pytest.mark.parametrize(("preset", "field", "name", "want"), ANSWERS)
def test_what_broke_goes_with_the_code_that_may_stand_for_it(preset: str, field: str, name: str, want: str) -> None:
    broken = getattr(PRESETS[preset], field)
    assert columns.broken_as(name, broken.answers) == want


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.positional])
def test_where_positions_count_each_arm_is_found_where_it_stands(name: str) -> None:
    """After two promotions the stable version stands in the second place, and the candidate has the first."""
    preset = PRESETS[name]
    turned = dataclasses.replace(STABLE, position=1), dataclasses.replace(CANDIDATE, position=0)
    trial = make_trial(preset=preset, stable=turned[0], candidate=turned[1])
    first = {"envoy_cluster_name": "httproute/shop/digits/rule/0/backend/0"}
    assert selectors.belongs(first, selectors.matchers(trial, preset.requests, turned[1]))
    assert not selectors.belongs(first, selectors.matchers(trial, preset.requests, turned[0]))


def grpc_backends(paths: Paths, speaking: set[str]) -> list[tuple[str, int]]:
    """(revision, weight) by position in the model's GRPCRoute."""
    deployment = builders.make_model_deployment()
    routes = route.desired_routes(deployment, builders.CONFIG, paths, grpc=frozenset(speaking))
    (main,) = (each for each in routes if each["metadata"]["name"] == GRPC_ROUTE)
    return [(backend["name"], backend["weight"]) for backend in main["spec"]["rules"][0]["backendRefs"]]


@pytest.mark.parametrize(
    ("weights", "speaking"),
    [
        ((("a", 600), ("b", 200), ("c", 200)), {"a", "c"}),
        ((("b", 0), ("a", 950), ("c", 50)), {"a", "c"}),
        ((("a", 900), ("c", 100)), {"c"}),
    ],
    ids=["an arm", "a former version that drains", "the stable version"],
)
def test_a_revision_without_grpc_moves_nobody_s_series(
    weights: tuple[tuple[str, int], ...], speaking: set[str]
) -> None:
    """Calls are counted at the places that revisions have in the HTTPRoute, so these are their places here, too."""
    found = grpc_backends(Paths(weights), speaking)
    served = {(index, name, permille) for index, (name, permille) in enumerate(found) if permille}
    assert served == {(i, name, n) for i, (name, n) in enumerate(weights) if n and name in speaking}
    assert {name for name, _ in found} <= speaking


STATUSES = (
    ("contour", {"__name__": "envoy_cluster_grpc_14"}, "grpc-14"),
    ("envoy-gateway", {"__name__": "envoy_cluster_grpc_rule_0_backend_1_grpc_a_Service_Method2_14"}, "grpc-14"),
    ("istio", {"__name__": "istio_requests_total", "grpc_response_status": "2"}, "grpc-2"),
    ("istio", {"__name__": "istio_requests_total", "grpc_response_status": ""}, ""),
)


@pytest.mark.parametrize(("preset", "labels", "want"), STATUSES)
def test_grpc_statuses_are_read(preset: str, labels: dict[str, str], want: str) -> None:
    told = PRESETS[preset]
    assert columns.grpc_status(labels.get(told.grpc_status_label, ""), told.grpc_status_pattern) == want


@every_preset
def test_a_preset_says_nothing_that_contradicts_itself(preset: GatewayPreset) -> None:
    assert PRESETS[preset.name] is preset
    assert preset.settle_seconds > 0
    assert preset.positional == ("{backend}" in preset.requests)
    assert preset.request_mirror or not (preset.mirror_percent or preset.mirror_requests)
    assert bool(preset.mirror_requests) == bool(preset.mirror_latency_bucket)
    assert (preset.grpc_requests is None) == (preset.grpc_latency_bucket is None)
    assert (preset.broken is None) == (preset.grpc_broken is None) or preset.grpc_requests is None
    assert not preset.active or bool(preset.grpc_active) == (preset.grpc_requests is not None)
    assert (bool(preset.active), bool(preset.grpc_active)) == (bool(preset.unanswered), bool(preset.grpc_unanswered))
    assert (preset.mirror_broken is not None) == bool(preset.mirror_requests)
    assert name_of(preset.requests) != name_of(preset.latency_bucket or preset.freshness)


def test_percentages_of_mirrors_are_promised_only_where_they_are_kept() -> None:
    kept = {name for name, preset in PRESETS.items() if preset.mirror_percent}
    mirrors = {name for name, preset in PRESETS.items() if preset.request_mirror}
    assert kept == {"envoy-gateway", "nginx-gateway-fabric"}
    assert mirrors - kept == {"contour"}
