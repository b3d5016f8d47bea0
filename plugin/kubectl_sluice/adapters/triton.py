"""A model's own metadata, by the Open Inference Protocol V2."""

from urllib.parse import urlsplit

import aiohttp

from kubectl_sluice.adapters import v2
from kubectl_sluice.views.example import ModelMetadata


class MetadataUnavailable(Exception):
    """The model did not return its metadata; the message says why."""


async def fetch_metadata(gateway: str, *, host: str, model: str, timeout_seconds: float) -> ModelMetadata:
    """Inputs and outputs of a model behind the gateway."""
    import tritonclient.http.aio  # a slow import, and most commands do without it
    from tritonclient.utils import InferenceServerException

    address = urlsplit(gateway)
    try:
        async with tritonclient.http.aio.InferenceServerClient(
            address.netloc + address.path,
            conn_timeout=timeout_seconds,
            ssl=address.scheme == "https",
        ) as server:
            # The client does not decompress answers, and gateways compress on their own.
            raw = await server.get_model_metadata(model, headers={"Host": host, "Accept-Encoding": "identity"})
        return v2.metadata(raw)
    except InferenceServerException as error:
        raise MetadataUnavailable(f"{gateway} answered {error.status()} for the metadata of {model}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise MetadataUnavailable(f"{gateway} cannot be reached ({str(error) or type(error).__name__})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise MetadataUnavailable(f"{gateway} did not answer with V2 metadata of {model}") from error
