"""Somebody who has docs/first-hour.md and a cluster with Sluice, and nothing else: types the commands of the page itself."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster

PAGE: Final = clusters.ROOT / "docs" / "first-hour.md"
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION: Final = re.compile(r"^## (\d)\. .*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
STEP_SECONDS: Final = 600.0


def blocks(section: int) -> list[tuple[str, str]]:
    """(language, code) of each block of a section."""
    found = {int(match[1]): match[0] for match in SECTION.finditer(PAGE.read_text())}
    return [(match[1], match[2]) for match in BLOCK.finditer(found[section])]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A shell in an empty folder, with the tools, credentials and cluster that the page asks for."""

    folder: Path
    environment: Mapping[str, str]

    def python(self, code: str) -> None:
        self._run([sys.executable, "-c", code])

    def shell(self, code: str) -> str:
        return self._run(["bash", "-euo", "pipefail", "-c", code])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\nexit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def arrives(cluster: Cluster, namespace: str, folder: Path, plugin: Path) -> Newcomer:
    """With a kubeconfig that has the namespace as its own, where the secret of the page is still to be made."""
    tools = cluster.tools
    assert tools.kubeconfig is not None
    config = yaml.safe_load(tools.kubeconfig.read_text())
    current = next(each for each in config["contexts"] if each["name"] == config["current-context"])
    current["context"]["namespace"] = namespace
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    store = setup.store_credentials(tools)
    programs = (Path(tools.kubectl_path).parent, plugin.parent)
    tools.kubectl("delete", "secret", setup.CREDENTIALS_SECRET, f"--namespace={namespace}", "--ignore-not-found")
    return Newcomer(
        folder,
        os.environ
        | tools.extra
        | {
            "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
            "KUBECONFIG": str(folder / "kubeconfig"),
            "AWS_ACCESS_KEY_ID": store.key,
            "AWS_SECRET_ACCESS_KEY": store.secret,
            "AWS_DEFAULT_REGION": setup.REGION,
            "AWS_ENDPOINT_URL": cluster.object_store,
        },
    )


def first_hour(newcomer: Newcomer) -> None:
    """Sections 1 to 5, in order. What the page leaves open (keys, the endpoint) is filled in; nothing else is changed."""
    (_, save), *_ = blocks(1)
    newcomer.python(save)

    (_, upload), (_, secret) = blocks(2)
    newcomer.python(upload)
    keys = {name: newcomer.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    keys["AWS_ENDPOINT_URL"] = setup.STORE_IN_CLUSTER
    for name, value in keys.items():
        secret, filled = re.subn(rf"{name}=\S+", f"{name}={value}", secret)
        assert filled == 1, f"the page does not say where {name} goes"
    newcomer.shell(secret)

    (_, manifest), (_, serve) = blocks(3)
    (newcomer.folder / "digits.yaml").write_text(manifest)
    began = time.monotonic()
    said = newcomer.shell(serve)
    assert "serves the requested version" in said
    ((_, predict),) = blocks(4)
    answer = newcomer.shell(predict)
    print(f"\nfrom apply to the first prediction: {time.monotonic() - began:.1f} s")
    assert "label" in answer, answer

    newcomer.python(upload.replace("digits/1/", "digits/2/"))
    (_, change), (_, release), (_, wait) = blocks(5)
    (newcomer.folder / "digits.yaml").write_text(re.sub(r"^ +uri: .*\n", change, manifest, flags=re.MULTILINE))
    plan, follow = release.splitlines()
    assert "candidate" in newcomer.shell(plan) or "release" in newcomer.shell(plan)
    apply, watch = follow.split(" && ")
    newcomer.shell(apply)
    newcomer.shell(watch.replace(" -w", ""))
    assert wait.split()[:4] == ["kubectl", "sluice", "wait", "digits"]
    newcomer.shell("kubectl sluice promote digits --note 'nobody asks yet' && kubectl sluice explain digits")
