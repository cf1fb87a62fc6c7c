"""Exposition formats besides the text format, which registries can offer.

A scrape can use the formats of all registries that it reaches, the outermost first; `pytheus.exposition.negotiation`
chooses one. That module is separate because it compiles regular expressions, which most programs never need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pytheus.registry.contract import Registry
from pytheus.registry.traversal import walk

__all__ = ["ExpositionFormat", "OffersFormats", "formats_of"]


@runtime_checkable
class ExpositionFormat(Protocol):
    """A format that encodes the metrics of any registry as bytes.

    >>> class Names:
    ...     media_type = "text/x-names; charset=utf-8"
    ...
    ...     def render(self, registry):
    ...         for collector in registry.collect():
    ...             yield f"{collector.name}\\\\n".encode()
    >>> isinstance(Names(), ExpositionFormat)
    True
    """

    @property
    def media_type(self) -> str:
        """The media type with parameters, for ``Accept`` and ``Content-Type``.

        Never changes.
        """
        ...

    def render(self, registry: Registry, /) -> Iterable[bytes]:
        """Return the whole exposition of `registry`, in parts of any size, in order.

        Uses only the protocol of the registry, with fallbacks for optional capabilities, and omits collectors that
        fail. Called once per scrape, from any thread, by several at once. May block, which delays the scrape. May
        raise: the client gets status 500, and the error is logged.
        """
        ...


@runtime_checkable
class OffersFormats(Protocol):
    """A registry or wrapper that offers formats for itself and those above it.

    Fallback: the text format, which is always available.

        >>> class Offering:
        ...     exposition_formats = ()
        >>> isinstance(Offering(), OffersFormats)
        True
    """

    @property
    def exposition_formats(self) -> tuple[ExpositionFormat, ...]:
        """The formats, the preferred one first. Read at each scrape; does not block."""
        ...


def formats_of(registry: Registry) -> list[ExpositionFormat]:
    """Return the formats besides the text format for a scrape of `registry`.

    Resolves proxies.
    """
    formats: list[ExpositionFormat] = []
    for current in walk(registry, resolve=True):
        if isinstance(current, OffersFormats):
            formats += current.exposition_formats
    return formats
