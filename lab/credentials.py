"""Who may talk to the API server, and with what: a certificate authority for clients, service-account keys, tokens."""

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import processes

# name -> (user, groups). Kubernetes binds the system users to their roles by itself.
IDENTITIES: Final = {
    "admin": ("sluice-lab-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:{node}", "system:nodes"),
    "coredns": ("sluice-lab-coredns", ""),
    "kwok": ("sluice-lab-kwok", "system:masters"),
}
VALID_DAYS: Final = 3650
FRONT_PROXY: Final = "front-proxy-client"
"""Whom servers of further APIs believe when he says who asks."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of one control plane, all below `folder`."""

    folder: Path

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.csv"

    @property
    def service_account_key(self) -> Path:
        return self.folder / "service-account.key"

    @property
    def client_ca(self) -> Path:
        return self.folder / "client-ca.crt"

    @property
    def kubelet_client(self) -> tuple[Path, Path]:
        """Certificate and key with which the API server reaches the kubelet (exec, logs, port-forward)."""
        return self.folder / "kubelet-client.crt", self.folder / "kubelet-client.key"

    @property
    def front_proxy_ca(self) -> Path:
        return self.folder / "front-proxy-ca.crt"

    @property
    def front_proxy_client(self) -> tuple[Path, Path]:
        """Certificate and key by which a server of a further API knows that the API server passes a request on."""
        return self.folder / "front-proxy-client.crt", self.folder / "front-proxy-client.key"

    @property
    def server_certificate(self) -> Path:
        """Written by kube-apiserver at its first start: its certificate and the authority that signed it."""
        return self.folder / "apiserver.crt"

    def token(self, identity: str) -> str:
        for line in self.tokens.read_text().splitlines():
            token, _user, name, _groups = line.split(",", maxsplit=3)
            if name == identity:
                return token
        raise processes.LabError(f"{self.tokens}: no token for {identity}; `python3 -m lab down` and start again")


def create(folder: Path, *, node: str) -> Credentials:
    """Make the files that are missing; keys are readable by their owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Credentials(folder)
    if not made.tokens.exists():
        lines = (
            f'{secrets.token_hex(16)},{user.format(node=node)},{name},"{groups}"'
            for name, (user, groups) in IDENTITIES.items()
        )
        made.tokens.write_text("\n".join(lines) + "\n")
        made.tokens.chmod(0o600)
    if not made.service_account_key.exists():
        processes.run(["openssl", "genrsa", "-out", made.service_account_key, "2048"])
    if not made.kubelet_client[0].exists():
        _issue(made.client_ca, made.kubelet_client, "/O=system:masters/CN=kube-apiserver-kubelet-client")
    if not made.front_proxy_client[0].exists():
        _issue(made.front_proxy_ca, made.front_proxy_client, f"/CN={FRONT_PROXY}")
    return made


def write_kubeconfig(target: Path, *, server: str, credentials: Credentials, identity: str) -> Path:
    """A kubeconfig (JSON is YAML) with the server's own authority, so that clients verify it."""
    authority = base64.b64encode(credentials.server_certificate.read_bytes()).decode()
    name = "sluice-lab"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": identity, "user": {"token": credentials.token(identity)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": identity}}],
        "current-context": name,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    target.write_text(json.dumps(config, indent=1))
    return target


def _issue(authority: Path, client: tuple[Path, Path], subject: str) -> None:
    """A new authority, and one client's certificate and key that it has signed."""
    authority_key, request = authority.with_suffix(".key"), client[0].with_suffix(".csr")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    valid = ("-days", str(VALID_DAYS))
    own: tuple[str | Path, ...] = ("-subj", f"/CN=sluice-lab-{authority.stem}", "-keyout", authority_key)
    signed: tuple[str | Path, ...] = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial")
    for arguments in (
        ("req", "-x509", *new_key, *valid, *own, "-out", authority),
        ("req", "-new", *new_key, "-subj", subject, "-keyout", client[1], "-out", request),
        ("x509", "-req", "-in", request, *signed, *valid, "-out", client[0]),
    ):
        processes.run(["openssl", *arguments])
