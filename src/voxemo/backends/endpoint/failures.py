"""What can go wrong with a question over the network, what follows from it, and how long to wait."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
"""Beside all from 500."""
HALTING_STATUSES = frozenset({401, 402, 403, 404, 405, 407, 410})
"""Beside all below 400: key, credit, address or model are wrong, which no question can help."""
NO_QUOTA = "insufficient_quota"
"""Code of a 429 that waiting does not mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a question got no answer."""

    kind: Literal["transient", "refused", "halt"]
    """``transient``: ask again. ``refused``: this question never gets an answer. ``halt``: no question does now."""
    reason: str
    """For the journal: no address and no key in it."""
    status: int | None = None
    """Of HTTP; None where nothing came back."""
    retry_after_s: float | None = None
    """How long the server asks to be left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How often a question is asked, and how long is waited in between.

    Args:
        attempts: at most so often, the first included.
        first_s: middle of the first wait; each further one is twice as long.
        longest_s: longest wait. A server that asks for a longer one is not asked again in this call.
        sleep: waits so many seconds.
        clock: seconds that never go back.
        draw: uniform in 0 to 1; waits are spread by half, so that what failed together does not come back together.
    """

    attempts: int = 6
    first_s: float = 1.0
    longest_s: float = 60.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after so many failed attempts.

        >>> [Backoff(draw=lambda: 0.5).wait_s(attempt) for attempt in (1, 2, 3, 9)]
        [1.0, 2.0, 4.0, 60.0]
        """
        middle_s: float = self.first_s * 2 ** (attempt - 1)
        return min(middle_s * (0.5 + self.draw()), self.longest_s)


def judge_status(status: int, *, message: str, code: str | None = None, retry_after_s: float | None = None) -> Failure:
    """What an HTTP status other than success means for a question.

    Args:
        status: below 200 or from 300.
        message: what the server says, without the key; may be empty.
        code: the protocol's word for the error.
        retry_after_s: how long the server asks to be left alone.

    >>> [judge_status(status, message="").kind for status in (503, 400, 401)]
    ['transient', 'refused', 'halt']
    """
    kind: Literal["transient", "refused", "halt"] = "refused"
    if status in TRANSIENT_STATUSES or status >= 500:
        kind = "halt" if code == NO_QUOTA else "transient"
    elif status in HALTING_STATUSES or status < 400:
        kind = "halt"
    # To a wrong key, servers repeat some of it, spelled in their own way.
    said = f": {message}" if message and status != 401 else ""
    return Failure(kind=kind, reason=f"HTTP {status}{said}", status=status, retry_after_s=retry_after_s)


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds in a Retry-After header, which holds seconds or a date; None without a usable one.

    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> [read_retry_after({"retry-after": text}, now) for text in ("3", "Thu, 01 Jan 2026 00:01:00 GMT", "soon")]
    [3.0, 60.0, None]
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            due = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = ((due if due.tzinfo is not None else due.replace(tzinfo=UTC)) - now).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
