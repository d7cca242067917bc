"""When a channel that failed is tried again."""

from __future__ import annotations

import random

from identity_masker.alerts.config import Retry


def delay(retry: Retry, failures: int, asked: float | None, chance: float | None = None) -> float:
    """Seconds until the next try after `failures` in a row (1 for the first).

    Half of the wait is chance, so that many senders do not come back at once. The channel's own wish (`asked`, a
    Retry-After) is never undercut.
    """
    # Beyond 60 doublings the power overflows, and the longest wait is long reached.
    grown = min(retry.longest_seconds, retry.first_seconds * retry.factor ** min(failures - 1, 60))
    share = random.random() if chance is None else chance  # noqa: S311 - spreads load, hides nothing
    return max(grown * (0.5 + 0.5 * share), asked or 0.0)
