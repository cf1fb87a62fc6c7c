"""What a merger keeps from scrape to scrape: families and their series, and where their numbers are gathered."""

from __future__ import annotations

from typing import Final

from pytheus.definitions import Definition
from pytheus.shards.combining import Way, counts_the_gone, size_of, way_of
from pytheus.textformat import format_number, header

__all__ = ["NO_LANE", "FamilyState", "SeriesState", "lane_of"]

NO_LANE: Final = -1
"""The lane of families whose numbers are not gathered in one."""


def lane_of(definition: Definition) -> int:
    """Which lane the numbers of this metric are gathered in: one for each way, and whether the gone count."""
    way = way_of(definition)
    if way is Way.EACH or way is Way.FACTS:
        return NO_LANE
    return 2 * way + (1 if counts_the_gone(definition) else 0)


class SeriesState:
    """One series of all processes together."""

    __slots__ = ("cell", "labels", "presence", "rendered")

    def __init__(self, labels: tuple[str, ...], cell: int) -> None:
        self.labels = labels
        self.cell = cell
        """Where its numbers begin in its family's lane."""
        self.presence = 0
        """How many shards have it."""
        # One object, so that what is shown and its text belong together, whoever else is rendering: the name that it
        # was made for, if that stands in it; the numbers; the text.
        self.rendered: tuple[str, list[float], str] | None = None


class FamilyState:
    """One family of all processes together."""

    __slots__ = ("_head", "bounds", "definition", "lane", "listed", "series", "size", "way")

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        """The one to expose, of several alike."""
        self.way: Way = way_of(definition)
        self.size: int = size_of(definition)
        self.lane: int = lane_of(definition)
        self.bounds: list[str] = [f'"{format_number(bound)}"}} ' for bound in (*definition.bounds, float("inf"))]
        """What stands between ``le=`` and the number in the lines of a histogram."""
        self.series: dict[tuple[str, ...], SeriesState] = {}
        self.listed: list[SeriesState] | None = None
        """`series` as a list, which is replaced and never changed; None where it is to be made again."""
        self._head: tuple[str, Definition, str] | None = None

    def listing(self) -> list[SeriesState]:
        """All series, in a list that does not change any more."""
        listed = self.listed
        if listed is None:
            listed = self.listed = list(self.series.values())
        return listed

    def head(self, name: str) -> str:
        """The lines before the family's samples, where `name` is what it is exposed as."""
        head = self._head
        definition = self.definition
        if head is None or head[0] != name or head[1] is not definition:
            head = self._head = (name, definition, header(name, definition.type, definition.description))
        return head[2]
