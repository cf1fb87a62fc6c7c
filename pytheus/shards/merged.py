"""A family that is merged of several processes' shards."""

from __future__ import annotations

from collections.abc import Iterable

from pytheus.definitions import Definition
from pytheus.samples import Family

__all__ = ["MergedFamily"]


class MergedFamily:
    """One family as all processes together had it at the moment of the scrape: a collector of one family."""

    __slots__ = ("definition",)

    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    @property
    def name(self) -> str:
        """The family's name, without prefix."""
        return self.definition.name

    def collect(self) -> Iterable[Family]:
        """The family."""
        raise NotImplementedError

    def text_parts(self, prefix: str, /) -> list[str]:
        """The whole family in the text format; see `pytheus.registry.Rendered`."""
        raise NotImplementedError
