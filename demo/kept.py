"""What a demo leaves to whoever goes on by hand: one file to source, and the page that goes on from there."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster, Kind
from demo.program import DemoError
from demo.progress import say, step
from lab.processes import LabError

FOLDER: Final = clusters.ROOT / "build" / "demo" / "kept"
ENVIRONMENT: Final = "env.sh"
RELAY: Final = "feedback-relay.yaml"
FEEDBACK_PORT: Final = 9105
"""The port of the program in docs/first-hour.md."""
ENDS: Final[Mapping[Kind, str]] = {
    Kind.LAB: "make lab-down",
    Kind.KIND: f"kind delete cluster --name {clusters.KIND_CLUSTER}",
}


def tell(cluster: Cluster, name: str) -> None:
    """Says how to go on. What is missing because of whatever ended the demo is told as well."""
    end = f" ({ENDS[cluster.kind]} ends it)" if cluster.kind in ENDS else ""
    try:
        leave(cluster, FOLDER)
        say(f"kept running{end}: {command(cluster, f'kubectl sluice status {name} -n {setup.NAMESPACE}')}")
        say("then a model of your own: docs/first-hour.md")
    except DemoError as error:
        say(f"kept running{end}, without object store: {error}")
    _tell_of_the_page(cluster)
    say("more images: make demo-image IMAGE=batch (batch inference, validation) or IMAGE=llamacpp (a language model)")


def command(cluster: Cluster, text: str) -> str:
    """Words that run it in any terminal. The namespace that somebody has chosen stays."""
    file = FOLDER / ENVIRONMENT
    return f"source {shlex.quote(str(file if file.exists() else leave(cluster, FOLDER)))}; {text}"


def leave(cluster: Cluster, folder: Path) -> Path:
    """Writes what docs/first-hour.md needs of this cluster, and returns the file to source."""
    variables = _variables(cluster)
    folder.mkdir(parents=True, exist_ok=True)
    if cluster.tools.kubeconfig is not None:  # a copy: its reader chooses a namespace, and nothing sets it back
        shutil.copyfile(cluster.tools.kubeconfig, folder / "kubeconfig")
        (folder / "kubeconfig").chmod(0o600)
        variables["KUBECONFIG"] = str(folder / "kubeconfig")
    (folder / RELAY).write_text(yaml.safe_dump(setup.relay(cluster, FEEDBACK_PORT), sort_keys=False))
    file = folder / ENVIRONMENT
    file.touch(mode=0o600)
    paths = ":".join(map(shlex.quote, _folders(cluster)))
    lines = [f"export PATH={paths}:$PATH", *(f"export {key}={shlex.quote(text)}" for key, text in variables.items())]
    file.write_text("\n".join(lines) + "\n")
    return file


def _folders(cluster: Cluster) -> list[str]:
    """The folders of the plugin, whose Python has all the page's imports, and of kubectl if not on the path."""
    tools = cluster.tools
    known = shutil.which("kubectl") == tools.kubectl_path
    return [str(Path(tools.plugin_path).parent), *([] if known else [str(Path(tools.kubectl_path).parent)])]


def _variables(cluster: Cluster) -> dict[str, str]:
    keys = setup.store_credentials(cluster.tools)
    return {
        "SLUICE_GATEWAY": cluster.gateway,
        "AWS_ACCESS_KEY_ID": keys.key,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
        "AWS_DEFAULT_REGION": setup.REGION,
        "AWS_ENDPOINT_URL": cluster.object_store,
        "AWS_ENDPOINT_URL_FOR_PODS": setup.STORE_IN_CLUSTER,
    }


def _tell_of_the_page(cluster: Cluster) -> None:
    if cluster.kind is Kind.CURRENT:
        say("the web page, with your own credentials: kubectl sluice dashboard")
        return
    try:
        with step("serve the web page"):
            address = setup.serve_page(cluster, clusters.build_page(cluster.kind))
    except (DemoError, LabError) as error:
        say(f"the web page is not there: {error}")
        return
    say(f"the web page: {address}/ (or, with your own credentials: kubectl sluice dashboard)")
    say(f"a token for it: kubectl create token {setup.READER} --namespace {setup.OPERATOR_NAMESPACE} --duration 8h")
