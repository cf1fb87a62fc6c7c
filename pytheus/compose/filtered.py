"""A registry that shows only some families of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from pytheus.compose.base import checked_names, refuse_cycle
from pytheus.compose.derived import DerivingLayer
from pytheus.definitions import Definition
from pytheus.interruption import is_interruption
from pytheus.kinds import MetricType
from pytheus.names import occupied_names, prefix_lead, shown
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import definition_of
from pytheus.samples import Family

__all__ = ["FamilyHead", "FilteredRegistry", "filtered"]


class FamilyHead(NamedTuple):
    """The argument of a predicate: a family without its samples.

    >>> FamilyHead("shop_orders_total", "counter", "Orders placed.").name
    'shop_orders_total'
    """

    name: str
    """The name that the filtered registry exposes, including its prefix."""
    type: MetricType
    description: str


def filtered(
    registry: Registry,
    *,
    names: Iterable[str] | None = None,
    predicate: Callable[[FamilyHead], bool] | None = None,
) -> FilteredRegistry:
    """Return a registry with the families of `registry` that are in `names` and that `predicate` accepts.

        >>> from pytheus import Counter, Gauge, generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> shop = CollectorRegistry(prefix="shop")
        >>> orders = Counter("orders_total", "Orders placed.", registry=shop)
        >>> carts = Gauge("carts", "Carts that are open.", registry=shop)
        >>> print(generate_metrics(filtered(shop, names=["shop_carts"])), end="")
        # HELP shop_carts Carts that are open.
        # TYPE shop_carts gauge
        shop_carts 0.0
        >>> [c.name for c in filtered(shop, predicate=lambda family: family.type == "counter").collect()]
        ['orders_total']

    `names` are those that `registry` exposes, including its prefix; a name that a family produces, such as
    ``h_bucket``, selects the whole family, and a name as it is escaped, ``http_requests``, that of ``http.requests``.
    `predicate` is called in each scrape, from any thread. If it raises for a
    family, that collector is left out of the scrape, as any collector that raises. Each of the two selects all families
    if it is not given.

    Registration is not restricted: a collector that is filtered out is registered, and does not show. Raises
    `InvalidNameError` for a name that no family can have, and for a plain str instead of several names.
    """
    return FilteredRegistry(registry, names=names, predicate=predicate)


class FilteredRegistry(DerivingLayer):
    """The result of `filtered`. May be used from any thread; hidden collectors can be registered and unregistered."""

    __slots__ = ("_names", "_predicate")

    def __init__(
        self,
        registry: Registry,
        *,
        names: Iterable[str] | None = None,
        predicate: Callable[[FamilyHead], bool] | None = None,
    ) -> None:
        super().__init__(registry, "filtered(...)")
        self._names: Final = None if names is None else checked_names(names, "filtered(...)")
        if predicate is not None and not callable(predicate):
            raise TypeError(f"filtered(...) takes a callable as predicate but got {shown(predicate)}")
        self._predicate: Final = predicate

    def collect(self) -> Iterator[Collector]:
        """Return the selected collectors. Families that are known only in a scrape are filtered during the scrape."""
        refuse_cycle(self)
        selection = _Selection(self._names, self._predicate, prefix_lead(self._registry.prefix))
        chosen: list[tuple[Collector, _Selection | None]] = []
        for collector in self._registry.collect():
            definition = definition_of(collector)
            if definition is None:
                chosen.append((collector, selection))
                continue
            try:
                if selection.takes(definition):
                    chosen.append((collector, None))
            except BaseException as error:
                if is_interruption(error):
                    raise
                # The predicate is called again in the scrape, where its error affects only this collector.
                chosen.append((collector, selection))
        return iter(self._derived.derive(chosen))

    def __repr__(self) -> str:
        names = "" if self._names is None else f" to {', '.join(sorted(self._names)) or 'nothing'}"
        predicate = "" if self._predicate is None else f" by {self._predicate!r}"
        return f"<filtered{names}{predicate} {self._registry!r}>"


class _Selection(NamedTuple):
    names: frozenset[str] | None
    predicate: Callable[[FamilyHead], bool] | None
    lead: str

    def takes(self, family: Family | Definition) -> bool:
        name = self.lead + family.name
        if self.names is not None and self.names.isdisjoint(occupied_names(name, family.type)):
            return False
        return self.predicate is None or bool(self.predicate(FamilyHead(name, family.type, family.description)))

    def name(self, name: str) -> str:
        return name

    def definition(self, definition: Definition) -> Definition:
        return definition

    def family(self, family: Family) -> Family | None:
        return family if self.takes(family) else None
