"""What a merger keeps from scrape to scrape: families and their series, and where their numbers are gathered."""

from __future__ import annotations

from math import nan
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.names import base_name
from pytheus.shards.combining import includes_dead, merge_rule_of, series_size
from pytheus.textformat import format_number, header

__all__ = ["NO_LANE", "FamilyState", "SeriesState", "lane_of"]

NO_LANE: Final = -1
"""The lane of families whose numbers are not gathered in one."""


def lane_of(definition: Definition) -> int:
    """Which lane the numbers of this metric are gathered in: one for each way, and whether the gone count."""
    way = merge_rule_of(definition)
    if way is MergeRule.EACH or way is MergeRule.INFO:
        return NO_LANE
    return 2 * way + (1 if includes_dead(definition) else 0)


class SeriesState:
    """One series of all processes together."""

    __slots__ = ("block", "cell", "labels", "line", "presence")

    def __init__(self, labels: tuple[str, ...], cell: int) -> None:
        self.labels: tuple[str, ...] = labels
        self.cell: int = cell
        """Where its numbers begin in its family's lane."""
        self.presence: int = 0
        """How many shards have it."""
        # Each one object, so that numbers and their text belong together, whoever else is rendering.
        self.line: tuple[float, str] = (nan, "")
        """Of a series that is one number: that number when it was last shown, and its line without the name."""
        self.block: tuple[str, list[float], str] | None = None
        """Of a series of several lines: the name that stands in them, the numbers, and the lines."""


class FamilyState:
    """One family of all processes together."""

    __slots__ = ("_head", "bounds", "definition", "in_blocks", "lane", "listed", "series", "size", "way")

    def __init__(self, definition: Definition) -> None:
        self.definition: Definition = definition
        """The one to expose, of several alike."""
        self.way: MergeRule = merge_rule_of(definition)
        self.size: int = series_size(definition)
        self.lane: int = lane_of(definition)
        self.in_blocks: bool = definition.type in ("histogram", "summary", "stateset")
        """Whether a series is several lines."""
        self.bounds: list[str] = [f'"{format_number(bound)}"}} ' for bound in (*definition.bounds, float("inf"))]
        """What stands between ``le=`` and the number in the lines of a histogram."""
        self.series: dict[tuple[str, ...], SeriesState] = {}
        self.listed: list[SeriesState] | None = None
        """`series` as a list, which is replaced and never changed; None where it is to be made again."""
        self._head: tuple[str, Definition, str, str] | None = None

    def listing(self) -> list[SeriesState]:
        """All series, in a list that does not change any more."""
        listed = self.listed
        if listed is None:
            listed = self.listed = list(self.series.values())
        return listed

    def head(self, definition: Definition, prefix: str) -> tuple[str, str]:
        """What the family is exposed as with that prefix, and the lines before its samples."""
        head = self._head
        if head is None or head[0] != prefix or head[1] is not definition:
            kind = definition.type
            name = prefix + (base_name(definition.name, kind) + "_info" if kind == "info" else definition.name)
            head = self._head = (prefix, definition, name, header(name, kind, definition.description))
        return head[2], head[3]
