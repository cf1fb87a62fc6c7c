"""Registries made of registries: several as one, a part of one, one under a prefix or with labels, one to read only.

Each function takes and gives any `pytheus.registry.Registry`, and the results nest:

    >>> from pytheus import Counter, generate_metrics
    >>> from pytheus.registry import CollectorRegistry
    >>> orders, stock = CollectorRegistry(), CollectorRegistry()
    >>> everything = labelled(union(prefixed(orders, "orders"), prefixed(stock, "stock")), region="eu")
    >>> Counter("placed_total", "Placed.", registry=orders).inc()
    >>> Counter("moved_total", "Moved.", registry=stock).inc(2)
    >>> print(generate_metrics(everything), end="")
    # HELP orders_placed_total Placed.
    # TYPE orders_placed_total counter
    orders_placed_total{region="eu"} 1.0
    # HELP stock_moved_total Moved.
    # TYPE stock_moved_total counter
    stock_moved_total{region="eu"} 2.0

A layer holds no collectors: what is registered through it is held below, what is registered below shows through it at
the next scrape, and `unregister` takes the collector that was registered, through however many layers.
"""

from pytheus.compose.filtered import FamilyHead, FilteredRegistry, filtered
from pytheus.compose.labelled import LabelledRegistry, labelled
from pytheus.compose.limited import LimitedRegistry, limited
from pytheus.compose.prefixed import PrefixedRegistry, prefixed
from pytheus.compose.read_only import ReadOnlyError, ReadOnlyRegistry, read_only
from pytheus.compose.union import UnionRegistry, union
from pytheus.registry.capabilities import Wrapper

__all__ = [
    "FamilyHead",
    "FilteredRegistry",
    "LabelledRegistry",
    "Wrapper",
    "LimitedRegistry",
    "PrefixedRegistry",
    "ReadOnlyError",
    "ReadOnlyRegistry",
    "UnionRegistry",
    "filtered",
    "labelled",
    "limited",
    "prefixed",
    "read_only",
    "union",
]
