"""The families of one scrape, for formats that are not encoders of this package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily, checked_families
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.walk import scrape
from pytheus.registry.capabilities import HasDefinition
from pytheus.registry.contract import Collector, Registry

__all__ = ["scrape_families"]

_ALL: Final = RenderRequest()


def scrape_families(registry: Registry, request: RenderRequest = _ALL, *, strict: bool = False) -> list[CheckedFamily]:
    """Return the families that a scrape of `registry` exposes, with the registry's prefix, in the order of a scrape.

    A format needs only to encode them: no name is exposed twice, and each collector that fails is left out, logged, and
    counted in the last family. `request` selects and escapes names; by default all are selected. `strict` and the
    errors are those of `generate_metrics`. May be called from any thread, by several at once.

        >>> from pytheus import Summary
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry(prefix="shop")
        >>> Summary("basket_items", "Items in a basket.", registry=registry).observe(3)
        >>> for family in scrape_families(registry):
        ...     for sample in family.samples:
        ...         print(family.type, family.sample_name(sample), sample.value)
        summary shop_basket_items_sum 3.0
        summary shop_basket_items_count 1.0
    """
    return scrape(registry, _FamilyEncoder(request), request, strict=strict)


class _FamilyEncoder:
    """Returns each family as it is."""

    __slots__ = ("_request",)

    def __init__(self, request: RenderRequest) -> None:
        self._request: Final = request

    def supports(self, collector: Collector, /) -> bool:
        # As the text format does, so that the same collector has a name that two claim.
        return callable(getattr(collector, "text_parts", None))

    def encode_collector(
        self, collector: HasDefinition, definition: Definition, lead: str, /
    ) -> Iterable[CheckedFamily]:
        return checked_families(cast(Collector, collector), lead, self._request.escaping)

    def encode_family(self, family: CheckedFamily, /) -> CheckedFamily:
        return family

    def encode_end(self) -> tuple[CheckedFamily, ...]:
        return ()
