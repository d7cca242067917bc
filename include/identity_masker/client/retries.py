"""When a request is sent again: not more often than allowed, not sooner than the server asks, not past the deadline."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import BaseModel, ConfigDict, Field

RETRYABLE = frozenset({408, 429, 502, 503, 504})


class Retries(BaseModel):
    """How often and how long a request is tried.

    Between tries the client waits what Retry-After says, or else a random time up to a bound that doubles (full jitter:
    M. Brooker, "Exponential Backoff And Jitter", 2015).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tries: int = Field(default=4, ge=1, le=20)
    seconds: float = Field(default=60.0, gt=0, description="From the first try to the end of the last one.")
    first_pause: float = Field(default=0.2, ge=0, description="Bound of the first pause, in seconds.")
    longest_pause: float = Field(default=10.0, ge=0)

    def pause(self, tried: int, answer: httpx.Response | None, *, elapsed: float) -> float | None:
        """Seconds until the next try after `tried` ones; None when there is to be none.

        `answer` is None when the connection failed. A wait that Retry-After asks for and that the deadline does not
        allow is not shortened: the server would only refuse again.
        """
        if tried >= self.tries or (answer is not None and answer.status_code not in RETRYABLE):
            return None
        asked = None if answer is None else retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
        bound = min(self.longest_pause, self.first_pause * 2.0 ** (tried - 1))
        # Jitter is no secret, and nothing depends on it being unpredictable.
        seconds = random.uniform(0.0, bound) if asked is None else asked  # noqa: S311
        return seconds if elapsed + seconds < self.seconds else None


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that the header asks for, from a number or a date (RFC 9110); None when it says nothing readable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (zoned - now).total_seconds())
