"""Client of the masking API: `MaskerClient` for ordinary code, `AsyncMaskerClient` for asyncio."""

from identity_masker.client.answers import Masked, Outcome
from identity_masker.client.asynchronous import AsyncMaskerClient
from identity_masker.client.errors import ApiError, RefusedError, UnavailableError
from identity_masker.client.retries import Retries
from identity_masker.client.synchronous import MaskerClient

__all__ = [
    "ApiError",
    "AsyncMaskerClient",
    "Masked",
    "MaskerClient",
    "Outcome",
    "RefusedError",
    "Retries",
    "UnavailableError",
]
