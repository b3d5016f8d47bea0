"""Tiny language models for llama.cpp: `python -m demo.languagemodels [FOLDER]`. They stream, and say nothing that means anything.

Random Llamas with a token for each byte. Letters and spaces are probable, other bytes and the end of the text are not, so
that answers are readable and as long as they may be. Written by GGUF's own library, without a framework.
"""

import os
import string
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, quants

FOLDER: Final = Path("build/demo/models")
LETTERS: Final = string.ascii_lowercase + "     ,."
SPECIAL: Final = ("<unk>", "<s>", "</s>")
BEGIN, END = 1, 2
TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant: "
)
CONTEXT: Final = 32_768
IMPROBABLE: Final = 12.0
"""How much less an unwanted token's logit is than a letter's."""
SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a Llama. A token costs arithmetic in proportion to layers x width²."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    feed_forward: int = 192


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA of rank 1 on the query projections of a base of this shape."""

    shape: Shape = Shape()
    scale: float = 1.0


def ensure(path: Path, shape: Shape = Shape(), *, seed: int = SEED, context: int = CONTEXT) -> Path:
    """Write the model unless it is there already."""
    return path if path.exists() else write(path, shape, seed=seed, context=context)


def write(
    path: Path,
    shape: Shape = Shape(),
    *,
    seed: int = SEED,
    context: int = CONTEXT,
    tokenizer: bool = True,
    weights: GGMLQuantizationType = GGMLQuantizationType.F32,
) -> Path:
    """A model whose answers differ with the seed.

    tokenizer: what a model needs to be served at all. weights: how its matrices are stored.
    """
    unfinished = _unfinished(path)
    writer = gguf.GGUFWriter(unfinished, "llama")
    writer.add_name("a random Llama")
    writer.add_context_length(context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    if tokenizer:
        _add_tokenizer(writer)
    for name, values in _tensors(shape, np.random.default_rng(seed)).items():
        if values.ndim > 1:
            writer.add_tensor(name, quants.quantize(values, weights), raw_dtype=weights)
        else:
            writer.add_tensor(name, values)
    return _written(writer, unfinished, path)


def write_adapter(path: Path, adapter: Adapter = Adapter(), *, seed: int = SEED) -> Path:
    """One that changes the answers of a model of its shape."""
    unfinished, shape, random = _unfinished(path), adapter.shape, np.random.default_rng(seed)
    writer = gguf.GGUFWriter(unfinished, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 1.0)
    for layer in range(shape.layers):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", _random(random, 1, shape.width, scale=adapter.scale))
        writer.add_tensor(f"{name}.lora_b", _random(random, shape.width, 1, scale=adapter.scale))
    return _written(writer, unfinished, path)


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, *[gguf.TokenType.BYTE] * 256]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def _tensors(shape: Shape, random: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    """The first value of each embedding is the same for all tokens and no layer changes it: it decides what is improbable."""
    width, tokens = shape.width, len(SPECIAL) + 256
    embeddings = random.normal(size=(tokens, width)).astype(np.float32)
    embeddings[:, 0] = 4.0
    tensors = {"token_embd.weight": embeddings}
    for layer in range(shape.layers):
        name = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            tensors[f"{name}{norm}.weight"] = np.ones(width, np.float32)
        for projection in ("attn_q", "attn_k", "attn_v"):
            tensors[f"{name}{projection}.weight"] = _random(random, width, width)
        for gate in ("ffn_gate", "ffn_up"):
            tensors[f"{name}{gate}.weight"] = _random(random, shape.feed_forward, width)
        for output, inner in (("attn_output", width), ("ffn_down", shape.feed_forward)):
            tensors[f"{name}{output}.weight"] = _random(random, width, inner)
            tensors[f"{name}{output}.weight"][0] = 0.0
    tensors["output_norm.weight"] = np.ones(width, np.float32)
    words = _random(random, tokens, width, scale=1.2)
    words[:, 0] = -IMPROBABLE
    for letter in LETTERS:
        words[len(SPECIAL) + ord(letter), 0] = 0.0
    return tensors | {"output.weight": words}


def _random(random: np.random.Generator, *shape: int, scale: float = 0.8) -> npt.NDArray[np.float32]:
    """A matrix that makes of values of size 1 such of the size of `scale`, whatever the width."""
    values: npt.NDArray[np.float32] = (random.normal(size=shape) * scale / np.sqrt(shape[-1])).astype(np.float32)
    return values


def _unfinished(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.name}.{os.getpid()}")


def _written(writer: gguf.GGUFWriter, unfinished: Path, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return unfinished.rename(path)  # at once, so that another process never reads half a model


def main() -> None:
    path = ensure((Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER) / "llm-v1" / "model.gguf")
    print(f"{path}  {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
