"""Language models as the tests of streams serve them: a server, two versions of a model, and answers that are long enough."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from demo import languagemodels, setup
from demo.languagemodels import Adapter
from tests.e2e.conftest import bring_server
from tests.support.live.scene import POLICY, Object, Scene, merged
from tests.support.runtimes import box, modelfiles
from tests.support.runtimes.box import Files
from tests.support.runtimes.table import LLAMACPP, VLLM, Case

NAME: Final = "chat"
VERSIONS: Final = ("1", "2")
ADAPTERS: Final = ("poet", "bard")
"""Of either version."""
STREAMS: Final = 20
CANARY: Final = {"steps": [{"weight": 50}, {"weight": 100}]}
OBJECTIVES: Final = [
    {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "20%"}}
]


@dataclass(frozen=True, slots=True)
class Chat:
    """A language model on one of the servers."""

    case: Case
    write: Callable[[Files, Path, int], object]
    """Writes the files of a version, by its number."""
    write_adapter: Callable[[Files, Path, int], object]
    """Writes the files of an adapter, by its seed."""
    spec: Object
    """Of its ModelDeployment."""
    tokens: int
    """Of an answer while others come after it."""
    long: int
    """Of one that is still being read when the gateway's pod ends."""
    longest_seconds: int
    """An answer's, on busy processors."""
    times: float = 1.0
    """It begins so many times as slowly as llama.cpp with a tiny model."""

    def uri(self, version: str) -> str:
        return f"s3://{setup.BUCKET}/{self.case.name}/{version}"

    def adapter(self, name: str, file: str) -> Object:
        """One of `spec.model.adapters`."""
        return {"name": name, "uri": self.uri(file), "credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET}}

    def upload(self, scene: Scene, version: str, files: Mapping[str, bytes]) -> None:
        store = setup.object_store(scene.cluster)
        for path, content in files.items():
            store.put_object(Bucket=setup.BUCKET, Key=f"{self.case.name}/{version}/{path}", Body=content)

    def serve(self, scene: Scene, folder: Path, **spec: Any) -> None:
        """All that it needs, and the first version ready."""
        self.prepare(scene, folder)
        self.deploy(scene, **spec)
        scene.wait_ready(NAME, 120 * self.times)
        before = [rollout["spec"].get("from") for rollout in scene.rollouts(NAME)]
        assert before == [None], "another model of this name served before"

    def end(self, scene: Scene) -> None:
        """Deletes it, and has it forgotten: what comes next under its name is another model."""
        scene.tools.kubectl("delete", "modeldeployments.sluice.dev", NAME, scene.where, "--timeout=300s")
        left = "controllerrevisions.apps,modelrollouts.sluice.dev"
        scene.tools.kubectl("delete", left, f"--selector=sluice.dev/model-deployment={NAME}", scene.where)

    def prepare(self, scene: Scene, folder: Path) -> None:
        """Its image on the node, its runtime, its versions and adapters in the store."""
        bring_server(scene.cluster, self.case.runtime, self.case.image)
        files = box.mounted(self.case.image)
        wanted = [(version, self.write, int(version)) for version in VERSIONS]
        wanted += [(name, self.write_adapter, seed) for seed, name in enumerate(ADAPTERS)]
        for name, write, seed in wanted:
            source = folder / name
            source.mkdir()
            write(files, source, seed)
            self.upload(scene, name, {path.name: path.read_bytes() for path in source.iterdir()})
        box.unmount(files)

    def deploy(self, scene: Scene, name: str = NAME, version: str = "1", **spec: Any) -> None:
        """One that has no limit of a whole answer: the runtime's own."""
        usual: Object = {
            "model": {"format": self.case.format, "uri": self.uri(version)},
            "drainSeconds": self.longest_seconds,
            "rollout": {"policyRef": {"name": POLICY}, "canary": CANARY, "objectives": OBJECTIVES},
        }
        scene.deploy(name, version, **{"routing": None} | merged(usual, self.spec | spec))


def _tiny(_: Files, folder: Path, seed: int) -> None:
    languagemodels.write(folder / "model.gguf", seed=seed)


def _adapter(_: Files, folder: Path, seed: int) -> None:
    languagemodels.write_adapter(folder / "adapter.gguf", Adapter(scale=3.0), seed=seed)


ON_LLAMACPP: Final = Chat(
    case=LLAMACPP,
    write=_tiny,
    write_adapter=_adapter,
    spec={"runtime": {"args": [f"--parallel={STREAMS}", "--context-length=1024"]}},
    tokens=250,
    long=900,
    longest_seconds=20,
)
ON_VLLM: Final = Chat(
    case=VLLM,
    write=modelfiles.write_hugging_face,
    write_adapter=modelfiles.write_hugging_face_adapter,
    spec=VLLM.spec,
    tokens=400,
    long=1500,
    longest_seconds=120,
    times=5,
)
"""On processors: its image has 4.4 GB, and each of its pods takes a minute to begin."""
SERVERS: Final = [
    pytest.param(ON_LLAMACPP, id="llamacpp"),
    pytest.param(ON_VLLM, id="vllm", marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
]
"""For a fixture."""
