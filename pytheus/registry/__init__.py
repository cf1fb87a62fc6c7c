"""The registry: the contract, the one in memory, the one that keeps nothing, and the proxy behind `REGISTRY`."""

from pytheus.registry.capabilities import (
    Closable,
    HasDefinition,
    HasRows,
    Lookup,
    SeriesLimit,
    SeriesLimitable,
    StorageAware,
    TextRenderer,
    Wrapper,
)
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, check_registry
from pytheus.registry.null import NullRegistry
from pytheus.registry.proxy import REGISTRY, CollectorRegistryProxy
from pytheus.registry.storage import FloatBuffer, NumberStorage

__all__ = [
    "REGISTRY",
    "Closable",
    "Collector",
    "CollectorRegistry",
    "CollectorRegistryProxy",
    "HasDefinition",
    "HasRows",
    "FloatBuffer",
    "Wrapper",
    "SeriesLimitable",
    "Lookup",
    "NumberStorage",
    "NullRegistry",
    "StorageAware",
    "Registry",
    "TextRenderer",
    "SeriesLimit",
    "check_registry",
]
