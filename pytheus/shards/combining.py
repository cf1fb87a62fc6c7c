"""How the numbers of several processes become one: by a metric's type, and a gauge's mode.

| type or mode | live processes | processes that are gone |
| --- | --- | --- |
| counter, histogram, summary | add up | add up |
| gauge "sum", "min", "max", "last", "each" | add up, least, greatest, latest, one by one | do not count |
| gauge "... of all" | as above | count as well |
| stateset | a state holds if it does in any | do not count |
| info | each different set of facts once | do not count |
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from pytheus.definitions import Definition

__all__ = ["Way", "counts_the_gone", "same_shape", "shape_of", "size_of", "way_of"]


class Way(IntEnum):
    """What is done with the numbers that several processes have of one series."""

    ADD = 0
    LEAST = 1
    GREATEST = 2
    LATEST = 3
    EACH = 4
    FACTS = 5


_OF_ALL: Final = " of all"
_MODES: Final[dict[str, Way]] = {
    "": Way.ADD,
    "sum": Way.ADD,
    "min": Way.LEAST,
    "max": Way.GREATEST,
    "last": Way.LATEST,
    "each": Way.EACH,
}
_SUMS: Final = ("counter", "histogram", "summary")


def way_of(definition: Definition) -> Way:
    """How processes' numbers of this metric are brought together. A mode that is not known counts as "sum"."""
    if definition.type == "gauge":
        return _MODES.get(definition.mode.removesuffix(_OF_ALL), Way.ADD)
    if definition.type == "stateset":
        return Way.GREATEST
    return Way.FACTS if definition.type == "info" else Way.ADD


def counts_the_gone(definition: Definition) -> bool:
    """Whether processes that are gone still count."""
    return definition.type in _SUMS or (definition.type == "gauge" and definition.mode.endswith(_OF_ALL))


def size_of(definition: Definition) -> int:
    """How many doubles a series of this metric has in a shard.

        >>> size_of(Definition("latency_seconds", "histogram", "Latency.", bounds=(0.1, 1.0)))
        4

    They are those of `pytheus.samples.Row`; a gauge in a mode of "last" has a second one, for when it was set.
    """
    type_ = definition.type
    if type_ == "histogram":
        return len(definition.bounds) + 2
    if type_ == "summary":
        return 2
    if type_ == "stateset":
        return len(definition.states)
    if type_ == "info":
        return 0
    return 2 if type_ == "gauge" and way_of(definition) is Way.LATEST else 1


Shape = tuple[str, str, tuple[str, ...], tuple[float, ...], tuple[str, ...], str]


def shape_of(definition: Definition) -> Shape:
    """What two definitions have in common if they `matches` each other; can be a key."""
    return (
        definition.name,
        definition.type,
        definition.labels,
        definition.bounds,
        definition.states,
        definition.mode,
    )


def same_shape(one: Definition, other: Definition) -> bool:
    """Whether both are definitions of the same metric."""
    return one is other or one.matches(other)
