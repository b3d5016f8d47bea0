"""The table: each model server, a real model for it, requests with correct answers, and models that must never
serve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from demo import cluster as clusters
from demo import digits, languagemodels
from demo.cluster import Image
from tests.support.live import badmodels
from tests.support.runtimes import modelfiles
from tests.support.runtimes.asking import Ask, GrpcAsk
from tests.support.runtimes.box import Files

Object = dict[str, Any]

MODEL: Final = "digits"
"""The served name."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A model that must never be ready: its files, and the expected message (a regular expression)."""

    files: Mapping[str, bytes]
    said: str
    by_downloader: bool = False
    """Whether it is refused before a server starts."""


@dataclass(frozen=True, slots=True)
class Case:
    """One model server with one format."""

    name: str
    runtime: str
    format: str
    image: Image
    write: Callable[[Files, Path], None]
    """Writes the model's files as a user keeps them in a bucket."""
    asks: tuple[Ask | GrpcAsk, ...]
    long_ask: Ask | None
    """A request that takes about a second: it is in flight when the server is stopped. None where the same server is
    stopped with another format."""
    series: tuple[str, ...]
    """Prefixes of the server's metrics after a request."""
    broken: Mapping[str, Broken]
    spec: Object = field(default_factory=dict)
    """Further fields of the ModelDeployment."""
    administration: tuple[tuple[str, str], ...] = ()
    """(method, path) that the server answers on its port and no client of the model needs."""
    administration_calls: tuple[str, ...] = ()
    """The same of gRPC, `/service/method`."""
    smoke: bool = False
    """Whether it belongs to `make test`; the others are slow."""
    rate: float = 100.0
    """Requests a second to send."""
    seconds: float = 120.0
    """Seconds until it is ready."""
    refuses_seconds: float = 20.0
    """Seconds until it has reported a model's defect."""


def _examples(count: int) -> tuple[list[list[float]], list[int]]:
    held_out = digits.split()[1]
    return held_out.images[:count].tolist(), held_out.labels[:count].tolist()


IMAGES, LABELS = _examples(3)

REPOSITORY: Final = (
    ("POST", "/v2/repository/index"),
    ("POST", f"/v2/repository/models/{MODEL}/unload"),
    ("POST", f"/v2/repository/models/{MODEL}/load"),
)
REPOSITORY_CALLS: Final = tuple(
    f"/inference.GRPCInferenceService/Repository{method}" for method in ("Index", "ModelLoad", "ModelUnload")
)

FASTAPI: Final = Case(
    name="fastapi",
    runtime="fastapi",
    format="custom",
    image=clusters.SERVER_IMAGES["fastapi"],
    write=modelfiles.write_onnx,
    asks=(Ask("Native", "/predict", {"instances": IMAGES}, lambda answer: answer["predictions"] == LABELS),),
    long_ask=Ask(
        "Native", "/predict", {"instances": IMAGES * 1200}, lambda answer: answer["predictions"] == LABELS * 1200
    ),
    series=(
        f'predict_requests_total{{code="200",model="{MODEL}"}}',
        f'predict_seconds_bucket{{le="0.01",model="{MODEL}"}}',
    ),
    broken={
        "garbage": Broken({"model.onnx": b"this is no model"}, "ModelNotLoadable: ONNX Runtime cannot load model.onnx"),
        "none": Broken({"readme.txt": b"later"}, "ModelNotLoadable: 0 .onnx files"),
    },
    spec={"runtime": {"image": clusters.SERVER_IMAGES["fastapi"].tag}},
    smoke=True,
)


def _v2(right: Callable[[Any], bool], copies: int = 1, **parameters: str) -> Ask:
    """A request of the Open Inference Protocol V2 with the images, `copies` times."""
    pixels = [pixel for image in IMAGES * copies for pixel in image]
    tensor = {"name": "image", "shape": [len(IMAGES) * copies, 64], "datatype": "FP32", "data": pixels}
    body = {"inputs": [tensor], **({"parameters": parameters} if parameters else {})}
    return Ask("V2", f"/v2/models/{MODEL}/infer", body, right)


def _v2_labels(copies: int = 1) -> Callable[[Any], bool]:
    """Of the output with one number for each image; others may come with it, in any order."""
    labels = LABELS * copies

    def right(answer: Any) -> bool:
        return any([round(label) for label in output["data"]] == labels for output in answer["outputs"])

    return right


def _v2_scores(answer: Any) -> bool:
    output = answer["outputs"][0]
    return bool(np.asarray(output["data"]).reshape(output["shape"]).argmax(axis=1).tolist() == LABELS)


def _grpc(output: str, right: Callable[[Any], bool], **parameters: str) -> GrpcAsk:
    return GrpcAsk(MODEL, "image", np.asarray(IMAGES, np.float32), "FP32", output, right, parameters)


def _mlserver(format_: str, write: Callable[[Files, Path], None], garbage: str, **changes: Any) -> Case:
    usual: Object = {
        "asks": (_v2(_v2_labels()), _grpc("predict", lambda labels: labels.ravel().tolist() == LABELS)),
        "long_ask": None,
    }
    return Case(
        name=f"mlserver-{format_}",
        runtime="mlserver",
        format=format_,
        image=clusters.SERVER_IMAGES["mlserver"],
        write=write,
        series=(
            f'model_infer_request_success_total{{model="{MODEL}"',
            f'model_infer_request_duration_count{{model="{MODEL}"',
        ),
        broken={
            "garbage": Broken({garbage: b"this is no model"}, "Couldn't load model"),
            "two": Broken({"a.pkl": b"a", "b.pkl": b"b"}, "UnsupportedModel: 2 model files", by_downloader=True),
            "none": Broken({"readme.md": b"x"}, "UnsupportedModel: 0 model files", by_downloader=True),
        },
        administration=(*REPOSITORY, ("GET", "/metrics"), ("GET", "/v2/docs")),
        administration_calls=(*REPOSITORY_CALLS, "/inference.model_repository.ModelRepositoryService/ModelUnload"),
        **usual | changes,
    )


MLSERVER: Final = (
    _mlserver("sklearn", modelfiles.write_sklearn, "model.joblib", long_ask=_v2(_v2_labels(3000), 3000)),
    _mlserver("xgboost", modelfiles.write_xgboost, "model.json"),
    _mlserver(
        "lightgbm",
        modelfiles.write_lightgbm,
        "model.txt",
        asks=(_v2(_v2_scores), _grpc("predict", lambda scores: scores.argmax(axis=1).tolist() == LABELS)),
    ),
    _mlserver(
        "mlflow",
        modelfiles.write_mlflow,
        "MLmodel",
        asks=(
            _v2(_v2_labels(), content_type="np"),
            _grpc("output-1", lambda labels: labels.ravel().tolist() == LABELS, content_type="np"),
        ),
    ),
)


def _v1(copies: int = 1) -> Ask:
    body = {"instances": IMAGES * copies}
    return Ask("V1", f"/v1/models/{MODEL}:predict", body, lambda answer: answer["predictions"] == LABELS * copies)


KSERVE: Final = Case(
    name="kserve",
    runtime="kserve",
    format="python",
    image=clusters.SERVER_IMAGES["kserve"],
    write=modelfiles.write_kserve,
    asks=(_v1(), _v2(_v2_labels()), _grpc("label", lambda labels: labels.tolist() == LABELS)),
    long_ask=_v1(50),
    series=(
        f'request_predict_seconds_count{{model_name="{MODEL}"}}',
        f'request_postprocess_seconds_count{{model_name="{MODEL}"}}',
    ),
    broken={
        "no code": Broken({"weights.npz": b"x"}, "ModelNotLoadable: /models has no model.py"),
        "no class": Broken({"model.py": b"x = 1"}, "ModelNotLoadable: .* it has: none"),
        "no import": Broken({"model.py": b"import nothing_of_this_name"}, "ModelNotLoadable: .* ModuleNotFoundError"),
        "not ready": Broken(
            {"model.py": b"import kserve\nclass A(kserve.Model):\n    def load(self):\n        pass\n"},
            r"ModelNotLoadable: A.load\(\) did not set self.ready",
        ),
    },
    administration=(*REPOSITORY, ("GET", "/metrics"), ("GET", "/docs")),
    administration_calls=REPOSITORY_CALLS,
)


def _bento(copies: int = 1) -> Ask:
    return Ask("Native", "/predict", {"images": IMAGES * copies}, lambda answer: answer == LABELS * copies)


BENTOML: Final = Case(
    name="bentoml",
    runtime="bentoml",
    format="bento",
    image=clusters.SERVER_IMAGES["bentoml"],
    write=modelfiles.write_bento,
    asks=(_bento(),),
    long_ask=_bento(50),
    series=(
        'bentoml_service_request_total{endpoint="/predict",http_response_code="200"',
        'bentoml_service_request_duration_seconds_bucket{endpoint="/predict"',
        "bentoml_service_adaptive_batch_size_bucket{",
    ),
    broken={
        "no Bento": Broken({"service.py": b"x = 1"}, "UnsupportedModel: 0 Bentos", by_downloader=True),
        "garbage": Broken({"bento.yaml": b"this is no Bento"}, "Error|error"),
    },
)


def _torchserve(name: str, write: Callable[[Files, Path], None], ask: Ask, long_ask: Ask | None) -> Case:
    return Case(
        name=f"torchserve-{name}",
        runtime="torchserve",
        format="pytorch",
        image=clusters.SERVER_IMAGES["torchserve"],
        write=write,
        asks=(ask,),
        long_ask=long_ask,
        series=(
            f'ts_inference_requests_total{{model_name="{MODEL}"',
            f'ts_inference_latency_microseconds{{model_name="{MODEL}"',
        ),
        broken={
            "garbage": Broken({"model.pt": b"this is no model"}, "PytorchStreamReader failed"),
            "none": Broken({"readme.md": b"x"}, "UnsupportedModel: 0 .mar files", by_downloader=True),
        },
        administration=(("GET", "/models"), ("DELETE", f"/models/{MODEL}"), ("GET", "/metrics")),
    )


def _torch_archive(copies: int = 1) -> Ask:
    return Ask("Native", f"/predictions/{MODEL}", IMAGES * copies, lambda answer: answer == LABELS * copies)


TORCHSCRIPT: Final = Ask(
    "Native", f"/predictions/{MODEL}", {"instances": IMAGES}, lambda answer: answer["predictions"] == LABELS
)
TORCHSERVE: Final = (
    _torchserve("torchscript", modelfiles.write_torchscript, TORCHSCRIPT, None),
    _torchserve("archive", modelfiles.write_model_archive, _torch_archive(), _torch_archive(50)),
)

TRITON: Final = Case(
    name="triton",
    runtime="triton",
    format="onnx",
    image=clusters.IMAGES["triton"],
    write=modelfiles.write_onnx,
    asks=(_v2(_v2_labels()), _grpc("label", lambda labels: labels.tolist() == LABELS)),
    long_ask=_v2(_v2_labels(3000), 3000),
    series=(
        f'nv_inference_request_success{{model="{MODEL}"',
        f'nv_inference_request_failure{{model="{MODEL}"',
        f'nv_inference_queue_duration_us{{model="{MODEL}"',
    ),
    broken={
        "garbage": Broken({"model.onnx": b"this is no model"}, "ModelNotLoadable: ONNX Runtime cannot load model.onnx"),
        "zipmap": Broken({"model.onnx": badmodels.zipmapped()}, "ModelNotLoadable: .* which Triton cannot transport"),
        "two": Broken({"a.onnx": b"a", "b.onnx": b"b"}, "UnsupportedModel: 2 .onnx files", by_downloader=True),
    },
    administration=(
        *REPOSITORY,
        ("POST", "/v2/logging"),
        ("POST", "/v2/trace/setting"),
        ("POST", f"/v2/models/{MODEL}/trace/setting"),
        ("POST", "/v2/systemsharedmemory/region/x/register"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/cudasharedmemory/status"),
    ),
    administration_calls=(
        *REPOSITORY_CALLS,
        *(
            f"/inference.GRPCInferenceService/{method}"
            for method in ("LogSettings", "TraceSetting", "SystemSharedMemoryStatus")
        ),
    ),
)


def _chat(tokens: int) -> Ask:
    """An answer of this many tokens, which are letters."""

    def right(answer: Any) -> bool:
        text = answer["choices"][0]["message"]["content"]
        return answer["model"] == MODEL and answer["usage"]["completion_tokens"] == tokens and set(text) <= LETTERS

    body = {"model": MODEL, "max_tokens": tokens, "messages": [{"role": "user", "content": "Say something."}]}
    return Ask("OpenAI", "/v1/chat/completions", body, right)


LETTERS: Final = frozenset(languagemodels.LETTERS)
LLAMACPP: Final = Case(
    name="llamacpp",
    runtime="llamacpp",
    format="gguf",
    image=clusters.SERVER_IMAGES["llamacpp"],
    write=modelfiles.write_language_model,
    asks=(_chat(4),),
    long_ask=_chat(800),
    series=(
        'gen_ai_server_time_to_first_token_seconds_bucket{computed_bucket="16",le="0.25"}',
        'gen_ai_server_time_per_output_token_seconds_bucket{computed_bucket="16",le="0.025"}',
        'gen_ai_server_request_duration_seconds_bucket{computed_bucket="16",le="0.64"}',
        *(f'sluice_llm_streams_total{{outcome="{outcome}"}}' for outcome in ("Complete", "Broken", "Cancelled")),
        *(f"sluice_llm_{name}" for name in ("requests_running", "requests_waiting", "kv_cache_usage_ratio")),
        "sluice_llm_output_tokens_total",
    ),
    broken={
        "garbage": Broken({"model.gguf": b"this is no model"}, "ModelNotLoadable: .* is not a GGUF model"),
        "cut": Broken({"model.gguf": badmodels.cut_gguf()}, "ModelNotLoadable: .* is cut: it has .* bytes"),
        "no tokenizer": Broken({"model.gguf": badmodels.gguf(tokenizer=False)}, "ModelNotLoadable: .* no tokenizer"),
        "none": Broken({"readme.txt": b"later"}, "ModelNotLoadable: .* has 0 models"),
    },
    spec={"runtime": {"args": ["--context-length=8192"]}},
    administration=(("GET", "/metrics"), ("GET", "/slots"), ("POST", "/lora-adapters")),
    smoke=True,
)

VLLM: Final = Case(
    name="vllm",
    runtime="vllm",
    format="huggingface",
    image=clusters.SERVER_IMAGES["vllm"],
    write=modelfiles.write_hugging_face,
    asks=(_chat(4),),
    long_ask=_chat(400),
    series=(
        f'vllm:request_success_total{{engine="0",finished_reason="length",model_name="{MODEL}"}}',
        f'vllm:time_to_first_token_seconds_bucket{{engine="0",le="0.25",model_name="{MODEL}"}}',
        f'vllm:inter_token_latency_seconds_bucket{{engine="0",le="0.3",model_name="{MODEL}"}}',
        f'vllm:e2e_request_latency_seconds_bucket{{engine="0",le="1.0",model_name="{MODEL}"}}',
        *(
            f"vllm:request_{name}_bucket{{"
            for name in ("time_per_output_token_seconds", "prompt_tokens", "prefill_kv_computed_tokens")
        ),
        *(f"vllm:request_queue_time_seconds_{name}{{" for name in ("sum", "count")),
        *(f"vllm:{name}{{" for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")),
    ),
    broken={
        "no configuration": Broken({"readme.txt": b"later"}, "config.json"),
        "unknown kind": Broken({"config.json": b'{"model_type": "nothing"}'}, "nothing"),
    },
    spec={
        "runtime": {
            "args": ["--dtype=float32", "--enforce-eager", "--max-model-len=2048"],
            "env": [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"}, {"name": "OMP_NUM_THREADS", "value": "1"}],
        },
        # Four of them fit on the lab's two processors, and two leave enough for the cluster itself.
        "resources": {"requests": {"cpu": "100m", "memory": "3Gi"}, "limits": {"cpu": "800m"}},
    },
    administration=(("GET", "/metrics"), ("GET", "/docs"), ("POST", "/pause")),
    rate=5.0,
    seconds=400.0,
    refuses_seconds=200.0,
)

CASES: Final = (FASTAPI, TRITON, *MLSERVER, KSERVE, BENTOML, *TORCHSERVE, LLAMACPP, VLLM)
PARAMETERS: Final = [pytest.param(case, id=case.name, marks=() if case.smoke else pytest.mark.slow) for case in CASES]
"""The same for a fixture."""
