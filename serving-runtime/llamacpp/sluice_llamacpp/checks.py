"""Finds in the files' headers what llama.cpp would refuse, or crash on, after minutes of loading.

Each check is named after the violation and raises NotLoadable.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sluice_llamacpp import header
from sluice_llamacpp.problems import NotLoadable

PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MEMORY = Path("/proc/meminfo")
KEY_BYTES = 2  # of a number in the KV cache, which is F16 unless --set cache_type_k says otherwise
USUAL_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Model:
    """A model's files, as their headers describe them."""

    path: Path
    """The path of the only file, or of the first of several."""
    header: header.Header
    tensors: dict
    """The tensors of all its files."""
    context: int
    """Tokens of one request, prompt and answer together."""
    adapters: tuple = ()
    """The files of --lora, in its order."""


def found(place, option="--model", field="spec.model.uri"):
    """The file to load: `place` itself, or the only model in the folder."""
    place = Path(place)
    if not place.exists():
        raise NotLoadable(f"{option}={place}: no such file or folder")
    if place.is_file():
        return place
    files = sorted(place.rglob("*.gguf"))
    first = [path for path in files if not (part := PART.search(path.name)) or int(part[1]) == 1]
    if len(first) != 1:
        names = ", ".join(str(path.relative_to(place)) for path in first[:5]) or "none"
        text = f"{place} has {len(first)} models ({names}); {field} must point to one .gguf file"
        raise NotLoadable(f"{text}, or to a folder with one (or with all parts of one)")
    return first[0]


def checked(options):
    """The model of --model, if nothing prevents loading it."""
    path = found(options.model)
    parts = _parts(path)
    headers = [_readable(each) for each in parts]
    first = headers[0]
    adapter_instead_of_a_model(path, first)
    tokenizer_missing(path, first)
    context = options.context_length or min(USUAL_CONTEXT, first.of_architecture("context_length", USUAL_CONTEXT))
    tensors = {name: tensor for each in headers for name, tensor in each.tensors.items()}
    adapters = {
        f"--lora {name}": found(place, f"--lora {name}", "the adapter's uri") for name, place in options.lora.items()
    }
    model = Model(path, first, tensors, context, tuple(adapters.values()))
    if not any(name.startswith(("rope", "yarn")) for name in options.set):
        context_too_long(model)
    memory_too_small(model, options.parallel, memory_limit())
    for option, adapter in adapters.items():
        adapter_of_another_base(model, f"{option}={adapter}", adapter)
    return model


def _parts(path):
    part = PART.search(path.name)
    if not part:
        return [path]
    count = int(part[2])
    named = [path.with_name(f"{path.name[: part.start()]}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]
    missing = [each.name for each in named if not each.exists()]
    if missing:
        raise NotLoadable(f"{path}: {len(missing)} of its {count} parts are missing: {', '.join(missing[:5])}")
    return named


def _readable(path):
    """The header of a complete file."""
    try:
        found = header.read(path)
    except header.NotGguf as error:
        raise NotLoadable(f"{path} is not a GGUF model: {error}") from error
    except OSError as error:
        raise NotLoadable(f"{path} cannot be read: {error.strerror}") from error
    file_cut(path, found)
    return found


def file_cut(path, found):
    size = path.stat().st_size
    if size < found.end:
        raise NotLoadable(f"{path} is cut: it has {size} bytes, and its tensors end at {found.end}; upload it again")


def adapter_instead_of_a_model(path, found):
    if found.metadata.get("general.type") == "adapter":
        raise NotLoadable(f"{path} is an adapter (LoRA); spec.model.uri must point to its base model")


def tokenizer_missing(path, found):
    wanted = ("tokenizer.ggml.model", "tokenizer.ggml.tokens")
    missing = [key for key in wanted if key not in found.metadata]
    if missing and found.metadata.get("tokenizer.ggml.model") != "no_vocab":
        text = f"{path} has no tokenizer: {' and '.join(missing)} missing from its metadata"
        raise NotLoadable(f"{text}; convert the model together with its tokenizer's files")


def context_too_long(model):
    most = model.header.of_architecture("context_length")
    if most and model.context > most:
        text = f"--context-length={model.context}: {model.path.name} was trained for {most} tokens; use at most {most}"
        raise NotLoadable(f"{text}, or scale its positions (--set rope_freq_scale=0.5 and the like)")


def memory_too_small(model, parallel, limit):
    """The KV cache is allocated at once when the model is loaded; weights are read from the file on demand."""
    each = kv_bytes(model.header)
    needed = each * model.context * parallel
    if not limit or needed <= limit:
        return
    text = f"--context-length={model.context} with --parallel={parallel}: the KV cache takes {_mebibytes(needed)}"
    possible = limit // (each * parallel)
    raise NotLoadable(
        f"{text}, out of memory with {_mebibytes(limit)}; use at most --context-length={possible}, less --parallel, "
        "or more memory (spec.resources.limits.memory)"
    )


def kv_bytes(found):
    """The bytes of one token in the KV cache."""
    heads = found.of_architecture("attention.head_count", 0)
    kv_heads = found.of_architecture("attention.head_count_kv", heads)
    width = found.of_architecture("embedding_length", 0) // heads if isinstance(heads, int) and heads else 0
    keys = found.of_architecture("attention.key_length", width)
    values = found.of_architecture("attention.value_length", width)
    layers = found.of_architecture("block_count", 0)
    # Models whose layers differ use arrays here: then the size is unknown.
    plain = all(isinstance(each, int) for each in (kv_heads, keys, values, layers))
    return layers * kv_heads * (keys + values) * KEY_BYTES if plain and isinstance(heads, int) else 0


def memory_limit():
    """The container's memory limit, or the machine's memory; 0: unknown."""
    for path in LIMITS:
        try:
            return int(path.read_text())
        except (OSError, ValueError):  # "max": no limit
            continue
    try:
        return int(re.search(r"MemTotal:\s+(\d+) kB", MEMORY.read_text())[1]) * 1024
    except (OSError, TypeError):
        return 0


def _mebibytes(count):
    return f"{count / 2**20:.0f} MiB"


def adapter_of_another_base(model, option, path):
    if not path.is_file():
        raise NotLoadable(f"{option}: no such file")
    another = f"{option} was made for another base"
    advice = "name an adapter of this model in spec.model.adapters, or its own base in spec.model.uri"
    adapter = _readable(path)
    kind = adapter.metadata.get("general.type", "model")
    if kind != "adapter":
        raise NotLoadable(f"{option}: general.type is {kind!r}; an adapter's is 'adapter'; {advice}")
    if adapter.architecture != model.header.architecture:
        theirs, ours = adapter.architecture, model.header.architecture
        raise NotLoadable(f"{another}: its architecture is {theirs!r}, the model's {ours!r}; {advice}")
    for name, tensor in adapter.tensors.items():
        base, _, factor = name.rpartition(".lora_")
        if factor not in ("a", "b") or base == "token_embd.weight":
            continue
        if base not in model.tensors:
            raise NotLoadable(f"{another}: it changes {base}, which the model does not have; {advice}")
        axis = 0 if factor == "a" else 1
        theirs, ours = tensor.shape[axis], model.tensors[base].shape[axis]
        if theirs != ours:
            raise NotLoadable(f"{another}: its {base} has {theirs} values, the model's {ours}; {advice}")
