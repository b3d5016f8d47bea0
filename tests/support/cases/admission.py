"""Manifests that the API server refuses, with the field and a part of the reason, and others that it accepts.

A real API server and the plugin, which reads some from files, must agree on them.
"""

from typing import Any

from tests.support.cases import abtestcases, podfieldcases, serverobjectives
from tests.support.cases.objects import batch, deployment, merged, objective, policy, rollout, runtime

Object = dict[str, Any]

OBJECTIVES = "spec.objectives[0]"
SELECTOR = 'feedback_total{revision="{{revision}}"}'
FAILED = 'feedback_total{revision="{{revision}}",correct="false"}'
OTHERS = ('x{revision!="{{revision}}"}', 'x{revision=~"{{revision}}|.*"}', 'x{revision=~"({{revision}})?.*"}')

KEYS = {"credentialsSecretRef": {"name": "models-key"}}
VARIANT = {"name": "int8", "optimize": {"quantization": "Int8Dynamic"}}


def query(total: str = SELECTOR, failures: str = FAILED, **more: str) -> Object:
    return objective(failureRatio={"source": "Query", "total": total, "failures": failures, "maximum": "10%"} | more)


def more(**limits: str) -> Object:
    """Correct answers, the more the better."""
    selectors = {"total": SELECTOR, "successes": 'feedback_total{revision="{{revision}}",correct="true"}'}
    return objective(failureRatio={"source": "Query", "goal": "Higher"} | selectors | limits)


def weights(*values: int) -> list[Object]:
    return [{"weight": value} for value in values]


LABELLED = {
    "input": {"uri": "s3://data/labelled", "format": "Parquet"},
    "labels": "label",
    "objective": {"maximum": "10%"},
}
VALIDATION = "spec.rollout.validation"


def validation(change: Object, **rollout_fields: Any) -> Object:
    return deployment({"rollout": {"validation": {"batch": merged(LABELLED, change)}, **rollout_fields}})


TIMEOUTS = "spec.routing.timeouts"


def routed(**fields: Any) -> Object:
    return deployment({"routing": fields})


REFUSED: list[tuple[str, Object, str, str]] = [
    *abtestcases.REFUSED,
    *serverobjectives.REFUSED,
    ("labels that nobody names", validation({"labels": None}), f"{VALIDATION}.batch.labels", "Required value"),
    ("labelled data elsewhere", validation({"input": {"uri": "https://host/x"}}), f"{VALIDATION}.batch.input.uri", "s3://bucket/path"),
    (
        "see the answers", validation({
            "input": {"columns": ["image", "label"]}}), f"{VALIDATION}.batch.labels", "would see the answers"),
    ("no limit of wrong answers", validation({"objective": {"maximum": None}}), f"{VALIDATION}.batch.objective", "maximum and relativeTolerance"),
    (
        "negligible alone", validation({
            "objective": {
                "ignoreBelow": "1%"}}), f"{VALIDATION}.batch.objective.ignoreBelow", "belongs to relativeTolerance"),
    (
        "negligible above the maximum",
        validation({"objective": {"ignoreBelow": "20%", "relativeTolerance": "25%"}}),
        f"{VALIDATION}.batch.objective.ignoreBelow",
        "must not be above maximum",
    ),
    ("nothing wrong at all", validation({"objective": {"maximum": "0%"}}), f"{VALIDATION}.batch.objective.maximum", "more than 0%"),
    ("a limit that is no duration", routed(timeouts={"request": "10 minutes"}), f"{TIMEOUTS}.request", "should match"),
    ("a fraction of a second", routed(timeouts={"request": "1.5s"}), f"{TIMEOUTS}.request", "should match"),
    (
        "an attempt longer than the whole",
        routed(timeouts={"request": "1m", "backendRequest": "61s"}),
        f"{TIMEOUTS}.backendRequest",
        "must not be longer than request",
    ),
    (
        "two limits of one thing",
        routed(timeouts={"request": "1m"}, timeoutSeconds=120),
        "spec.routing.timeoutSeconds",
        "not both",
    ),
    (
        "a path that leads upwards",
        runtime({"exposed": {"paths": [{"value": "/v2/../x"}]}}),
        "spec.exposed.paths[0].value",
        "should match",
    ),
    (
        "a method without its service",
        runtime({"exposed": {"methods": [{"method": "Say"}]}}),
        "spec.exposed.methods[0].service",
        "Required value",
    ),
    (
        "a server's attempt longer than the whole",
        runtime({"timeouts": {"request": "1m", "backendRequest": "1h"}}),
        "spec.timeouts.backendRequest",
        "must not be longer than request",
    ),
    ("no shards", validation({"shards": 0}), f"{VALIDATION}.batch.shards", "greater than or equal to 1"),
    (
        "validation of a test",
        validation({}, strategy="ABTest", abTest={"metric": "clicks", "arms": [{"name": "b", "weight": 10, "model": {"uri": "s3://m/2"}}]}),
        VALIDATION,
        "strategy ABTest has several",
    ),
    ("no model", deployment({"model": None}), "spec.model", "Required value"),
    ("no uri", deployment({"model": {"uri": None}}), "spec.model.uri", "Required value"),
    ("scheme", deployment({"model": {"uri": "ftp://m/1"}}), "spec.model.uri", "scheme is not supported; use one of s3://bucket"),
    ("no repository", deployment({"model": {"uri": "hf://digits"}}), "spec.model.uri", "use hf://organisation/name[/path][@rev"),
    ("no object", deployment({"model": {"uri": "gs://models/"}}), "spec.model.uri", "use gs://bucket/path"),
    ("no blob", deployment({"model": {"uri": "azblob://models/", **KEYS}}), "spec.model.uri", "use azblob://container/path"),
    ("no container", deployment({"model": {"uri": "azblob://Models/m", **KEYS}}), "spec.model.uri", "use azblob://container/path"),
    ("no account", deployment({"model": {"uri": "azblob://models/m"}}), "spec.model.credentialsSecretRef", "Required value"),
    ("no image", deployment({"model": {"uri": "oci://digits"}}), "spec.model.uri", "use oci://registry/repository:tag"),
    ("bad digest", deployment({"model": {"uri": "oci://r/digits@sha256:12"}}), "spec.model.uri", "by @sha256:DIGEST"),
    (
        "sha256 of an image",
        deployment({"model": {"uri": "oci://r/digits:1", "sha256": "0a" * 32}}),
        "spec.model.sha256",
        "an image is pinned in its URI",
    ),
    ("a number", deployment({"model": {"uri": "http://2852039166/m"}}), "spec.model.uri", "only for Services of the cluster"),
    ("no file", deployment({"model": {"uri": "https://host/"}}), "spec.model.uri", "does not name a host and a path"),
    ("password", deployment({"model": {"uri": "https://me:pw@host/m"}}), "spec.model.uri", "belongs in a Secret"),
    ("plain http", deployment({"model": {"uri": "http://example.com/m"}}), "spec.model.uri", "elsewhere use https://"),
    ("no claim", deployment({"model": {"uri": "pvc://Models/1"}}), "spec.model.uri", "use pvc://claim/path"),
    ("out of the claim", deployment({"model": {"uri": "pvc://m/a/../b"}}), "spec.model.uri", "leads out of the claim"),
    ("sha256", deployment({"model": {"sha256": "A" * 64}}), "spec.model.sha256", "should match"),
    ("no image of a custom model", deployment({"model": {"format": "custom"}}), "spec.runtime.image", "Required value"),
    ("a port of no image", deployment({"runtime": {"port": 5000}}), "spec.runtime.image", "Required value"),
    ("a path of no image", deployment({"runtime": {"readinessPath": "/ready"}}), "spec.runtime.image", "Required value"),
    ("a relative path", deployment({"runtime": {"image": "a", "readinessPath": "ready"}}), "spec.runtime.readinessPath", "should match"),
    ("no path", deployment({"model": {"uri": "s3://models"}}), "spec.model.uri", "does not name a bucket and a path"),
    ("no bucket", deployment({"model": {"uri": "s3:///digits/1"}}), "spec.model.uri", "does not name a bucket and a path"),
    ("no such variant", deployment({"model": {"variant": "int4"}, "variants": [VARIANT]}), "spec.model.variant", "one of spec.variants"),
    ("static without data", deployment({"variants": [{"name": "s", "optimize": {"quantization": "Int8Static"}}]}),
     "spec.variants[0].optimize", "needs calibrationUri"),
    ("a variant of another format", deployment({"model": {"format": "triton"}, "variants": [VARIANT]}), "spec.variants", "onnx"),
    ("not a uri", deployment({"model": {"uri": "models/digits"}}), "spec.model.uri", "should match"),
    ("placeholder", deployment({"model": {"uri": "s3://m/{{revision}}"}}), "spec.model.uri", "should match"),
    ("long uri", deployment({"model": {"uri": "s3://m/" + "x" * 1024}}), "spec.model.uri", "Too long"),
    ("no replicas", deployment({"replicas": 0}), "spec.replicas", "greater than or equal to 1"),
    ("a float", deployment({"replicas": 1.5}), "spec.replicas", "must be of type int32"),
    ("TensorRT without a GPU", deployment({"runtime": {"tensorRT": {}}}), "spec.accelerator", "TensorRT needs a GPU"),
    ("a path without a payload", deployment({"warmup": {"path": "/ask"}}), "spec.warmup.payloadRef", "needs a payload: set payloadRef"),
    ("a metric without its value", deployment({"autoscaling": {"maximumReplicas": 3, "target": {"metric": "QueueMillis"}}}),
     "spec.autoscaling.target.value", "which need it"),
    ("a value of another metric", deployment({"autoscaling": {"maximumReplicas": 3, "target": {"value": 3}}}),
     "spec.autoscaling.target.value", "value belongs to metric InFlightRequests"),
    (
        "more than all of the cache",
        deployment({"autoscaling": {"maximumReplicas": 3, "target": {"metric": "KVCacheUsage", "value": 101}}}),
        "spec.autoscaling.target.value",
        "at most 100",
    ),
    (
        "two adapters of a name",
        deployment({"model": {"adapters": [{"name": "a", "uri": "hf://acme/a"}, {"name": "a", "uri": "hf://acme/b"}]}}),
        "spec.model.adapters[1]",
        "Duplicate value",
    ),
    (
        "an adapter with the model's name",
        deployment({"model": {"name": "m", "adapters": [{"name": "m", "uri": "hf://acme/a"}]}}),
        "spec.model.adapters",
        "another name than the model",
    ),
    (
        "an adapter without a model",
        deployment({"model": {"uri": None, "adapters": [{"name": "a", "uri": "hf://acme/a"}]}, "runtime": {"image": "i"}}),
        "spec.model.uri",
        "fetched beside a model",
    ),
    (
        "an adapter in a wrong place",
        deployment({"model": {"adapters": [{"name": "a", "uri": "ftp://acme/a"}]}}),
        "spec.model.adapters[0].uri",
        "scheme is not supported",
    ),
    (
        "a percentage of requests",
        deployment({"autoscaling": {"maximumReplicas": 3, "target": {"metric": "QueueMillis", "value": 3, "utilizationPercent": 5}}}),
        "spec.autoscaling.target.utilizationPercent",
        "belongs to metric CPU and Memory",
    ),
    ("CPU of no pod", deployment({"autoscaling": {"minimumReplicas": 0, "maximumReplicas": 3}}),
     "spec.autoscaling.minimumReplicas", "minimumReplicas 0 needs metric InFlightRequests"),
    ("quantity", deployment({"resources": {"requests": {"cpu": "lots"}}}), "spec.resources.requests.cpu", "should match"),
    ("env without name", deployment({"runtime": {"env": [{"value": "1"}]}}), "spec.runtime.env[0].name", "Required value"),
    (
        "env twice",
        deployment({"runtime": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}}),
        "spec.runtime.env[1]",
        "Duplicate value",
    ),
    *podfieldcases.REFUSED,
    ("65 variables", deployment({"runtime": {"env": [{"name": f"V{n}"} for n in range(65)]}}), "spec.runtime.env", "Too many"),
    ("host name", deployment({"routing": {"hostnames": ["No Host"]}}), "spec.routing.hostnames[0]", "should match"),
    (
        "host name twice",
        deployment({"routing": {"hostnames": ["a.example.com", "a.example.com"]}}),
        "spec.routing.hostnames[1]",
        "Duplicate value",
    ),
    ("strategy", deployment({"rollout": {"strategy": "Rainbow"}}), "spec.rollout.strategy", "Unsupported value"),
    (
        "steps fall",
        deployment({"rollout": {"canary": {"steps": weights(50, 25, 100)}}}),
        "spec.rollout.canary.steps",
        "weights must increase from step to step and end with 100",
    ),
    ("name too long", deployment(name="x" * 46), "", "at most 45 characters"),
    ("name of digits", deployment(name="1digits"), "", "beginning with a letter"),
    ("dotted name", deployment(name="a.b"), "", "DNS-1035"),
    (
        "shares by a risk of nothing",
        policy({"stepping": "Auto", "maximumRequestsAtRisk": 0}),
        "spec.maximumRequestsAtRisk",
        "stepping Auto needs maximumRequestsAtRisk of at least 1",
    ),
    ("steps stay", policy({"steps": weights(5, 5, 100)}), "spec.steps", "weights must increase"),
    ("steps end early", policy({"steps": weights(5, 50)}), "spec.steps", "end with 100"),
    ("no steps", policy({"steps": []}), "spec.steps", "at least 1 items"),
    ("21 steps", policy({"steps": weights(*range(1, 21), 100)}), "spec.steps", "Too many"),
    ("weight of 0", policy({"steps": weights(0, 100)}), "spec.steps[0].weight", "greater than or equal to 1"),
    ("certainty", policy({"falseRollbackProbability": "0%"}), "spec.falseRollbackProbability", "more than 0%"),
    ("coin", policy({"falseAdvanceProbability": "51%"}), "spec.falseAdvanceProbability", "at most 50%"),
    ("number", policy({"falseRollbackProbability": 0.01}), "spec.falseRollbackProbability", "must be of type string"),
    ("no percent sign", policy({"falseRollbackProbability": "0.01"}), "spec.falseRollbackProbability", "should match"),
    ("objective of nothing", objective(), OBJECTIVES, "exactly one of failureRatio, latency, throughput, distribution and cacheReuse"),
    (
        "a distribution with a latency",
        objective(distribution={"bins": SELECTOR}, latency={"relativeTolerance": "25%"}),
        OBJECTIVES,
        "exactly one of failureRatio, latency, throughput, distribution and cacheReuse",
    ),
    (
        "a distribution of all versions",
        objective(distribution={"bins": 'x{job="a"}'}),
        f"{OBJECTIVES}.distribution.bins",
        "must select one version",
    ),
    (
        "a distribution without a tolerance",
        objective(distribution={"bins": SELECTOR, "relativeTolerance": "0%"}),
        f"{OBJECTIVES}.distribution.relativeTolerance",
        "more than 0% and below 50%",
    ),
    (
        "a distribution with a label that is none",
        objective(distribution={"bins": SELECTOR, "label": "1st"}),
        f"{OBJECTIVES}.distribution.label",
        "should match",
    ),
    (
        "objective of both",
        objective(failureRatio={"events": "ServerErrors", "maximum": "1%"}, latency={"relativeTolerance": "25%"}),
        OBJECTIVES,
        "exactly one of failureRatio, latency, throughput, distribution and cacheReuse",
    ),
    (
        "nothing provable",
        objective(failureRatio={"events": "ServerErrors", "relativeTolerance": "25%"}),
        OBJECTIVES,
        "a required failureRatio needs maximum or ignoreBelow",
    ),
    (
        "no limit",
        objective(failureRatio={"events": "ServerErrors"}),
        f"{OBJECTIVES}.failureRatio",
        "at least one of maximum, ignoreBelow and relativeTolerance",
    ),
    (
        "limits crossed",
        objective(failureRatio={"events": "ServerErrors", "maximum": "1%", "ignoreBelow": "2%"}),
        f"{OBJECTIVES}.failureRatio",
        "ignoreBelow must not be above maximum",
    ),
    (
        "unprovable limit",
        objective(failureRatio={"events": "ServerErrors", "maximum": "0%"}),
        f"{OBJECTIVES}.failureRatio.maximum",
        "more than 0%",
    ),
    ("gateway without events", objective(failureRatio={"maximum": "1%"}), f"{OBJECTIVES}.failureRatio", "Server need events"),
    ("query with events", query(events="ServerErrors"), f"{OBJECTIVES}.failureRatio", "source Query needs total and failures"),
    ("a selector without a name", query(total='{revision="{{revision}}"}'), f"{OBJECTIVES}.failureRatio.total", "of several"),
    ("a function", query(total=f"rate({SELECTOR}[5m])"), f"{OBJECTIVES}.failureRatio.total", "functions are refused"),
    ("a sum", query(total=f"{SELECTOR} + {SELECTOR}"), f"{OBJECTIVES}.failureRatio.total", "functions are refused"),
    ("no revision", query(total='x{job="a"}'), f"{OBJECTIVES}.failureRatio.total", "must select one version"),
    *(
        (f"others' counters by {text}", query(total=text), f"{OBJECTIVES}.failureRatio.total", "must select one version")
        for text in OTHERS
    ),
    (
        "a comment in a selector",
        query(failures='x{a="b"#{{revision}}\n}'),
        f"{OBJECTIVES}.failureRatio.failures",
        "must be the selector of a raw counter",
    ),
    (
        "others' counters in a model's own objective",
        deployment({"rollout": {"objectives": query(total=OTHERS[0])["spec"]["objectives"]}}),
        "spec.rollout.objectives[0].failureRatio.total",
        "must select one version",
    ),
    (
        "unknown placeholder",
        query(failures='x{revision="{{revision}}",pod="{{pod}}"}'),
        f"{OBJECTIVES}.failureRatio.failures",
        "the placeholders are revision, namespace and name",
    ),
    ("more without a tolerance", more(), f"{OBJECTIVES}.failureRatio", "goal Higher is judged relative to the stable"),
    ("more of at least a maximum", more(relativeTolerance="10%", maximum="5%"), f"{OBJECTIVES}.failureRatio", "neither maximum"),
    ("more within the half", more(relativeTolerance="50%"), f"{OBJECTIVES}.failureRatio", "more than 0% and below 50%"),
    ("more within nothing", more(relativeTolerance="0%"), f"{OBJECTIVES}.failureRatio", "more than 0% and below 50%"),
    (
        "a window of both",
        policy({"freezeWindows": [{"name": "w", "startTime": "08:00", "durationMinutes": 5, "until": "2026-03-01T12:00:00Z"}]}),
        "spec.freezeWindows[0]",
        "set startTime and durationMinutes",
    ),
    (
        "a window that ends before",
        policy({"freezeWindows": [{"name": "w", "from": "2026-03-01T12:00:00Z", "until": "2026-03-01T11:00:00Z"}]}),
        "spec.freezeWindows[0]",
        "from must be before until",
    ),
    (
        "negligible latency alone",
        objective(latency={"percentile": 95, "maximumMillis": 50, "ignoreBelow": "1%"}),
        f"{OBJECTIVES}.latency.ignoreBelow",
        "belongs to relativeTolerance",
    ),
    (
        "negligible latency above the limit",
        objective(latency={"percentile": 95, "maximumMillis": 50, "relativeTolerance": "25%", "ignoreBelow": "6%"}),
        f"{OBJECTIVES}.latency.ignoreBelow",
        "above the share that percentile allows",
    ),
    ("half a latency", objective(latency={"percentile": 95}), f"{OBJECTIVES}.latency", "go together"),
    ("latency without limit", objective(latency={}), f"{OBJECTIVES}.latency", "set maximumMillis"),
    ("objective twice", policy({"objectives": [{"name": "a", "latency": {"relativeTolerance": "1%"}}] * 2}), "spec.objectives[1]", "Duplicate"),
    ("no container", runtime({"containers": []}), "spec.containers", "at least 1 items"),
    ("container without image", runtime({"containers": [{"name": "a"}]}), "spec.containers[0].image", "Required value"),
    ("no format", runtime({"formats": []}), "spec.formats", "at least 1 items"),
    ("layout", runtime({"modelLayout": "Pile"}), "spec.modelLayout", "Unsupported value"),
    ("port", runtime({"port": 70000}), "spec.port", "less than or equal to 65535"),
    ("zone of a schedule", batch({"schedule": {"cron": "0 3 * * *", "timeZone": "Europe/Berln"}, "output": {"uri": "s3://data/{{run}}"}}), "spec.schedule.timeZone", "unknown time zone Europe/Berln"),
    ("zone of a window", policy({"freezeWindows": [{"name": "w", "startTime": "08:00", "durationMinutes": 5, "timeZone": "Europe/Berln"}]}), "spec.freezeWindows[0].timeZone", "unknown time zone Europe/Berln"),
    ("action", rollout({"intent": {"action": "Explode", "requestedBy": "a", "requestTime": "2026-03-01T12:00:00Z"}}), "spec.intent.action", "Unsupported value"),
    ("time", rollout({"intent": {"action": "Abort", "requestedBy": "a", "requestTime": "now"}}), "spec.intent.requestTime", "date-time"),
]  # fmt: skip


SOURCES = (
    "s3://models/digits/1",
    "https://models.example.com/m.onnx?signature=a%2Fb@c",
    "http://files/m.onnx",
    "gs://models.example.com/digits/1",
    "azblob://models/digits/1",
    "hf://acme/digits",
    "hf://acme/Digits-1.5/onnx/model.onnx@refs/pr/1",
    "oci://ghcr.io/acme/digits:3",
    "oci://registry:5000/digits@sha256:" + "0a" * 32,
    "pvc://models",
    "pvc://models/digits/..1/",
    "http://files.storage.svc:8080/digits/m.tgz",
    "http://files.storage.svc.cluster.local/m.onnx",
)

ACCEPTED: list[tuple[str, Object]] = [
    *abtestcases.ACCEPTED,
    *serverobjectives.ACCEPTED,
    ("no limit", routed(timeouts={"request": "0s", "backendRequest": "1h"})),
    ("an attempt without a limit of its own", routed(timeouts={"request": "1h30m", "backendRequest": "0s"})),
    ("a limit beside the default", routed(timeouts={"request": "500ms"}, timeoutSeconds=30)),
    ("a server's limits", runtime({"timeouts": {"request": "10m"}})),
    (
        "what clients reach of a server",
        runtime(
            {
                "exposed": {
                    "paths": [{"value": "/v2/models/{{model.name}}"}],
                    "methods": [{"service": "a.B", "method": "C"}],
                }
            }
        ),
    ),
    (
        "validation",
        validation({"shards": 4, "objective": {"ignoreBelow": "1%", "relativeTolerance": "25%"}}, strategy="Recreate"),
    ),
    ("validation by comparison alone", validation({"objective": {"maximum": None, "relativeTolerance": "25%"}})),
    ("smallest deployment", deployment()),
    (
        "image that carries its model",
        deployment({"model": {"format": "custom", "uri": None}, "runtime": {"image": "a/b:1", "port": 80}}),
    ),
    ("smallest policy", {**policy(), "spec": {}}),
    ("smallest runtime", runtime()),
    ("first rollout", rollout()),
    ("longest name", deployment(name="x" * 45)),
    *((uri, deployment({"model": {"uri": uri, **KEYS}})) for uri in SOURCES),
    ("one step", policy({"steps": weights(100)})),
    ("20 steps", policy({"steps": weights(*range(1, 20), 100)})),
    ("query", query()),
    ("more", more(relativeTolerance="10%")),
    (
        "negligible latency",
        objective(latency={"percentile": 95, "maximumMillis": 50, "relativeTolerance": "25%", "ignoreBelow": "5%"}),
    ),
    (
        "windows",
        policy(
            {
                "freezeWindows": [
                    {
                        "name": "a",
                        "startTime": "08:00",
                        "durationMinutes": 5,
                        "days": ["Mon"],
                        "timeZone": "Europe/Berlin",
                    },
                    {"name": "b", "from": "2026-03-01T12:00:00Z", "until": "2026-03-01T15:00:00+01:30"},
                ],
            }
        ),
    ),
    ("a query of several counters", query(total='{__name__=~"good_total|bad_total",revision="{{revision}}"}')),
    ("a query by pods", query(total='x{pod=~"{{revision}}-[a-z0-9]+(-[a-z0-9]+)?"}')),
    (
        "a query of several matchers",
        query(failures=r'x{ code =~ "5..|429", path!="a\"b", revision = "{{revision}}", }'),
    ),
    ("a variant", deployment({"model": {"variant": "int8"}, "variants": [VARIANT]})),
    ("query by namespace", query(total='x{revision="{{revision}}",namespace="{{namespace}}",model=~"{{name}}.*"}')),
    (
        "may roll back only",
        objective(required=False, failureRatio={"events": "ClientErrors", "relativeTolerance": "50%"}),
    ),
    ("numbers as quantities", deployment({"resources": {"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}}})),
    *podfieldcases.ACCEPTED,
    (
        "pod fields",
        deployment(
            {
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
                "imagePullSecrets": [{"name": "registry"}],
                "serviceAccountName": "models",
                "podAnnotations": {"example.com/team": "digits"},
                "runtime": {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            }
        ),
    ),
]
