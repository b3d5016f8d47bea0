"""Real models for the table, as a user keeps them in a bucket."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from demo import digits, languagemodels, models
from tests.support.runtimes import box
from tests.support.runtimes.box import Files

PREDICTORS = Path(__file__).with_name("predictors")
WIDTH = 1024
ROUNDS = 16


def write_onnx(_: Files, folder: Path) -> None:
    """One that takes a millisecond or two for an image.

    So a request of some thousand images is in flight for a second or more, with a small body.
    """
    write_laborious(folder / "model.onnx", ROUNDS)


def write_laborious(path: Path, rounds: int) -> Path:
    """The demo's v2 after some work that does not change the answer; a round takes about 2 million multiplications."""
    model = onnx.load_model_from_string(models.ensure()["v2"].read_bytes())
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["worked" if each == name else each for each in node.input]
    square = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    constants = {"wide": square[:64], "square": square, "nothing": np.zeros((WIDTH, 64), np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    chain = [("MatMul", [name, "wide"], "round0")]
    chain += [("MatMul", [f"round{i}", "square"], f"round{i + 1}") for i in range(rounds)]
    chain += [("MatMul", [f"round{rounds}", "nothing"], "zeros"), ("Add", [name, "zeros"], "worked")]
    work = [helper.make_node(operator, inputs, [output]) for operator, inputs, output in chain]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*work, *rest])
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))
    return path


def write_language_model(_: Files, folder: Path) -> None:
    """One that takes a millisecond or two for a token: some hundred of them are in flight for a second or more."""
    languagemodels.write(folder / "model.gguf", languagemodels.Shape(layers=4, width=256, feed_forward=768))


HUGGING_FACE = """
import torch, transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
torch.manual_seed(SEED)
letters = "LETTERS"
characters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {"<s>": 0, "</s>": 1} | {character: number + 2 for number, character in enumerate(characters)}
tokens = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token="<s>", eos_token="</s>")
tokenizer.chat_template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }} {% endfor %}"
tokenizer.save_pretrained("/models")
shape = transformers.LlamaConfig(
    vocab_size=512, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, head_dim=64, max_position_embeddings=2048, bos_token_id=0, eos_token_id=1,
)
model = transformers.LlamaForCausalLM(shape)
with torch.no_grad():  # one dimension is the same for all tokens, and makes letters probable
    model.model.embed_tokens.weight[:, 0] = 4.0
    model.lm_head.weight[:, 0] = -4.0
    for letter in letters:
        model.lm_head.weight[tokens.encode(letter).ids[0], 0] = 4.0
model.save_pretrained("/models", safe_serialization=True)
"""


def write_hugging_face(files: Files, folder: Path, seed: int = 0) -> None:
    """A random Llama with a token for each byte; heads of 64, the smallest that vLLM has kernels for."""
    script = HUGGING_FACE.replace("LETTERS", languagemodels.LETTERS).replace("SEED", str(seed))
    box.run_python(files, script, folder)


HUGGING_FACE_ADAPTER = """
import json, torch
from safetensors.torch import save_file
torch.manual_seed(SEED)
tensors = {}
for layer in range(2):
    name, rank, width = f"base_model.model.model.layers.{layer}.self_attn.o_proj", 8, 128
    tensors[f"{name}.lora_A.weight"] = torch.randn(rank, width)
    tensors[f"{name}.lora_B.weight"] = torch.randn(width, rank)
    tensors[f"{name}.lora_B.weight"][0] = 0.0  # the dimension that makes letters probable
save_file(tensors, "/models/adapter_model.safetensors")
of = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "target_modules": ["o_proj"]}
json.dump(of | {"r": rank, "lora_alpha": 2 * rank, "bias": "none"}, open("/models/adapter_config.json", "w"))
"""


def write_hugging_face_adapter(files: Files, folder: Path, seed: int = 0) -> None:
    """A LoRA for the model of `write_hugging_face`, which changes its answers."""
    box.run_python(files, HUGGING_FACE_ADAPTER.replace("SEED", str(seed)), folder)


def write_kserve(_: Files, folder: Path) -> None:
    shutil.copy(PREDICTORS / "kserve_digits.py", folder / "model.py")
    _write_arrays(folder)


BENTO = """
import bentoml, shutil
import bentoml._internal.configuration as configuration
configuration.get_uv_command = lambda: ["false"]  # it is there to lock packages, and this Bento names none
from pathlib import Path
source = Path("/models/source")
bento = bentoml.bentos.build("service:Digits", name="digits", version="one", build_ctx=str(source), python={"lock_packages": False})
shutil.copytree(bento.path, "/models/bento")
shutil.rmtree(source)
"""


def write_bento(files: Files, folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    source.chmod(0o777)
    shutil.copy(PREDICTORS / "bento_digits.py", source / "service.py")
    _write_arrays(source)
    box.run_python(files, BENTO, folder)


TORCHSCRIPT = """
import numpy, torch
data = numpy.load("/models/digits.npz")

class Nearest(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("images", torch.tensor(data["images"], dtype=torch.float32))
        self.register_buffer("labels", torch.tensor(data["labels"]))

    def forward(self, rows):
        distances = ((rows[:, None, :] - self.images[None]) ** 2).sum(dim=2)
        return self.labels[distances.argmin(dim=1)]

torch.jit.script(Nearest()).save("/models/digits.pt")
"""


def write_torchscript(files: Files, folder: Path) -> None:
    _write_arrays(folder)
    box.run_python(files, TORCHSCRIPT, folder)
    (folder / "digits.npz").unlink()


def write_model_archive(files: Files, folder: Path) -> None:
    """The same with the user's own handler, as `torch-model-archiver` packs it."""
    write_torchscript(files, folder)
    manifest = {"runtime": "python", "model": {"modelName": "net", "serializedFile": "digits.pt", "handler": "mine.py"}}
    with zipfile.ZipFile(folder / "digits.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.write(folder / "digits.pt", "digits.pt")
        archive.write(PREDICTORS / "torchserve_handler.py", "mine.py")
    (folder / "digits.pt").unlink()


def _write_arrays(folder: Path) -> None:
    """All of the demo's images and labels: each is its own nearest neighbour."""
    parts = digits.split()
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    np.savez(folder / "digits.npz", images=images, labels=labels)


DIGITS = "from sklearn.datasets import load_digits; images, labels = load_digits(return_X_y=True)\n"
SKLEARN = """
import joblib
from sklearn.neighbors import KNeighborsClassifier
model = KNeighborsClassifier(1, algorithm="brute").fit(images, labels)
"""
XGBOOST = """
import xgboost
model = xgboost.XGBClassifier(n_estimators=400, max_depth=6, n_jobs=1).fit(images, labels)
model.save_model("/models/digits.json")
"""
LIGHTGBM = """
import lightgbm
settings = {"objective": "multiclass", "num_class": 10, "verbose": -1, "num_threads": 1}
lightgbm.train(settings, lightgbm.Dataset(images, labels), 100).save_model("/models/digits.txt")
"""


def write_sklearn(files: Files, folder: Path) -> None:
    box.run_python(files, DIGITS + SKLEARN + 'joblib.dump(model, "/models/digits.joblib")', folder)


def write_mlflow(files: Files, folder: Path) -> None:
    save = 'import mlflow.sklearn; mlflow.sklearn.save_model(model, "/models/digits", pip_requirements=[])'
    box.run_python(files, DIGITS + SKLEARN + save, folder)


def write_xgboost(files: Files, folder: Path) -> None:
    box.run_python(files, DIGITS + XGBOOST, folder)


def write_lightgbm(files: Files, folder: Path) -> None:
    box.run_python(files, DIGITS + LIGHTGBM, folder)
