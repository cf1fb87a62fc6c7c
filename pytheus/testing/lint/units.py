"""Words for units in names: base units, multiples of them, and abbreviations.

https://prometheus.io/docs/practices/naming/#base-units
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ABBREVIATIONS", "base_unit", "is_unit", "misplaced_unit"]

_BASE: Final = frozenset(
    ("amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "ratio", "seconds", "volts")
)

_OTHERS: Final[dict[str, str]] = {
    **dict.fromkeys(("minutes", "hours", "days", "weeks"), "seconds"),
    **dict.fromkeys(("fahrenheit", "rankine"), "celsius"),
    **dict.fromkeys(("inches", "feet", "yards", "miles"), "meters"),
    **dict.fromkeys(("percent", "percentage"), "ratio"),
    **dict.fromkeys(("pounds", "ounces"), "grams"),
    "bits": "bytes",
    "calories": "joules",
    "kelvins": "kelvin",
}

_PREFIX: Final = re.compile(
    "(?:pico|nano|micro|milli|centi|deci|deca|hecto|kilo|kibi|mega|mebi|mibi|giga|gibi|tera|tebi|peta|pebi|exa|exbi)"
    "(?P<unit>[a-z]+)"
)

ABBREVIATIONS: Final[dict[str, str]] = {
    **dict.fromkeys(("s", "sec", "secs", "ms", "msec", "msecs", "millis", "us", "usec", "micros"), "seconds"),
    **dict.fromkeys(("ns", "nsec", "nanos", "mins", "h", "hrs", "d"), "seconds"),
    **dict.fromkeys(("b", "kb", "mb", "gb", "tb", "pb", "kib", "mib", "gib", "tib"), "bytes"),
    "m": "",
    "pct": "ratio",
}
"""Abbreviations of units with their base unit, "" where it is ambiguous."""

# Words after a unit that leave no doubt about it: `http_requests_seconds_max`, `limit_bytes_per_second`.
_MAY_FOLLOW: Final = re.compile(
    r"(?:min|max|avg|mean|median|stddev|p[0-9]+|per|total|info|count|sum|bucket|created|gsum|gcount|squared)"
)


def base_unit(word: str) -> str | None:
    """Return the base unit of a unit that is not one itself, or None.

    >>> base_unit("milliseconds"), base_unit("days"), base_unit("seconds"), base_unit("orders")
    ('seconds', 'seconds', None, None)
    """
    if word in _OTHERS:
        return _OTHERS[word]
    match = _PREFIX.fullmatch(word)
    if match is None:
        return None
    unit = match["unit"]
    return unit if unit in _BASE else _OTHERS.get(unit)


def is_unit(word: str) -> bool:
    """Return whether `word` is a unit, a base unit or another one.

    >>> is_unit("kilobytes"), is_unit("bytes"), is_unit("orders")
    (True, True, False)
    """
    return word in _BASE or base_unit(word) is not None


def misplaced_unit(words: list[str]) -> int | None:
    """Return the place of a unit that is not the end of a name, or None; `words` has no suffix of a type.

    >>> misplaced_unit(["bytes", "received"]), misplaced_unit(["wait", "seconds", "max"])
    (0, None)
    """
    if not words or is_unit(words[-1]):
        return None
    places = [place for place, word in enumerate(words) if word in _BASE or word in _OTHERS]
    if not places or _MAY_FOLLOW.fullmatch(words[places[-1] + 1]):
        return None
    return places[-1]
