"""Where models can be: the schemes of `spec.model.uri`, and the form of each."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from sluice_core.api.v1alpha1 import registry as registries
from sluice_judge.schema.cel import Cel, with_rules

FORMS: Final = {
    "s3": "s3://bucket/path",
    "gs": "gs://bucket/path",
    "azblob": "azblob://container/path",
    "https": "https://host/path",
    "http": "http://name.namespace.svc/path",
    "hf": "hf://organisation/name[/path][@revision]",
    "oci": "oci://registry/repository:tag",
    "pvc": "pvc://claim/path",
}
"""The form of the URIs of each scheme."""

SUPPORTED_SCHEMES: Final = tuple(FORMS)
ALLOWED: Final = ", ".join(FORMS.values())


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a scheme's URIs: one pattern for the API server and for URIs from elsewhere."""

    scheme: str
    pattern: str
    """What follows `scheme://`."""
    wrong: str

    @property
    def rule(self) -> Cel:
        return Cel(
            f"!self.startsWith('{self.scheme}://') || self.matches('^{self.scheme}://{self.pattern}')",
            message=self.message,
        )

    @property
    def message(self) -> str:
        return f"{self.wrong}; use {FORMS[self.scheme]}"

    def fits(self, uri: str) -> bool:
        """Whether a URI matches, as in the rule; `$` is the very end there."""
        pattern = f"{self.scheme}://{self.pattern}"
        return re.match(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern, uri, re.ASCII) is not None


def _form(scheme: str, pattern: str, wrong: str) -> Cel:
    form = _PATTERNS[scheme] = Form(scheme, pattern, wrong)
    return form.rule


_PATTERNS: Final[dict[str, Form]] = {}


_S3: Final = _form("s3", "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/]", "does not name a bucket and a path")
_GS: Final = _form("gs", "[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/[^/]", "does not name a bucket and a path")
_PVC: Final = _form("pvc", "[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?$", "does not name a PersistentVolumeClaim")
_INSIDE_CLAIM: Final = Cel(
    "!self.startsWith('pvc://') || !self.matches('/[.][.](/|$)')",
    message="leads out of the claim; use pvc://claim/path",
)

_OF_SCHEMES: Final = (
    _S3,
    _GS,
    _form("azblob", "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]/[^/]", "does not name a container and a path"),
    _form("https", "[^/?#@]+/.", "does not name a host and a path, or contains a password, which belongs in a Secret"),
    _form(
        "http",
        # A name without a dot begins with a letter: 2852039166 is an address.
        "([a-z][a-z0-9-]*|[a-z0-9-]+[.][a-z0-9-]+[.]svc([.][a-z0-9.-]+)?)(:[0-9]+)?/.",
        "http:// is only for Services of the cluster; elsewhere use https://",
    ),
    _form(
        "hf",
        "[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(/[^@]+)?(@[^@]+)?$",
        "does not name a repository of a hub",
    ),
    _form(
        "oci",
        "[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$",
        "does not name an image by tag or by @sha256:DIGEST",
    ),
    _PVC,
    _INSIDE_CLAIM,
)

Uri = Annotated[
    str,
    Field(min_length=6, max_length=1024, pattern=r"^[a-z0-9]+://[^\s{}]+$"),
    Cel(f"self.matches('^({'|'.join(FORMS)})://')", message=f"scheme is not supported; use one of {ALLOWED}"),
    *_OF_SCHEMES,
]
"""Where a model is."""

ModelUri = Annotated[
    str,
    Field(min_length=6, max_length=1024, pattern=rf"^([a-z0-9]+://|{registries.PREFIX})[^\s{{}}]+$"),
    Cel(
        f"self.matches('^(({'|'.join(FORMS)})://|{registries.PREFIX})')",
        message=f"scheme is not supported; use one of {ALLOWED}, {registries.FORM}",
    ),
    *_OF_SCHEMES,
    Cel(
        f"!self.startsWith('{registries.PREFIX}') || self.matches('^{registries.REFERENCE}')",
        message=f"does not name an alias or a version of a registered model; use {registries.FORM}",
    ),
]
"""Where a model is, or the registry entry that says so."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The form of a URI, checked by the API server and by pydantic alike."""

    form: str
    message: str

    @property
    def rule(self) -> Cel:
        return Cel(f"self.matches('{self.form}')", message=self.message)

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.form, value):
            raise ValueError(self.message)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return with_rules(handler(schema), (self.rule,))


ArmUri = Annotated[
    str,
    Field(min_length=6, max_length=1024, pattern=rf"^([a-z0-9]+://|{registries.PREFIX})[^\s{{}}]+$"),
    Checked(
        "^[a-z0-9]+://.*$",
        "an arm cannot follow a registry, only spec.model.uri can; name the version's files, as the registry has them",
    ),
    Cel(
        f"!self.matches('^[a-z0-9]+://') || self.matches('^({'|'.join(FORMS)})://')",
        message=f"scheme is not supported; use one of {ALLOWED}",
    ),
    *_OF_SCHEMES,
]
"""Where the model of an arm is."""

DATA_FORMS: Final = {scheme: FORMS[scheme] for scheme in ("s3", "gs", "pvc")}
"""The form of data sets' URIs: sources that can be listed, read in parts and written to."""

_DATA_RULES: Final = (
    Cel(
        f"self.matches('^({'|'.join(DATA_FORMS)})://')",
        message=f"scheme is not supported; use one of {', '.join(DATA_FORMS.values())}",
    ),
    _S3,
    _GS,
    _PVC,
    _INSIDE_CLAIM,
)

DataUri = Annotated[str, Field(min_length=6, max_length=1024, pattern=r"^[a-z0-9]+://[^\s{}]+$"), *_DATA_RULES]
"""Where a data set is: one file, or a folder."""

_DATE: Final = "scheduledDate((?P<count>[+-][0-9]{1,3})(?P<unit>[dh]))?(:(?P<format>([A-Za-z0-9/_=-]|%[YmdHMj])+))?"
SCHEDULED_DATE: Final = re.compile(f"[{{][{{]{_DATE}[}}][}}]")
"""A date of the schedule in a URI."""
_DATES: Final = "{{scheduledDate}}, or with an offset in days or hours and a format: {{scheduledDate-1d:%Y/%m/%d}} (%Y %m %d %H %M %j)"


_IN_RUNS: Final = Checked(
    f"^([^{{}}]|[{{][{{]({_DATE})[}}][}}])*$", f"has an unknown placeholder; an input can have {_DATES}"
)
_IN_OUTPUTS: Final = Checked(
    f"^([^{{}}]|[{{][{{](run|{_DATE})[}}][}}])*$",
    f"has an unknown placeholder; an output can have {{{{run}}}} and {_DATES}",
)
_WITH_PLACEHOLDERS: Final = Field(min_length=6, max_length=1024, pattern=r"^[a-z0-9]+://[^\s]+$")

RunInputUri = Annotated[str, _WITH_PLACEHOLDERS, *_DATA_RULES, _IN_RUNS]
"""Where the data set of a run is: one file or a folder; may contain dates of the schedule."""

OutputUri = Annotated[str, _WITH_PLACEHOLDERS, *_DATA_RULES, _IN_OUTPUTS]
"""Where a data set is written: a folder; `{{run}}` stands for the run's name, and it may contain dates of the schedule."""

Sha256 = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 checksum in lower-case hexadecimal digits."""

VARIABLES: Final = {".dockerconfigjson": "DOCKER_CONFIG_JSON"}
"""Variables of the downloader whose names differ from the keys of the Secret."""

SECRET_KEYS: Final[dict[str, tuple[tuple[str, bool], ...]]] = {
    # scheme: (key of the Secret, whether it is optional)
    "s3": (
        ("AWS_ACCESS_KEY_ID", False),
        ("AWS_SECRET_ACCESS_KEY", False),
        ("AWS_ENDPOINT_URL", True),
        ("AWS_DEFAULT_REGION", True),
        ("AWS_SESSION_TOKEN", True),
    ),
    "gs": (("GOOGLE_APPLICATION_CREDENTIALS_JSON", True), ("STORAGE_EMULATOR_HOST", True)),
    "azblob": (
        ("AZURE_STORAGE_ACCOUNT", False),
        ("AZURE_STORAGE_KEY", True),
        ("AZURE_STORAGE_SAS_TOKEN", True),
        ("AZURE_STORAGE_CONNECTION_STRING", True),
        ("AZURE_STORAGE_ENDPOINT", True),
    ),
    "hf": (("HF_TOKEN", True), ("HF_ENDPOINT", True)),
    "https": (("HTTP_AUTHORIZATION", False),),
    "http": (("HTTP_AUTHORIZATION", False),),
    "oci": ((".dockerconfigjson", False),),
}
"""What the downloader reads from the Secret of `spec.model.credentialsSecretRef`."""


REMOTE: Final = frozenset(FORMS) - {"pvc"}
"""Schemes of what is fetched: a registry names no others."""


def refusal(uri: str) -> str:
    """Why a URI from outside a spec does not name a model that can be fetched; empty if it does."""
    form = _PATTERNS.get(scheme(uri))
    if form is None or form.scheme not in REMOTE:
        return f"it is not one of {', '.join(FORMS[each] for each in FORMS if each in REMOTE)}"
    if not 6 <= len(uri) <= 1024 or re.search(r"[\s{}]", uri):
        return "it is too long, or has a space or a brace in it"
    return "" if form.fits(uri) else f"it {form.message}"


def scheme(uri: str) -> str:
    return uri.partition(":/")[0] if registries.is_followed(uri) else uri.partition("://")[0]


def shown(uri: str) -> str:
    """The URI without its secrets (a password, a signature), for messages, events and notices."""
    if scheme(uri) not in ("http", "https"):
        return uri
    beginning, _, rest = re.split("[?#]", uri, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{beginning}://{host.rpartition('@')[2]}{slash}{path}"


def image(uri: str) -> str:
    """The image of an oci:// URI, in the form that containers use."""
    return uri.removeprefix("oci://")


def registry(uri: str) -> str:
    """Host and port of an oci:// URI."""
    return image(uri).partition("/")[0]


def claim_and_path(uri: str) -> tuple[str, str]:
    """The PersistentVolumeClaim of a pvc:// URI, and the path in it, empty for the whole claim."""
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    return claim, path.strip("/")
