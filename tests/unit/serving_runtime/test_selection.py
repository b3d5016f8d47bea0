"""What of a repository a server reads."""

import pytest
from sluice_storage import selection

LLAMA = (
    "config.json", "tokenizer.json", "tokenizer.model", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    "model.safetensors.index.json", "original/consolidated.00.pth", "original/tokenizer.model", "original/params.json",
)  # fmt: skip
OLD = (
    "config.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "training_args.bin", "tf_model.h5", "flax_model.msgpack",
    "rust_model.ot", "onnx/model.onnx", "onnx/model.onnx_data", "vocab.txt",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "model_format", "files", "left_out"),
    [
        ("originals", "huggingface", LLAMA, {"original/consolidated.00.pth", "original/tokenizer.model", "original/params.json"}),
        ("other frameworks", "huggingface", OLD, {"tf_model.h5", "flax_model.msgpack", "rust_model.ot", "onnx/model.onnx", "onnx/model.onnx_data"}),
        ("both", "huggingface", ("a.safetensors", *OLD), set(OLD) - {"config.json", "vocab.txt", "pytorch_model.bin.index.json"}),
        ("pipelines of parts", "huggingface", ("modules.json", "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin"), {"2_Dense/pytorch_model.bin"}),
        ("an adapter", "huggingface", ("adapter_config.json", "adapter_model.bin", "optimizer.pt"), {"optimizer.pt"}),
        ("nothing that is read", "huggingface", ("training_args.bin", "weights.pt", "config.json"), set()),
        ("nothing but originals", "huggingface", ("original/model.safetensors", "original/weights.pth"), set()),
        ("gguf", "gguf", ("m.gguf", "model.safetensors", "config.json"), {"model.safetensors"}),
        ("capitals", "gguf", ("M.GGUF", "model.safetensors"), {"model.safetensors"}),
        ("a format without a rule", "onnx", ("model.onnx", "model.safetensors"), set()),
        ("nobody says the format", "", LLAMA, set()),
    ],
)  # fmt: skip
def test_what_is_left_out(name: str, model_format: str, files: tuple[str, ...], left_out: set[str]) -> None:
    read = selection.read_by(model_format, files)
    assert set(files) - set(read) == left_out, name
    assert read == [file for file in files if file in read], "in their order"


def test_every_weight_that_is_read_is_known_as_one() -> None:
    assert {
        pattern[pattern.rindex(".") :] for patterns in selection.READS.values() for pattern in patterns
    } <= selection.WEIGHTS
