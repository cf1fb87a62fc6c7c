"""Formats beside the text format: what one is, and who offers some.

A registry, or a layer before one, may offer formats. Those of all registries that a scrape reaches are to choose from,
the outermost first; `pytheus.exposition.negotiation` chooses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pytheus.registry.contract import Registry
from pytheus.registry.traversal import walk

__all__ = ["ExpositionFormat", "OffersFormats", "formats_of"]


@runtime_checkable
class ExpositionFormat(Protocol):
    """A way to write any registry's metrics as bytes.

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
        """What clients ask for in ``Accept``, and get as ``Content-Type``, with its parameters. Never changes."""
        ...

    def render(self, registry: Registry, /) -> Iterable[bytes]:
        """The whole exposition of `registry`, in order, in parts of any size.

        Asks the registry for nothing but the protocol, with fallbacks for the rest, and leaves out what fails. Called
        from any thread, by several at once, once for each scrape. May block, which delays the scrape. If it raises, the
        client gets a 500 and the log the error; other formats are served as before.
        """
        ...


@runtime_checkable
class OffersFormats(Protocol):
    """A registry, or a layer, that brings formats along for itself and what stands above it.

    Fallback: the text format, which is there always.
    """

    @property
    def exposition_formats(self) -> tuple[ExpositionFormat, ...]:
        """The formats, the one to prefer first. Read at each scrape; does not block."""
        ...


def formats_of(registry: Registry) -> list[ExpositionFormat]:
    """The formats that a scrape of `registry` can be answered in, beside the text format; resolves proxies."""
    formats: list[ExpositionFormat] = []
    for current in walk(registry, resolve=True):
        if isinstance(current, OffersFormats):
            formats += current.exposition_formats
    return formats
