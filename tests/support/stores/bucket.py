"""An S3 bucket that answers what its test wants, even what no real store would: names, lists and refusals."""

from collections.abc import Mapping
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.support.stores.webserver import Page, WebServer

BUCKET = "models"
KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


def publish(web: WebServer, objects: Mapping[str, bytes], *, readable: bool = True) -> None:
    """Publishes a bucket whose list has all these objects, whatever prefix is requested."""
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><ETag>&quot;{index}-{len(body)}&quot;</ETag><Size>{len(body)}</Size></Contents>"
        for index, (key, body) in enumerate(objects.items())
    )
    listed(web, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())
    for key, body in objects.items():
        web.pages[f"/{BUCKET}/{quote(key)}"] = Page(body) if readable else Page(status=403)


def listed(web: WebServer, answer: bytes) -> None:
    web.pages[f"/{BUCKET}"] = Page(answer, headers={"Content-Type": "application/xml"}, ranges=False, etag=False)
