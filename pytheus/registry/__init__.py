"""Registries: the contract, the registry in memory, and the proxy `REGISTRY`.

- `contract`: the protocols `Registry` and `Collector`, and the check that an object is a registry
- `capabilities`: the optional protocols of registries and collectors
- `storage`: the protocols of memory that a registry provides for a metric's numbers
- `origin`: the choice that made a registry
- `processes`: the protocol of a registry that shows several processes
- `traversal`: the registries below a registry, and the definition and families of a collector
- `collector_registry`: the registry that keeps its collectors in this process
- `null`: the registry that keeps no collectors
- `lookup`: finding the collector that occupies a name, and registering a metric that may exist already
- `migration`: moving collectors from one registry to another
- `proxy`: `REGISTRY`, behind which the registry can be chosen by name and changed
"""

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names
from pytheus.registry.capabilities import (
    Closable,
    EndedSeriesExpirable,
    HasDefinition,
    HasPlainText,
    HasPrecedence,
    HasRows,
    HasSeriesLabels,
    HoldsCollectors,
    Lookup,
    SeriesExpirable,
    SeriesLimit,
    SeriesLimitable,
    SeriesRetirement,
    StorageAware,
    TextRenderer,
    Wrapper,
)
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, check_registry
from pytheus.registry.null import NullRegistry
from pytheus.registry.proxy import REGISTRY, CollectorRegistryProxy
from pytheus.registry.storage import FloatBuffer, NumberStorage, RetiresSeries, SparseStorage
from pytheus.registry.traversal import definition_of, originals, report_failed_series, walk

if TYPE_CHECKING:
    from pytheus.registry.processes import HasProcesses, ProcessInfo

__all__ = [
    "REGISTRY",
    "Closable",
    "Collector",
    "CollectorRegistry",
    "CollectorRegistryProxy",
    "HasDefinition",
    "HasPlainText",
    "HasPrecedence",
    "HasProcesses",
    "HasRows",
    "HasSeriesLabels",
    "ProcessInfo",
    "HoldsCollectors",
    "FloatBuffer",
    "Wrapper",
    "EndedSeriesExpirable",
    "RetiresSeries",
    "SeriesExpirable",
    "SeriesLimitable",
    "Lookup",
    "NumberStorage",
    "NullRegistry",
    "SparseStorage",
    "StorageAware",
    "Registry",
    "TextRenderer",
    "SeriesLimit",
    "SeriesRetirement",
    "check_registry",
    "definition_of",
    "originals",
    "report_failed_series",
    "walk",
]


if not TYPE_CHECKING:  # because a checker would assume that the package has every name
    __getattr__, __dir__ = lazy_names(__name__, {"pytheus.registry.processes": ["HasProcesses", "ProcessInfo"]})
