"""The outcome of one request to a receiver."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

__all__ = ["Outcome", "Verdict", "retry_after_seconds"]


class Verdict(Enum):
    """How a writer goes on after a request."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver will never take it."""
    FAILED = "failed"
    """Another attempt may succeed."""
    OTHER_FORM = "other form"
    """The receiver takes another version of the protocol, in which the whole item is to be sent."""


class Outcome(NamedTuple):
    """The verdict, the words for it, and how many seconds the receiver wants the writer to wait."""

    verdict: Verdict
    message: str = ""
    retry_after_seconds: float | None = None


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Return the time that ``Retry-After`` asks to wait, or None; `now` is in seconds since the Unix epoch.

        >>> retry_after_seconds({"retry-after": "30"}, 0.0)
        30.0

    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, moment.timestamp() - now)
