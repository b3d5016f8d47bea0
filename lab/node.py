"""kubelet, kube-proxy and CoreDNS: what makes the machine a node of its own control plane."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from lab import containerd, controlplane, gotools, network, paths, processes

NAME: Final = "sluice-lab"
API_PORT: Final = 6443
ETCD_PORTS: Final = (32379, 32380)
DNS_PORT: Final = 1053
KUBELET_FOLDER: Final = paths.STATE / "kubelet"
MAXIMUM_PODS: Final = 400  # beside the host-local range of 4,094 addresses

# In the order in which they are started; ended the other way round.
PROCESSES: Final = (
    "etcd",
    "kube-apiserver",
    "containerd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
)

PLANE: Final = controlplane.ControlPlane(
    state=paths.STATE,
    node=NAME,
    address=network.NODE_ADDRESS,
    advertised=network.NODE_ADDRESS,
    port=API_PORT,
    etcd_port=ETCD_PORTS[0],
    etcd_peer_port=ETCD_PORTS[1],
    service_range=network.SERVICE_RANGE,
    pod_range=network.POD_RANGE,
)
_FOLDER: Final = processes.ProcessFolder(paths.STATE)


def start_agents() -> None:
    """Start kubelet, kube-proxy and CoreDNS; the API server and containerd have to run."""
    _start_kubelet()
    _start_kube_proxy()
    _start_coredns()


def kubectl(*arguments: str, text: str | None = None, timeout_seconds: float = 180) -> str:
    """Run kubectl as the administrator of the lab's cluster."""
    command = [str(gotools.program("kubectl")), f"--kubeconfig={PLANE.kubeconfig('admin')}", *arguments]
    return processes.run(command, text=text, timeout_seconds=timeout_seconds)


def helm(namespace: str, *arguments: str | Path, timeout_seconds: int = 120) -> None:
    """Run helm as the same administrator. timeout_seconds: of each wait for the cluster."""
    where = (
        f"--kubeconfig={PLANE.kubeconfig('admin')}",
        f"--namespace={namespace}",
        f"--timeout={timeout_seconds}s",
    )
    processes.run([gotools.program("helm"), *arguments, *where], timeout_seconds=timeout_seconds + 30)


def wait_until_ready() -> None:
    """Wait for the kubelet, then for the Node's Ready condition."""
    processes.wait_until(
        _kubelet_is_healthy,
        what="kubelet",
        timeout_seconds=60,
        hint=f"See {_FOLDER.log('kubelet')}.",
    )
    processes.wait_until(
        is_ready,
        what=f"node {NAME}",
        timeout_seconds=60,
        hint=f"See {_FOLDER.log('kubelet')} and {_FOLDER.log('containerd')}.",
    )


def is_ready() -> bool:
    condition = '{.status.conditions[?(@.type=="Ready")].status}'
    try:
        return kubectl("get", "node", NAME, f"--output=jsonpath={condition}", "--request-timeout=5s") == "True"
    except processes.LabError:
        return False  # not registered yet


def kubelet_configuration() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PLANE.credentials.client_ca)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{containerd.SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDomain": "cluster.local",
        "clusterDNS": [network.DNS_ADDRESS],
        "resolvConf": str(_resolver_file()),
        "podLogsDir": str(paths.STATE / "pod-logs"),
        "volumePluginDir": str(KUBELET_FOLDER / "volume-plugins"),
        "maxPods": MAXIMUM_PODS,
        "serializeImagePulls": False,
        # Images are brought to the node by hand; one that was collected could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        "kubeAPIQPS": controlplane.CLIENT_QPS,
        "kubeAPIBurst": controlplane.CLIENT_BURST,
    }


def proxy_configuration() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": network.POD_RANGE,
        "hostnameOverride": NAME,
        "bindAddress": network.NODE_ADDRESS,
        "healthzBindAddress": f"{network.NODE_ADDRESS}:10256",
        "metricsBindAddress": f"{network.NODE_ADDRESS}:10249",
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nftables": {"minSyncPeriod": "200ms", "syncPeriod": "30s"},
        "clientConnection": {"kubeconfig": str(PLANE.kubeconfig("kube-proxy"))},
    }


def dns_configuration() -> str:
    """CoreDNS's Corefile. Two server blocks: within one, `template` would answer before `kubernetes`."""
    return f"""cluster.local:{DNS_PORT} in-addr.arpa:{DNS_PORT} {{
  bind {network.NODE_ADDRESS}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {PLANE.kubeconfig("coredns")}
    pods insecure
    ttl 5
  }}
  cache 5
}}
.:{DNS_PORT} {{
  bind {network.NODE_ADDRESS}
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"""


def dns_objects() -> list[dict[str, object]]:
    """Service and EndpointSlice that lead Pods to CoreDNS, and what it may read."""
    ports = [{"name": f"dns-{protocol.lower()}", "protocol": protocol} for protocol in ("UDP", "TCP")]
    service: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {
            "clusterIP": network.DNS_ADDRESS,
            "ports": [{**port, "port": 53, "targetPort": DNS_PORT} for port in ports],
        },
    }
    endpoints: dict[str, object] = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-node",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [network.NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{**port, "port": DNS_PORT} for port in ports],
    }
    rbac = "rbac.authorization.k8s.io"
    reads = {"verbs": ["list", "watch"]}
    role: dict[str, object] = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "sluice-lab-coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], **reads},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], **reads},
        ],
    }
    binding: dict[str, object] = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "sluice-lab-coredns"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "sluice-lab-coredns"},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": "sluice-lab-coredns"}],
    }
    return [service, endpoints, role, binding]


def _start_kubelet() -> None:
    KUBELET_FOLDER.mkdir(parents=True, exist_ok=True)
    _resolver_file().write_text("")
    config = paths.STATE / "kubelet.json"
    config.write_text(json.dumps(kubelet_configuration(), indent=1))
    _FOLDER.start(
        "kubelet",
        [
            gotools.program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={PLANE.kubeconfig('kubelet')}",
            f"--root-dir={KUBELET_FOLDER}",
            f"--cert-dir={KUBELET_FOLDER / 'pki'}",
            f"--hostname-override={NAME}",
            f"--node-ip={network.NODE_ADDRESS}",
        ],
    )


def _start_kube_proxy() -> None:
    config = paths.STATE / "kube-proxy.json"
    config.write_text(json.dumps(proxy_configuration(), indent=1))
    _FOLDER.start("kube-proxy", [gotools.program("kube-proxy"), f"--config={config}"])


def _start_coredns() -> None:
    objects = {"apiVersion": "v1", "kind": "List", "items": dns_objects()}
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", text=json.dumps(objects))
    corefile = paths.STATE / "Corefile"
    corefile.write_text(dns_configuration())
    _FOLDER.start("coredns", [gotools.program("coredns"), f"-conf={corefile}"])


def _resolver_file() -> Path:
    return paths.STATE / "resolv.conf"


def _kubelet_is_healthy() -> bool:
    _FOLDER.require_running("kubelet")
    try:
        with urllib.request.urlopen("http://127.0.0.1:10248/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
