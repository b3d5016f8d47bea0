"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of this machine."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import credentials, gotools, processes

# The defaults (20 and 30) would make 1,000 Deployments wait for the controllers' own rate limit, not for the operator.
CLIENT_QPS: Final = 200
CLIENT_BURST: Final = 400
# With the default (100) the collection of garbage takes a quarter of the API server's time where much is written.
APISERVER_GOGC: Final = "200"
START_TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Addresses and folders of one control plane.

    address: where kube-apiserver listens. advertised: an address that is not loopback (the API server insists).
    service_range, pod_range: CIDR. dies_with_caller: end with the process that started it (test fixtures).
    api_flags: of kube-apiserver, in place of the usual ones of these names.
    """

    state: Path
    node: str
    address: str
    advertised: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    service_range: str
    pod_range: str
    dies_with_caller: bool = False
    api_flags: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def processes(self) -> processes.ProcessFolder:
        return processes.ProcessFolder(self.state)

    @property
    def credentials(self) -> credentials.Credentials:
        return credentials.Credentials(self.state / "credentials")

    def kubeconfig(self, identity: str) -> Path:
        return self.state / "kubeconfigs" / identity


def start_api(plane: ControlPlane) -> None:
    """Start etcd and kube-apiserver and wait until `/readyz` answers; then write every identity's kubeconfig."""
    credentials.create(plane.credentials.folder, node=plane.node)
    _start(plane, "etcd", etcd_arguments(plane))
    _start(plane, "kube-apiserver", apiserver_arguments(plane), {"GOGC": APISERVER_GOGC})
    processes.wait_until(
        lambda: _api_is_ready(plane),
        what=f"kube-apiserver at {plane.url}",
        timeout_seconds=START_TIMEOUT_SECONDS,
        hint=f"See {plane.processes.log('kube-apiserver')} and {plane.processes.log('etcd')}.",
    )
    for identity in credentials.IDENTITIES:
        credentials.write_kubeconfig(
            plane.kubeconfig(identity), server=plane.url, credentials=plane.credentials, identity=identity
        )


def start_controllers(plane: ControlPlane, *, only: tuple[str, ...] = ("*",)) -> None:
    """Start kube-controller-manager with the named controllers (all by default)."""
    _start(plane, "kube-controller-manager", controller_manager_arguments(plane, only))


def start_scheduler(plane: ControlPlane) -> None:
    config = plane.state / "scheduler.json"
    config.write_text(json.dumps(scheduler_configuration(plane)))
    _start(plane, "kube-scheduler", [f"--config={config}", "--secure-port=0"])


def etcd_arguments(plane: ControlPlane) -> list[str]:
    client = f"http://127.0.0.1:{plane.etcd_port}"
    peer = f"http://127.0.0.1:{plane.etcd_peer_port}"
    return [
        f"--data-dir={plane.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # the state is thrown away by `down`, so a power cut may cost it
        "--log-level=warn",
    ]


def apiserver_arguments(plane: ControlPlane) -> list[str]:
    made = plane.credentials
    certificate, key = made.kubelet_client
    usual = [
        f"--etcd-servers=http://127.0.0.1:{plane.etcd_port}",
        f"--bind-address={plane.address}",
        f"--secure-port={plane.port}",
        f"--advertise-address={plane.advertised}",
        f"--service-cluster-ip-range={plane.service_range}",
        f"--cert-dir={made.folder}",
        f"--client-ca-file={made.client_ca}",
        f"--token-auth-file={made.tokens}",
        f"--kubelet-client-certificate={certificate}",
        f"--kubelet-client-key={key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={made.front_proxy_ca}",
        f"--requestheader-allowed-names={credentials.FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={made.front_proxy_client[0]}",
        f"--proxy-client-key-file={made.front_proxy_client[1]}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-key-file={made.service_account_key}",
        f"--service-account-signing-key-file={made.service_account_key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--allow-privileged",
        "--profiling=false",
    ]
    replaced = {_name(flag) for flag in plane.api_flags}
    return [*(flag for flag in usual if _name(flag) not in replaced), *plane.api_flags]


def controller_manager_arguments(plane: ControlPlane, only: tuple[str, ...]) -> list[str]:
    return [
        f"--kubeconfig={plane.kubeconfig('controller-manager')}",
        f"--controllers={','.join(only)}",
        f"--root-ca-file={plane.credentials.server_certificate}",
        f"--service-account-private-key-file={plane.credentials.service_account_key}",
        f"--cluster-cidr={plane.pod_range}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
    ]


def scheduler_configuration(plane: ControlPlane) -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(plane.kubeconfig("scheduler")),
            "qps": CLIENT_QPS,
            "burst": CLIENT_BURST,
        },
    }


def _name(flag: str) -> str:
    return flag.partition("=")[0]


def _start(plane: ControlPlane, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
    command = [str(gotools.program(name)), *arguments]
    plane.processes.start(name, command, environment=environment, dies_with_caller=plane.dies_with_caller)


def _api_is_ready(plane: ControlPlane) -> bool:
    for name in ("etcd", "kube-apiserver"):
        plane.processes.require_running(name)
    try:
        context = ssl.create_default_context(cafile=plane.credentials.server_certificate)
        headers = {"Authorization": f"Bearer {plane.credentials.token('admin')}"}
        request = urllib.request.Request(f"{plane.url}/readyz", headers=headers)  # noqa: S310 - the lab's own address
        with urllib.request.urlopen(request, timeout=2, context=context) as response:  # noqa: S310 - the same
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False  # not listening yet, certificate not written yet, or a post-start hook still runs
