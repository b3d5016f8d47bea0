"""The downloader's layouts: file names in, moves out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sluice_storage import layout
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.layout import Layout

from sluice_core.api.v1alpha1.servingruntime import ModelLayout

TRITON_LAYOUTS = (Layout.TRITON_REPOSITORY, Layout.TRITON_PYTHON_ONNX)

MOVES = {
    "one file": (["model.onnx"], [("model.onnx", "digits/1/model.onnx")]),
    "another name": (["net.onnx"], [("net.onnx", "digits/1/model.onnx")]),
    "weights in files of their own": (
        ["net.onnx", "net.onnx.data"],
        [("net.onnx", "digits/1/model.onnx"), ("net.onnx.data", "digits/1/net.onnx.data")],
    ),
    "in a folder, beside other things": (
        ["README.md", "export/net.onnx", "export/weights/a.bin"],
        [("export/net.onnx", "digits/1/model.onnx"), ("export/weights/a.bin", "digits/1/weights/a.bin")],
    ),
    "a ready model folder": (
        ["1/model.onnx", "config.pbtxt"],
        [("1/model.onnx", "digits/1/model.onnx"), ("config.pbtxt", "digits/config.pbtxt")],
    ),
    "a ready model folder without configuration": (["3/model.onnx"], [("3/model.onnx", "digits/3/model.onnx")]),
    "a ready repository of two models": (
        ["digits/1/model.onnx", "digits/config.pbtxt", "scale/config.pbtxt"],
        [(name, name) for name in ("digits/1/model.onnx", "digits/config.pbtxt", "scale/config.pbtxt")],
    ),
}


@pytest.mark.parametrize("wanted", TRITON_LAYOUTS, ids=lambda wanted: wanted.value)
@pytest.mark.parametrize(("files", "moves"), MOVES.values(), ids=MOVES.keys())
def test_files_are_moved_to_where_triton_looks(files: list[str], moves: list[tuple[str, str]], wanted: Layout) -> None:
    assert list(layout.arranged(files, wanted, "digits").moves) == moves


def test_plain_onnx_gets_a_configuration_for_the_backend_of_its_layout() -> None:
    plans = {wanted: layout.arranged(["a.onnx"], wanted, "digits") for wanted in TRITON_LAYOUTS}
    texts = {wanted: dict(plan.texts)["digits/config.pbtxt"] for wanted, plan in plans.items()}
    assert 'backend: "onnxruntime"' in texts[Layout.TRITON_REPOSITORY]
    assert 'backend: "python"' in texts[Layout.TRITON_PYTHON_ONNX]
    assert not [text for text in texts.values() if "dynamic_batching" in text or "max_batch_size: 0" not in text]
    assert plans[Layout.TRITON_PYTHON_ONNX].server_code == "digits/1/model.py"
    assert plans[Layout.TRITON_REPOSITORY].server_code == ""


BATCHED = """name: "digits"
backend: "onnxruntime"
max_batch_size: 16
dynamic_batching { max_queue_delay_microseconds: 200 }
instance_group [{ count: 1, kind: KIND_AUTO }]
"""
UNBATCHED = """name: "digits"
backend: "tensorrt"
max_batch_size: 0
instance_group [{ count: 1, kind: KIND_AUTO }]
"""


def test_batching_is_written_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = layout.arranged(["net.plan"], Layout.TRITON_REPOSITORY, "digits")
    assert plan.moves == (("net.plan", "digits/1/model.plan"),)
    assert dict(plan.texts)["digits/config.pbtxt"] == UNBATCHED
    monkeypatch.setenv("SLUICE_MAXIMUM_BATCH_SIZE", "16")
    monkeypatch.setenv("SLUICE_MAXIMUM_QUEUE_DELAY_MICROSECONDS", "200")
    written = dict(layout.arranged(["net.onnx"], Layout.TRITON_REPOSITORY, "digits").texts)
    assert written["digits/config.pbtxt"] == BATCHED
    with pytest.raises(DownloadError, match=r"spec\.runtime\.batching: .* defines this itself, in its config\.pbtxt"):
        layout.arranged(["config.pbtxt", "1/model.pt"], Layout.TRITON_REPOSITORY, "digits")


TUNED = """name: "digits"
backend: "onnxruntime"
max_batch_size: 0
instance_group [{ count: 2, kind: KIND_AUTO }]
parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
optimization {
  execution_accelerators {
    gpu_execution_accelerator [ {
      name: "tensorrt"
      parameters { key: "precision_mode" value: "FP16" }
      parameters { key: "max_workspace_size_bytes" value: "1073741824" }
    } ]
  }
}
"""


def tune(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"SLUICE_{name}", value)


def test_instances_threads_and_tensorrt_are_written_for_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    tune(monkeypatch, INSTANCES="2", THREADS="4", TENSORRT_PRECISION="FP16", TENSORRT_WORKSPACE_MEBIBYTES="1024")
    written = dict(layout.arranged(["net.onnx"], Layout.TRITON_REPOSITORY, "digits").texts)
    assert written["digits/config.pbtxt"] == TUNED


def test_the_python_backends_model_is_told_its_threads_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    tune(monkeypatch, INSTANCES="3", THREADS="4")
    written = dict(layout.arranged(["net.onnx"], Layout.TRITON_PYTHON_ONNX, "digits").texts)["digits/config.pbtxt"]
    assert "count: 3" in written
    assert "parameters" not in written


def test_torchserves_workers_are_the_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    tune(monkeypatch, INSTANCES="3")
    written = dict(layout.arranged(["net.mar"], Layout.TORCHSERVE_STORE, "digits").texts)["config.properties"]
    assert "default_workers_per_model=3\n" in written


TENSORRT = {"TENSORRT_PRECISION": "FP16", "TENSORRT_WORKSPACE_MEBIBYTES": "64"}


@pytest.mark.parametrize(
    ("settings", "files", "wanted", "said"),
    [
        (
            TENSORRT,
            ["net.plan"],
            Layout.TRITON_REPOSITORY,
            r"spec\.runtime\.tensorRT: backend tensorrt does not support it",
        ),
        (
            TENSORRT,
            ["net.onnx"],
            Layout.TRITON_PYTHON_ONNX,
            r"spec\.runtime\.tensorRT: backend python does not support it",
        ),
        ({"THREADS": "2"}, ["net.plan"], Layout.TRITON_REPOSITORY, r"spec\.runtime\.threads: backend tensorrt"),
        (
            {"THREADS": "2", "INSTANCES": "2"},
            ["config.pbtxt", "1/model.pt"],
            Layout.TRITON_REPOSITORY,
            r"spec\.runtime\.instances, spec\.runtime\.threads: a ready Triton repository",
        ),
    ],
)
def test_what_a_backend_cannot_be_told_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], files: list[str], wanted: Layout, said: str
) -> None:
    tune(monkeypatch, **settings)
    with pytest.raises(DownloadError, match=said):
        layout.arranged(files, wanted, "digits")


CODE = {
    "a Triton repository": (Layout.TRITON_REPOSITORY, "onnx", ["digits/config.pbtxt", "digits/1/model.py"], "triton"),
    "one model's folder": (Layout.TRITON_PYTHON_ONNX, "onnx", ["1/model.py", "1/model.onnx"], "triton"),
    "a library for the backend": (Layout.TRITON_REPOSITORY, "onnx", ["m.onnx", "libtriton_onnxruntime.so"], ""),
    "a module for the backend": (Layout.TRITON_PYTHON_ONNX, "onnx", ["m.onnx", "numpy/__init__.py"], ""),
    "an MLflow model": (Layout.MLSERVER_MODEL, "xgboost", ["MLmodel", "model-settings.json", "evil.py"], "mlflow"),
}


@pytest.mark.parametrize(("wanted", "said", "files", "true"), CODE.values(), ids=CODE.keys())
def test_a_model_that_is_held_to_its_format_brings_no_code_in_another(
    wanted: Layout, said: str, files: list[str], true: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert layout.arranged(files, wanted, "digits").moves, "as it is without being held to it"
    monkeypatch.setenv(layout.FORMAT, said)
    with pytest.raises(
        DownloadError, match=f"format {said}; (remove it, or )?let spec.model.uri name the model's file"
    ):
        layout.arranged(files, wanted, "digits")
    if true:
        monkeypatch.setenv(layout.FORMAT, true)
        assert layout.arranged(files, wanted, "digits").moves


def test_compiled_kernels_are_no_onnx_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert layout.arranged(["m.plan"], Layout.TRITON_REPOSITORY, "digits").moves
    monkeypatch.setenv(layout.FORMAT, "onnx")
    with pytest.raises(DownloadError, match=r"no \.onnx file among"):
        layout.arranged(["m.plan"], Layout.TRITON_REPOSITORY, "digits")


@pytest.mark.parametrize("wanted", TRITON_LAYOUTS, ids=lambda wanted: wanted.value)
def test_a_model_of_its_format_is_taken(wanted: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["net.onnx", "net.onnx.data", "weights/a.bin"]
    before = layout.arranged(files, wanted, "digits")
    monkeypatch.setenv(layout.FORMAT, "onnx")
    assert layout.arranged(files, wanted, "digits") == before


def test_a_ready_repository_is_taken_as_it_is() -> None:
    plan = layout.arranged(["config.pbtxt", "1/model.py"], Layout.TRITON_PYTHON_ONNX, "digits")
    assert (plan.texts, plan.server_code) == ((), "")


OTHERS = {
    "sklearn": (Layout.MLSERVER_MODEL, ["digits.joblib"], [("digits.joblib", "model.joblib")]),
    "sklearn beside other things": (Layout.MLSERVER_MODEL, ["README.md", "a/b.pkl"], [("a/b.pkl", "model.pkl")]),
    "xgboost": (Layout.MLSERVER_MODEL, ["digits.ubj"], [("digits.ubj", "model.ubj")]),
    "lightgbm's own text": (Layout.MLSERVER_MODEL, ["digits.txt"], [("digits.txt", "model.bst")]),
    "mlflow": (
        Layout.MLSERVER_MODEL,
        ["run/digits/MLmodel", "run/digits/model.pkl", "run/notes.txt"],
        [("run/digits/MLmodel", "MLmodel"), ("run/digits/model.pkl", "model.pkl")],
    ),
    "mlflow at the top": (Layout.MLSERVER_MODEL, ["MLmodel", "a/b"], [("MLmodel", "MLmodel"), ("a/b", "a/b")]),
    "model archive": (Layout.TORCHSERVE_STORE, ["net.mar", "net.pt"], [("net.mar", "digits.mar")]),
    "torchscript": (Layout.TORCHSERVE_STORE, ["a/net.pt", "README.md"], [("a/net.pt", "digits/model.pt")]),
    "saved model": (
        Layout.TENSORFLOW_VERSIONS,
        ["saved_model.pb", "variables/variables.index", "assets/words.txt"],
        [
            ("saved_model.pb", "digits/1/saved_model.pb"),
            ("variables/variables.index", "digits/1/variables/variables.index"),
            ("assets/words.txt", "digits/1/assets/words.txt"),
        ],
    ),
    "saved model of a numbered version": (
        Layout.TENSORFLOW_VERSIONS,
        ["digits/7/saved_model.pb", "digits/7/variables/a", "digits/notes"],
        [("digits/7/saved_model.pb", "digits/1/saved_model.pb"), ("digits/7/variables/a", "digits/1/variables/a")],
    ),
    "bento": (
        Layout.BENTO_STORE,
        ["digits/1/bento.yaml", "digits/1/src/service.py", "digits/latest"],
        [("digits/1/bento.yaml", "bento.yaml"), ("digits/1/src/service.py", "src/service.py")],
    ),
}


@pytest.mark.parametrize(("wanted", "files", "moves"), OTHERS.values(), ids=OTHERS.keys())
def test_files_are_moved_to_where_the_server_looks(
    wanted: Layout, files: list[str], moves: list[tuple[str, str]]
) -> None:
    assert list(layout.arranged(files, wanted, "digits").moves) == moves


REFUSED_BY_OTHERS = {
    "no model": (Layout.MLSERVER_MODEL, ["a.onnx"], "0 model files among a.onnx"),
    "two models": (Layout.MLSERVER_MODEL, ["a.pkl", "b.pkl"], "2 model files among a.pkl, b.pkl"),
    "no torch model": (Layout.TORCHSERVE_STORE, ["a.onnx"], "0 .mar files and 0 TorchScript files"),
    "two torchscripts": (Layout.TORCHSERVE_STORE, ["a.pt", "b.pt"], "0 .mar files and 2 TorchScript files"),
    "no saved model": (Layout.TENSORFLOW_VERSIONS, ["model.h5"], "0 SavedModels"),
    "two versions": (Layout.TENSORFLOW_VERSIONS, ["1/saved_model.pb", "2/saved_model.pb"], "2 SavedModels"),
    "no bento": (Layout.BENTO_STORE, ["service.py"], "0 Bentos"),
    "two bentos": (Layout.BENTO_STORE, ["a/bento.yaml", "b/bento.yaml"], "2 Bentos"),
}


@pytest.mark.parametrize(("wanted", "files", "message"), REFUSED_BY_OTHERS.values(), ids=REFUSED_BY_OTHERS.keys())
def test_what_does_not_fit_the_server_is_refused_with_its_files(wanted: Layout, files: list[str], message: str) -> None:
    with pytest.raises(DownloadError) as caught:
        layout.arranged(files, wanted, "digits")
    assert caught.value.reason is Reason.UNSUPPORTED_MODEL
    assert message in str(caught.value)


def test_torchserve_is_told_what_to_load_and_keeps_its_management_to_itself() -> None:
    packed = dict(layout.arranged(["net.pt"], Layout.TORCHSERVE_STORE, "digits").texts)
    manifest = json.loads(packed["digits/MAR-INF/MANIFEST.json"])["model"]
    assert {name: manifest[name] for name in ("modelName", "serializedFile", "handler")} == {
        "modelName": "digits",
        "serializedFile": "model.pt",
        "handler": "handler.py",
    }
    assert "def handle(" in packed["digits/handler.py"]
    assert "load_models=digits=digits\n" in packed["config.properties"]
    assert "management_address=http://127.0.0.1:8081\n" in packed["config.properties"]
    archived = dict(layout.arranged(["net.mar"], Layout.TORCHSERVE_STORE, "digits").texts)
    assert "load_models=digits=digits.mar\n" in archived["config.properties"]


def test_tensorflow_serving_is_told_where_its_model_and_metrics_are() -> None:
    texts = dict(layout.arranged(["saved_model.pb"], Layout.TENSORFLOW_VERSIONS, "digits").texts)
    assert (
        texts["models.config"]
        == """model_config_list {
  config {
    name: "digits"
    base_path: "/models/digits"
    model_platform: "tensorflow"
  }
}
"""
    )
    assert (
        texts["monitoring.config"]
        == """prometheus_config {
  enable: true
  path: "/metrics"
}
"""
    )


def test_the_api_and_the_downloader_know_the_same_layouts() -> None:
    assert {wanted.value for wanted in Layout} == {str(wanted) for wanted in ModelLayout}


REFUSED = {
    "no onnx": (["model.pkl"], "digits", "no .onnx or .plan file among model.pkl"),
    "two": (["a.onnx", "b.onnx"], "digits", "2 .onnx or .plan files: a.onnx, b.onnx"),
    "many files": ([f"{i}.bin" for i in range(9)], "digits", "and 4 more"),
    "a repository of other models": (["iris/1/model.onnx"], "digits", "no model 'digits', only iris"),
    "a name that leaves the folder": (["a.onnx"], "../x", "cannot be a folder name"),
}


@pytest.mark.parametrize(("files", "name", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_fits_no_layout_is_refused_with_its_files(files: list[str], name: str, message: str) -> None:
    with pytest.raises(DownloadError) as caught:
        layout.arranged(files, Layout.TRITON_REPOSITORY, name)
    assert caught.value.reason is Reason.UNSUPPORTED_MODEL
    assert message in str(caught.value)


PARTS = st.text("ab1.", min_size=1, max_size=4).filter(lambda part: part not in {".", ".."})
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@given(files=st.lists(PATHS, min_size=1, max_size=6, unique=True), wanted=st.sampled_from(list(Layout)))
def test_no_two_files_go_to_one_place_and_triton_files_stay_below_a_model_folder(
    files: list[str], wanted: Layout
) -> None:
    try:
        plan = layout.arranged([*files, "net.onnx"], wanted, "digits")
    except DownloadError:
        return
    targets = [target for _, target in plan.moves] + [target for target, _ in plan.texts]
    assert len(set(targets)) == len(targets)
    assert {source for source, _ in plan.moves} <= {*files, "net.onnx"}
    if wanted is Layout.TRITON_REPOSITORY and plan.texts:
        assert all(target.startswith("digits/") for target in targets)
