"""Grafana's ids of units, by the units of metrics.

A metric's unit is that of its definition, or else the end of its name, as Prometheus's conventions place it.
https://prometheus.io/docs/practices/naming/#base-units
https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
"""

from __future__ import annotations

import re
from typing import Final

from pytheus.dashboard.families import FamilyInfo

__all__ = [
    "OTHER_RATE",
    "RATIO",
    "REQUEST_RATE",
    "SECONDS",
    "counts_events",
    "is_timestamp",
    "rate_unit",
    "unit_id",
    "unit_of",
]

SECONDS: Final = "s"
RATIO: Final = "percentunit"
REQUEST_RATE: Final = "reqps"
OTHER_RATE: Final = "cps"

_IDS: Final[dict[str, str]] = {
    "seconds": SECONDS,
    "milliseconds": "ms",
    "microseconds": "µs",
    "nanoseconds": "ns",
    "minutes": "m",
    "hours": "h",
    "days": "d",
    "bytes": "bytes",
    "bits": "bits",
    "ratio": RATIO,
    "ratios": RATIO,
    "percent": "percent",
    "celsius": "celsius",
    "fahrenheit": "fahrenheit",
    "kelvin": "kelvin",
    "volts": "volt",
    "amperes": "amp",
    "watts": "watt",
    "joules": "joule",
    "hertz": "hertz",
    "meters": "lengthm",
    "grams": "massg",
}

# A second of time per second is a share of time, as a joule per second is a watt.
_RATES: Final[dict[str, str]] = {
    "seconds": RATIO,
    "bytes": "binBps",
    "bits": "bps",
    "joules": "watt",
    "packets": "pps",
    "requests": REQUEST_RATE,
}

_OTHER: Final = "short"

_SUFFIX: Final = re.compile(r"(?:_total|_info)$")
_TIMESTAMP: Final = re.compile(r"(?:timestamp|(?:start|created|last|updated|modified|expiry|boot)_time)_seconds$")


def unit_of(family: FamilyInfo) -> str:
    """Return the unit of `family` as OpenMetrics writes it, or "" if it is not known.

    >>> unit_of(FamilyInfo("cpu_seconds_total", "counter", ""))
    'seconds'
    """
    if family.unit:
        return family.unit
    last = re.split(r"[_.:]", _SUFFIX.sub("", family.name))[-1]
    return last if last in _IDS or last in _RATES else ""


def unit_id(family: FamilyInfo) -> str:
    """Return Grafana's id for the values of `family`.

    >>> unit_id(FamilyInfo("size_bytes", "histogram", ""))
    'bytes'
    """
    return _IDS.get(unit_of(family), _OTHER)


def rate_unit(family: FamilyInfo) -> str:
    """Return Grafana's id for the increase per second of `family`, a counter.

    >>> rate_unit(FamilyInfo("sent_bytes_total", "counter", ""))
    'binBps'
    """
    return _RATES.get(unit_of(family), OTHER_RATE)


def counts_events(counter: FamilyInfo) -> bool:
    """Return whether `counter` adds up events or things, and not an amount such as bytes or seconds.

    >>> counts_events(FamilyInfo("sent_bytes_total", "counter", ""))
    False
    """
    return unit_of(counter) not in _IDS


def is_timestamp(family: FamilyInfo) -> bool:
    """Return whether the value is a time in seconds since the Unix epoch, by the convention of names.

    >>> is_timestamp(FamilyInfo("process_start_time_seconds", "gauge", ""))
    True
    """
    return _TIMESTAMP.search(family.name) is not None
