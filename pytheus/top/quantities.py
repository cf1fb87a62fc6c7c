"""Numbers as people read them: with a prefix, in the unit of their family, in at most nine characters.

Rules:

- The unit is that of the family, or else the end of its name, as Prometheus's conventions place it:
  https://prometheus.io/docs/practices/naming/#base-units
- Bytes have binary prefixes, other numbers decimal ones, seconds those of time: ns, µs, ms, s, then m, h and d.
- A moment (``..._timestamp_seconds``, ``..._start_time_seconds``) is shown as the time since.
- A whole number below 100,000 is exact; other numbers have three digits.
"""

from __future__ import annotations

import math
import re
from typing import Final

from pytheus.top.values import FamilyInfo

__all__ = ["duration", "is_moment", "quantity", "rate", "unit_of"]

_SUFFIX: Final = re.compile(r"(?:_total|_info)$")
_MOMENT: Final = re.compile(r"(?:timestamp|(?:start|created|last|updated|modified|expiry|boot)_time)_seconds$")
_UNITS: Final = frozenset({"seconds", "bytes", "ratio", "percent"})

_DECIMAL: Final = ("", "k", "M", "G", "T", "P", "E")
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_EXACT_BELOW: Final = 100_000


def unit_of(family: FamilyInfo) -> str:
    """Return "seconds", "bytes", "ratio", "percent" or "", by the unit or the name of `family`.

    >>> unit_of(FamilyInfo("cpu_seconds_total", "counter"))
    'seconds'
    """
    last = family.unit or re.split(r"[_.:]", _SUFFIX.sub("", family.name))[-1]
    return last if last in _UNITS else ""


def is_moment(family: FamilyInfo) -> bool:
    """Return whether the value is a time in seconds since the Unix epoch, by the convention of names."""
    return _MOMENT.search(family.name) is not None


def quantity(value: float, unit: str = "", *, ascii_only: bool = False) -> str:
    """Return the text of `value`.

    >>> quantity(1234567), quantity(0.00042, "seconds"), quantity(3 << 20, "bytes"), quantity(0.123, "ratio")
    ('1.23M', '420µs', '3.00MiB', '12.3%')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if unit == "seconds":
        return duration(value, ascii_only=ascii_only)
    if unit == "bytes":
        return _scaled(value, 1024, _BINARY)
    if unit == "ratio" and abs(value) < 1000:
        return f"{_digits(100 * value)}%"
    if unit == "percent" and abs(value) < 100_000:
        return f"{_digits(value)}%"
    return _scaled(value, 1000, _DECIMAL)


def rate(per_second: float, unit: str = "", *, ascii_only: bool = False) -> str:
    """Return the text of an increase per second; seconds per second are a share of time.

    >>> rate(0.25, "seconds"), rate(12)
    ('25.0%', '12.0')
    """
    if not unit and 0 < abs(per_second) < 1000:
        return _digits(per_second)  # with its decimals, also if it is whole at the moment
    return quantity(per_second, "ratio" if unit == "seconds" else unit, ascii_only=ascii_only)


def duration(seconds: float, *, ascii_only: bool = False) -> str:
    """Return the text of a time.

    >>> duration(0.0123), duration(200.0), duration(100000.0)
    ('12.3ms', '3m20s', '1d03h')
    """
    sign, size = ("-" if seconds < 0 else ""), abs(seconds)
    if size == 0:
        return "0s"
    if size < 1e-12:
        return f"{seconds:.0e}s"
    if size < 59.95:
        for limit, factor, name in (
            (0.9995e-6, 1e9, "ns"),
            (0.9995e-3, 1e6, "us" if ascii_only else "µs"),
            (0.9995, 1e3, "ms"),
        ):
            if size < limit:
                return f"{sign}{_digits(size * factor)}{name}"
        return f"{sign}{_digits(size)}s"
    whole = round(size)
    if whole < 3600:
        return f"{sign}{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{sign}{whole // 3600}h{whole % 3600 // 60:02}m"
    days, hours = whole // 86400, whole % 86400 // 3600
    if days < 1000:
        return f"{sign}{days}d{hours:02}h"
    return f"{sign}{_scaled(days, 1000, _DECIMAL)}d" if days < 1e18 else f"{seconds:.0e}s"


def _digits(value: float) -> str:
    """Three digits, and those before the point."""
    size = abs(value)
    if size != 0 and size < 0.001:
        return f"{value:.1e}" if size > 1e-6 else f"{value:.0e}"
    decimals = (
        0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.1 or size == 0 else 4 if size < 0.01 else 3
    )
    text = f"{value:.{decimals}f}"
    return "0" if size == 0 else text


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    size = abs(value)
    if value == int(value) and size < _EXACT_BELOW and base == 1000:
        return f"{int(value)}"
    if size < (1024 if base == 1024 else 1000):
        whole = base == 1024 and value == int(value)
        return f"{int(value) if whole else _digits(value)}{names[0]}"
    power = 0
    while size >= 999.5 and power < len(names) - 1:
        size /= base
        power += 1
    if size >= 1000:
        return f"{value:.1e}"
    return f"{'-' if value < 0 else ''}{_digits(size)}{names[power]}"
