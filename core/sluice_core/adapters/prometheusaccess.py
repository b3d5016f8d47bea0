"""Credentials and TLS files for Prometheus, in a folder: a mounted Secret.

    ca.crt                the authorities of its certificate, in PEM; then no others are trusted
    token                 a bearer token, or
    username, password    basic authentication
    tls.crt, tls.key      the certificate and the key of who asks, in PEM

Every question reads them: a changed Secret counts without a restart. Only `ca.crt` is ever shown.
"""

import base64
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
from requests import auth, utils

CA, TOKEN, USERNAME, PASSWORD, CERTIFICATE, PRIVATE_KEY = KEYS = (
    "ca.crt",
    "token",
    "username",
    "password",
    "tls.crt",
    "tls.key",
)
_BY_NAME: Final = frozenset({CA, CERTIFICATE, PRIVATE_KEY})
"""Files that the client itself reads by name."""
LONGEST: Final = 65_536
"""Bytes of a token: a longer one does not fit into a request."""
_UNTRUSTED: Final = re.compile("certificate.verify.failed", re.IGNORECASE)
_BROKEN: Final = re.compile("alert|eof occurred|reset by peer|broken pipe|closed connection", re.IGNORECASE)
_PRINTED: Final = re.compile(r"[!-~]+")
"""A token that can stand in a header. The client's own message about a bad header would show it."""


class AccessUnusable(requests.RequestException):
    """The files are missing or unusable; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class PrometheusAccess(auth.AuthBase):
    """Credentials and authorities for one Prometheus; without a folder there are none."""

    folder: Path | None = None
    named: str = ""
    """The folder's name for people, such as `Secret prometheus-client`."""
    setting: str = "config.prometheusSecretName"
    """The setting that names a folder, for messages without one."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the credentials to a request; requests itself leaves them out where a redirect leads elsewhere."""
        if sent := self._authorization():
            request.headers["Authorization"] = sent
        elif any(of_url := utils.get_auth_from_url(request.url or "")):
            auth.HTTPBasicAuth(*of_url)(request)
        return request

    @property
    def authorities(self) -> str | bool:
        """The file with the trusted authorities; True: the public ones."""
        if self.folder is None:
            return True
        return str(self.folder / CA) if self._read(CA) is not None else True

    @property
    def certificate(self) -> tuple[str, str] | None:
        """The files of the client's certificate and its key; None: there are none."""
        if self.folder is None:
            return None
        given = [key for key in (CERTIFICATE, PRIVATE_KEY) if self._read(key) is not None]
        if not given:
            return None
        if len(given) == 1:
            raise AccessUnusable(
                f"{self.named} has {given[0]} alone; it needs {CERTIFICATE} and {PRIVATE_KEY}, or neither"
            )
        files = (str(self.folder / CERTIFICATE), str(self.folder / PRIVATE_KEY))
        try:
            # The empty password keeps OpenSSL from prompting for one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*files, password="")
        except ssl.SSLError as error:
            raise AccessUnusable(self._not_a_pair(files[0], error)) from None
        except OSError as error:
            raise AccessUnusable(
                f"{CERTIFICATE} and {PRIVATE_KEY} of {self.named} cannot be read: {error.strerror}"
            ) from None
        return files

    def refused(self, status: int) -> str:
        """What to do about a 401 or 403."""
        if status not in (401, 403):
            return ""
        if self.folder is None:
            return f"it wants to know who asks; give it a token, or user name and password ({self.setting})"
        words = {TOKEN: "token", USERNAME: "user", CERTIFICATE: "certificate"}
        sent = next((word for key, word in words.items() if self._read(key) is not None), "")
        if not sent:
            return f"it wants to know who asks; put token, or username and password, into {self.named}"
        what = f"{sent} of {self.named}"
        if status == 401:
            return f"it does not accept the {what}; put a valid one there, which counts within two minutes"
        return f"the {what} may not query it; grant it that"

    def unconnected(self, cause: str) -> str:
        """What to do when a TLS connection fails or breaks: a client without a certificate may learn no more than that."""
        where = self.named if self.folder is not None else f"a Secret ({self.setting})"
        trusted = f"if its certificate is of a private authority, put that one's into ca.crt of {where}"
        if _UNTRUSTED.search(cause):
            return trusted
        known = f"if it wants one of ours, put {CERTIFICATE} and {PRIVATE_KEY} into {where}, of an authority that it accepts"
        return known if _BROKEN.search(cause) else f"{trusted}; {known}"

    def harmless(self, text: str) -> str:
        """The text without the credentials that were sent, in case the answer repeats them."""
        try:
            sent = self._authorization()
        except AccessUnusable:
            return text
        return text.replace(sent.partition(" ")[2], "***") if sent else text

    def _authorization(self) -> str | None:
        """The header; None where there are no credentials of this kind."""
        if self.folder is None:
            return None
        found = {key: self._read(key) for key in KEYS}
        if not any(value is not None for value in found.values()):
            raise AccessUnusable(f"{self.named} is missing, or has none of the keys {', '.join(KEYS)}; create it")
        token, username, password = found[TOKEN], found[USERNAME], found[PASSWORD]
        if token is not None and (username is not None or password is not None):
            raise AccessUnusable(f"{self.named} has token and username or password; remove what is not needed")
        if token is not None:
            if not _PRINTED.fullmatch(token):
                raise AccessUnusable(f"token of {self.named} is not a token: one line, of printed ASCII characters")
            return f"Bearer {token}"
        if username is None and password is None:
            return None
        if not username or not password:
            raise AccessUnusable(f"{self.named} needs username and password, or neither of them")
        if ":" in username:
            raise AccessUnusable(f"username of {self.named} has a colon, which basic authentication cannot send")
        return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"

    def _not_a_pair(self, certificate: str, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{PRIVATE_KEY} of {self.named} is not the key of its {CERTIFICATE}; put a pair there"
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
        except ssl.SSLError:
            return f"{CERTIFICATE} of {self.named} is not a certificate in PEM"
        return f"{PRIVATE_KEY} of {self.named} is not a key in PEM, without a password"

    def _read(self, key: str) -> str | None:
        """The text without a trailing line break; None if the file does not exist. Empty for files that the client
        reads.
        """
        assert self.folder is not None
        try:
            with (self.folder / key).open("rb") as file:
                content = b"" if key in _BY_NAME else file.read(LONGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise AccessUnusable(f"{key} of {self.named} cannot be read: {error.strerror}") from error
        if len(content) > LONGEST:
            raise AccessUnusable(f"{key} of {self.named} is longer than {LONGEST >> 10} KiB")
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError:  # its message has the content
            raise AccessUnusable(f"{key} of {self.named} is not text") from None
