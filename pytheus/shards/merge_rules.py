"""The merge rules: by a metric's type, and by a gauge's mode.

| type or mode | live processes | processes that have ended |
| --- | --- | --- |
| counter, histogram, summary | sum | count as well |
| gauge "sum", "min", "max", "last", "each" | sum, least, greatest, latest, one series each | do not count |
| gauge "... of all" | as above | count as well |
| stateset | a state is set if any process has set it | do not count |
| info | each different set of labels once | do not count |
"""

from __future__ import annotations

from pytheus.definitions import Definition
from pytheus.kinds import GAUGE_RULES, INCLUDES_DEAD, KINDS, MergeRule

__all__ = ["DefinitionKey", "definition_key", "includes_dead", "merge_rule_of", "series_size"]


def merge_rule_of(definition: Definition) -> MergeRule:
    """The rule that merges a metric's numbers; an unknown mode means "sum"."""
    if definition.type == "gauge":
        return GAUGE_RULES.get(definition.mode.removesuffix(INCLUDES_DEAD), MergeRule.SUM)
    return KINDS[definition.type].merge_rule


def includes_dead(definition: Definition) -> bool:
    """Whether the numbers of processes that have ended still count."""
    return KINDS[definition.type].includes_dead or definition.mode.endswith(INCLUDES_DEAD)


def series_size(definition: Definition) -> int:
    """How many doubles a series of this metric has in a shard.

        >>> series_size(Definition("latency_seconds", "histogram", "Latency.", bounds=(0.1, 1.0)))
        4

    They are the numbers of a `pytheus.samples.Row`; a gauge in a mode of "last" has one more, the time of its last set.
    """
    size = KINDS[definition.type].base_numbers + len(definition.bounds) + len(definition.states)
    return size + 1 if merge_rule_of(definition) is MergeRule.LAST else size


DefinitionKey = tuple[str, str, tuple[str, ...], tuple[float, ...], tuple[str, ...], str]


def definition_key(definition: Definition) -> DefinitionKey:
    """A key that two definitions share exactly if one `matches` the other."""
    return (
        definition.name,
        definition.type,
        definition.labels,
        definition.bounds,
        definition.states,
        definition.mode,
    )
