"""What a metric was defined as, and where: the part of it that never changes."""

from __future__ import annotations

import sys

from pytheus.kinds import MetricType
from pytheus.names import occupied_names

__all__ = ["Definition", "caller_location"]


class Definition:
    """A metric's name, type, description, label names and shape, with the place in the code that made it.

    Two handles that share their values share one `Definition` object, so that a registry can tell "the same metric"
    (the same object) from "an equal one" (`matches`) and from one that conflicts. `bounds` are a histogram's upper
    bounds, `states` a stateset's states, `mode` how several processes' gauges become one. `location` is "file:line".
    Immutable by convention; safe to read from any thread.
    """

    __slots__ = ("bounds", "description", "labels", "mode", "name", "occupied_names", "location", "states", "type")

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
    ) -> None:
        self.name: str = name
        self.type: MetricType = type
        self.description: str = description
        self.labels: tuple[str, ...] = labels
        self.bounds: tuple[float, ...] = bounds
        self.states: tuple[str, ...] = states
        self.mode: str = mode
        self.location: str = location
        self.occupied_names: tuple[str, ...] = occupied_names(name, type)

    def matches(self, other: Definition) -> bool:
        """Whether both describe the same metric: name, type, labels and shape. Descriptions may differ."""
        return (
            self.name == other.name
            and self.type == other.type
            and self.labels == other.labels
            and self.bounds == other.bounds
            and self.states == other.states
            and self.mode == other.mode
        )

    def __str__(self) -> str:
        text = f"{self.type} {self.name!r}"
        if self.labels:
            text += f" with labels {self.labels!r}"
        if self.bounds:
            text += f" with buckets {self.bounds!r}"
        if self.states:
            text += f" with states {self.states!r}"
        if self.mode:
            text += f" in mode {self.mode!r}"
        if self.location:
            text += f" (defined at {self.location})"
        return text

    def __repr__(self) -> str:
        return f"<Definition of {self}>"


def caller_location() -> str:
    """ "file:line" of the nearest caller outside of this package, or "" where the interpreter keeps no frames."""
    try:
        frame = sys._getframe(1)
    except (AttributeError, ValueError):
        return ""
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if module != "pytheus" and not module.startswith("pytheus."):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
