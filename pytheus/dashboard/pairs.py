"""Families that belong together by their names: a gauge and its limit, errors and the total of which they are a part.

Rules:

- The words of one name are those of the other, but for one: ``process_open_fds`` and ``process_max_fds``,
  ``queue_items`` and ``queue_items_limit``, ``jobs_failed_total`` and ``jobs_total``.
- Every label of the limit, or of the total, is a label of its partner, so that both can be added up by these labels.
- A gauge whose help says that it is the highest value so far is not a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pytheus.dashboard.families import FamilyInfo

__all__ = ["ErrorPair", "LimitPair", "error_pairs", "limit_pairs"]

_LIMIT_WORDS: Final = ("max", "maximum", "limit", "capacity", "quota")
_USAGE_WORDS: Final = (
    *("open", "used", "usage", "current", "active", "busy", "allocated", "resident"),
    *("size", "length", "depth", "count", "in_use", "in_progress"),
)
_ERROR_WORDS: Final = ("errors", "error", "failures", "failure", "failed", "exceptions", "exception")
_TOTAL_WORDS: Final = (
    *("requests", "attempts", "calls", "operations", "executions", "runs", "started", "processed", "handled"),
)
_PEAK: Final = re.compile(r"\b(?:highest|peak|so far|observed|seen|ever|high[- ]water)\b", re.I)


class LimitPair(NamedTuple):
    """A gauge and the gauge of its limit."""

    usage: FamilyInfo
    limit: FamilyInfo


class ErrorPair(NamedTuple):
    """A counter of errors, and the counter of all events of which they are a part."""

    errors: FamilyInfo
    total: FamilyInfo


def limit_pairs(families: Iterable[FamilyInfo]) -> list[LimitPair]:
    """Return the gauges that have a limit, in the order of the limits.

    >>> names = ["process_open_fds", "process_max_fds"]
    >>> [pair.usage.name for pair in limit_pairs(FamilyInfo(name, "gauge", "") for name in names)]
    ['process_open_fds']
    """
    gauges = {_words(family.name): family for family in families if family.type in ("gauge", "unknown")}
    pairs = []
    for words, limit in gauges.items():
        if _PEAK.search(limit.description) is None:
            usage = _partner(words, limit, gauges, _LIMIT_WORDS, _USAGE_WORDS, is_whole=True)
            if usage is not None:
                pairs.append(LimitPair(usage, limit))
    return pairs


def error_pairs(families: Iterable[FamilyInfo]) -> list[ErrorPair]:
    """Return the counters of errors for which there is a total, in their order.

    >>> names = ["jobs_failed_total", "jobs_total"]
    >>> [pair.total.name for pair in error_pairs(FamilyInfo(name, "counter", "") for name in names)]
    ['jobs_total']
    """
    counters = {_words(family.name): family for family in families if family.type == "counter"}
    pairs = []
    for words, errors in counters.items():
        total = _partner(words, errors, counters, _ERROR_WORDS, _TOTAL_WORDS, is_whole=False)
        if total is not None:
            pairs.append(ErrorPair(errors, total))
    return pairs


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.split(r"[_.:]", name))


def _partner(
    words: tuple[str, ...],
    family: FamilyInfo,
    others: Mapping[tuple[str, ...], FamilyInfo],
    own: Sequence[str],
    instead: Sequence[str],
    *,
    is_whole: bool,
) -> FamilyInfo | None:
    """The family whose name has none, or one of `instead`, in place of a word of `own`.

    `is_whole` says that `family` is the one whose labels the other has as well.
    """
    for candidate in _candidates(words, own, instead):
        other = others.get(candidate)
        if other is None:
            continue
        fewer, more = (family, other) if is_whole else (other, family)
        if set(fewer.labels) <= set(more.labels):
            return other
    return None


def _candidates(words: tuple[str, ...], own: Sequence[str], instead: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for position, word in enumerate(words):
        if word in own:
            before, after = words[:position], words[position + 1 :]
            yield (*before, *after)
            for other in instead:
                yield (*before, *_words(other), *after)
