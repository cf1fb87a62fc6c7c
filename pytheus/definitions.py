"""The definition of a metric, which never changes, and its location in the code."""

from __future__ import annotations

import sys
from typing import Final

from pytheus.escaping import is_legacy_label, is_legacy_name
from pytheus.kinds import MetricType
from pytheus.names import occupied_names
from pytheus.native_buckets import NativeBuckets
from pytheus.settings import NameRules

__all__ = ["NOT_CALLERS", "Definition", "caller_location"]

NOT_CALLERS: Final[set[str]] = {"pytheus"}
"""The top-level packages that `caller_location` passes over.

A library that defines metrics of pytheus for its own callers adds its name, so that errors tell of their lines.
"""


class Definition:
    """The name, type, description, labels, shape and location of a metric.

    `labels` are the label names in order. `bounds` are the upper bounds of a histogram's buckets, inclusive, in rising
    order, without +Inf. `states` are the states of a stateset. `mode` tells how gauges of several processes are merged
    ("" for the sum of live processes). `unit` is "" or the end of the name. `native` are the options of a histogram
    with native buckets, or None. `location` is "file:line", or "" if unknown. `name_rules` is "utf8" if one of the
    names, or of an info's facts, may be another than a legacy name. `occupied_names` are all names that the metric
    produces in some exposition format.

    Metrics that share their values share one `Definition` object, so a registry distinguishes the same metric (the same
    object), an equal one (`matches`) and a conflicting one. Immutable by convention; may be read from any thread.

        >>> print(Definition("jobs_total", "counter", "Jobs done.", ("queue",), location="app.py:3"))
        counter 'jobs_total' with labels ('queue',) (defined at app.py:3)
    """

    __slots__ = (
        "bounds",
        "description",
        "labels",
        "mode",
        "name",
        "name_rules",
        "native",
        "occupied_names",
        "location",
        "states",
        "type",
        "unit",
    )

    def __init__(
        self,
        name: str,
        type: MetricType,
        description: str,
        labels: tuple[str, ...] = (),
        *,
        bounds: tuple[float, ...] = (),
        states: tuple[str, ...] = (),
        mode: str = "",
        location: str = "",
        unit: str = "",
        native: NativeBuckets | None = None,
        names: NameRules | None = None,
    ) -> None:
        self.name: str = name
        self.type: MetricType = type
        self.description: str = description
        self.labels: tuple[str, ...] = labels
        self.bounds: tuple[float, ...] = bounds
        self.states: tuple[str, ...] = states
        self.mode: str = mode
        self.location: str = location
        self.unit: str = unit
        self.native: NativeBuckets | None = native
        is_legacy = is_legacy_name(name) and all(map(is_legacy_label, labels))
        self.name_rules: NameRules = "legacy" if is_legacy and names != "utf8" else "utf8"
        self.occupied_names: tuple[str, ...] = occupied_names(name, type)

    def matches(self, other: Definition) -> bool:
        """Return whether name, type, labels and shape are the same.

        Descriptions and locations may differ.
        """
        return (
            self.name == other.name
            and self.type == other.type
            and self.labels == other.labels
            and self.bounds == other.bounds
            and self.states == other.states
            and self.mode == other.mode
            and self.unit == other.unit
            and self.native == other.native
        )

    def __str__(self) -> str:
        text = f"{self.type} {self.name!r}"
        if self.labels:
            text += f" with labels {self.labels!r}"
        if self.bounds:
            text += f" with buckets {self.bounds!r}"
        if self.states:
            text += f" with states {self.states!r}"
        if self.native is not None:
            text += f" with {self.native}"
        if self.unit:
            text += f" in {self.unit}"
        if self.mode:
            text += f" in mode {self.mode!r}"
        if self.location:
            text += f" (defined at {self.location})"
        return text

    def __repr__(self) -> str:
        return f"<Definition of {self}>"


def caller_location() -> str:
    """Return "file:line" of the nearest caller outside `NOT_CALLERS`, or "" if unknown."""
    try:
        frame = sys._getframe(1)
    except (AttributeError, ValueError):
        return ""
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in NOT_CALLERS:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
