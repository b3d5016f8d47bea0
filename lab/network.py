"""Addresses of the node and the few kernel settings that it needs.

127.0.0.1:8080 ─(host port, portmap)─> Envoy's Pod ─> model Pods            bridge sluice-pods, 10.213.64.0/20
kube-apiserver, kubelet, CoreDNS listen on 10.213.0.1                      bridge sluice-node
Services 10.215.0.0/20 (kube-proxy, nftables)
"""

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Final

from lab import processes

# kube-apiserver refuses a loopback address, and the machine's own may change: a bridge of our own has neither fault.
NODE_BRIDGE: Final = "sluice-node"
NODE_ADDRESS: Final = "10.213.0.1"
POD_BRIDGE: Final = "sluice-pods"
POD_RANGE: Final = "10.213.64.0/20"
SERVICE_RANGE: Final = "10.215.0.0/20"
DNS_ADDRESS: Final = "10.215.0.10"
FAKE_POD_RANGE: Final = "10.214.0.0/16"  # Pods on kwok's nodes: nothing answers there

CNI_NAME: Final = "sluice-lab"
GUARD_TABLE: Final = "sluice_lab"
HOST_PORTS: Final = {"gateway": 8080, "prometheus": 9090, "objectStore": 7070}  # as in manifests/quickstart
GATEWAY_PORTS: Final = {"envoy-gateway": 8081, "traefik": 8082}  # of gateways that are started on demand

SYSCTLS: Final = {
    "net/ipv4/ip_forward": "1",
    # Without it an answer between two Pods of one bridge would skip the reverse translation of the Service address.
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/ipv4/conf/all/route_localnet": "1",
}
INOTIFY_INSTANCES: Final = 1024


def create(cni_folder: Path) -> None:
    """Make the node's bridge, the sysctls, the guard and the CNI configuration. Does no harm when they exist."""
    for key, value in SYSCTLS.items():
        path = Path("/proc/sys") / key
        if path.exists():
            path.write_text(value)
    instances = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(instances.read_text()) < INOTIFY_INSTANCES:
        instances.write_text(str(INOTIFY_INSTANCES))
    if not Path("/sys/class/net", NODE_BRIDGE).exists():
        processes.run(["ip", "link", "add", NODE_BRIDGE, "type", "bridge"])
    processes.run(["ip", "address", "replace", f"{NODE_ADDRESS}/32", "dev", NODE_BRIDGE])
    processes.run(["ip", "link", "set", NODE_BRIDGE, "up"])
    # Whoever asks a fake Pod is told so at once, and the question stays on this machine.
    processes.run(["ip", "route", "replace", "unreachable", FAKE_POD_RANGE])
    guard()
    cni_folder.mkdir(parents=True, exist_ok=True)
    (cni_folder / "10-sluice.conflist").write_text(json.dumps(cni_configuration(cni_folder), indent=1))


def guard() -> None:
    """Put the rules of `guard_rules` in place of those that are there."""
    processes.run(["nft", "-f", "-"], text=guard_rules())


def remove() -> None:
    """Remove links, tables and rules that `create`, kube-proxy and the CNI plugins made."""
    for bridge in (POD_BRIDGE, NODE_BRIDGE):
        if Path("/sys/class/net", bridge).exists():
            processes.run(["ip", "link", "delete", bridge])
    subprocess.run(["ip", "route", "delete", "unreachable", FAKE_POD_RANGE], capture_output=True, check=False)
    for family, table in (("inet", GUARD_TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy")):
        subprocess.run(["nft", "delete", "table", family, table], capture_output=True, check=False)
    _remove_portmap_rules()


def busy_ports() -> dict[str, int]:
    """The host ports that somebody else listens on already."""
    return {name: port for name, port in HOST_PORTS.items() if _is_busy(port)}


def cni_configuration(cni_folder: Path) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": POD_BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(cni_folder / "addresses"),
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": CNI_NAME, "plugins": [bridge, portmap]}


def guard_rules() -> str:
    """nftables: Pods leave with the machine's address, and nobody outside the machine reaches the host ports."""
    ports = ", ".join(map(str, (*HOST_PORTS.values(), *GATEWAY_PORTS.values())))
    return f"""
table inet {GUARD_TABLE}
delete table inet {GUARD_TABLE}
table inet {GUARD_TABLE} {{
  chain guard {{
    type filter hook prerouting priority -150; policy accept;
    iifname {{ "lo", "{NODE_BRIDGE}", "{POD_BRIDGE}" }} accept
    ct state established,related accept
    tcp dport {{ {ports} }} drop
  }}
  chain leave {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {POD_RANGE} oifname != {{ "lo", "{NODE_BRIDGE}", "{POD_BRIDGE}" }} masquerade
  }}
}}
"""


def portmap_leftovers(saved: str) -> list[str]:
    """Commands for `iptables -t nat` that undo portmap's rules of our network, from the output of `iptables-save`.

    Every jump that portmap makes carries the network's name in a comment; the chain that it jumps to belongs to one Pod.
    """
    jumps = [line for line in saved.splitlines() if line.startswith("-A") and f'name: \\"{CNI_NAME}\\"' in line]
    targets = [match.group(1) for line in jumps if (match := re.search(r"-j (CNI-DN-\w+)", line))]
    deletions = [line.replace("-A", "-D", 1) for line in jumps]
    return [*deletions, *(f"{action} {chain}" for chain in dict.fromkeys(targets) for action in ("-F", "-X"))]


def _remove_portmap_rules() -> None:
    saved = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=False).stdout
    commands = portmap_leftovers(saved)
    if commands:
        processes.run(["iptables-restore", "--noflush"], text="\n".join(["*nat", *commands, "COMMIT", ""]))


def _is_busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
