"""Layers, which are registries that wrap registries.

- `union`: several registries as one
- `filtered`: the families of a registry that names or a predicate select
- `prefixed`: a registry under one more prefix
- `labelled`: a registry with constant labels
- `expiring`: a registry whose metrics drop the series that are not written any more
- `limited`: a registry whose metrics have a limited number of series
- `read_only`: a registry that can be scraped and not changed
- `base`: the base classes of layers, and the check against cycles
- `derived`: the collectors that a layer shows in place of those that it changes

Each function takes and returns any `pytheus.registry.Registry`, and the results nest:

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

A layer holds no collectors: `register` passes a collector on to the registry below, a collector registered below shows
through the layer in the next scrape, and `unregister` takes the collector that was registered, through any number of
layers.
"""

from pytheus.compose.base import Layer
from pytheus.compose.expiring import ExpiringRegistry, expiring
from pytheus.compose.filtered import FamilyHead, FilteredRegistry, filtered
from pytheus.compose.labelled import LabelledRegistry, labelled
from pytheus.compose.limited import LimitedRegistry, limited
from pytheus.compose.prefixed import PrefixedRegistry, prefixed
from pytheus.compose.read_only import ReadOnlyError, ReadOnlyRegistry, read_only
from pytheus.compose.union import UnionRegistry, union
from pytheus.registry.capabilities import Wrapper

__all__ = [
    "ExpiringRegistry",
    "FamilyHead",
    "FilteredRegistry",
    "LabelledRegistry",
    "Layer",
    "Wrapper",
    "LimitedRegistry",
    "PrefixedRegistry",
    "ReadOnlyError",
    "ReadOnlyRegistry",
    "UnionRegistry",
    "expiring",
    "filtered",
    "labelled",
    "limited",
    "prefixed",
    "read_only",
    "union",
]
