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

from pytheus.definitions import Definition
from pytheus.kinds import GAUGE_RULES, INCLUDES_DEAD, KINDS, MergeRule

__all__ = ["includes_dead", "shape_of", "series_size", "merge_rule_of"]


def merge_rule_of(definition: Definition) -> MergeRule:
    """How processes' numbers of this metric are brought together. A mode that is not known counts as "sum"."""
    if definition.type == "gauge":
        return GAUGE_RULES.get(definition.mode.removesuffix(INCLUDES_DEAD), MergeRule.SUM)
    return KINDS[definition.type].merge_rule


def includes_dead(definition: Definition) -> bool:
    """Whether processes that are gone still count."""
    return KINDS[definition.type].includes_dead or definition.mode.endswith(INCLUDES_DEAD)


def series_size(definition: Definition) -> int:
    """How many doubles a series of this metric has in a shard.

        >>> series_size(Definition("latency_seconds", "histogram", "Latency.", bounds=(0.1, 1.0)))
        4

    They are those of `pytheus.samples.Row`; a gauge in a mode of "last" has a second one, for when it was set.
    """
    size = KINDS[definition.type].base_numbers + len(definition.bounds) + len(definition.states)
    return size + 1 if merge_rule_of(definition) is MergeRule.LAST else size


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
