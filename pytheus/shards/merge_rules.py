"""The merge rules: by a metric's type, and by a gauge's mode.

| type or mode | live processes | processes that have ended |
| --- | --- | --- |
| counter, histogram, summary | sum | count as well |
| gauge "sum", "min", "max", "last", "each" | sum, least, greatest, latest, one series each | do not count |
| gauge "... of all" | as above | count as well |
| stateset | a state is set if any process has set it | do not count |
| info | each different set of labels once | do not count |
| native bucket of a histogram (`bucket_series.py`) | sum | count as well |

All numbers of a series are merged by one rule. Start times are merged by the earliest, of ended processes as well.
"""

from __future__ import annotations

from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import GAUGE_RULES, INCLUDES_DEAD, KINDS, MergeRule
from pytheus.shards.bucket_series import BUCKET_MODE

__all__ = [
    "NATIVE_OPTIONS",
    "DefinitionKey",
    "definition_key",
    "has_start_times",
    "includes_dead",
    "merge_rule_of",
    "series_size",
]


def merge_rule_of(definition: Definition) -> MergeRule:
    """The rule that merges a metric's numbers; an unknown mode means "sum"."""
    if definition.type == "gauge":
        return GAUGE_RULES.get(definition.mode.removesuffix(INCLUDES_DEAD), MergeRule.SUM)
    return KINDS[definition.type].merge_rule


def includes_dead(definition: Definition) -> bool:
    """Whether the numbers of processes that have ended still count."""
    return KINDS[definition.type].includes_dead or definition.mode.endswith(INCLUDES_DEAD)


def has_start_times(definition: Definition) -> bool:
    """Whether the start times of a metric's series mean something: its numbers begin at zero and grow."""
    return KINDS[definition.type].includes_dead and definition.mode != BUCKET_MODE


def series_size(definition: Definition) -> int:
    """How many doubles a series of this metric has in a shard.

        >>> series_size(Definition("latency_seconds", "histogram", "Latency.", bounds=(0.1, 1.0)))
        4

    They are the numbers of a `pytheus.samples.Row`; a gauge in a mode of "last" has one more, the time of its last set.
    A native bucket has one.
    """
    if definition.mode == BUCKET_MODE:
        return 1
    size = KINDS[definition.type].base_numbers + len(definition.bounds) + len(definition.states)
    return size + 1 if merge_rule_of(definition) is MergeRule.LAST else size


NATIVE_OPTIONS: Final = ("growth", "max_buckets", "min_reset_seconds", "zero_threshold", "max_zero_threshold")
"""The options of native buckets, in the order in which shards have them."""

DefinitionKey = tuple[str, str, tuple[str, ...], tuple[float, ...], tuple[str, ...], str, str, tuple[float, ...]]


def definition_key(definition: Definition) -> DefinitionKey:
    """A key that two definitions share exactly if one `matches` the other."""
    kind = definition.type
    native = definition.native if kind == "histogram" else None
    return (
        definition.name,
        kind,
        definition.labels,
        definition.bounds,
        definition.states,
        definition.mode,
        definition.unit,
        () if native is None else tuple([getattr(native, name) for name in NATIVE_OPTIONS]),
    )
