"""The registry: the contract, the one in memory, the one that keeps nothing, and the proxy behind `REGISTRY`."""

from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import check_registry
from pytheus.registry.none import NoneRegistry
from pytheus.registry.protocols import (
    Closable,
    Collector,
    Described,
    Doubles,
    Layered,
    Limitable,
    Lookup,
    Memory,
    Portable,
    Registry,
    Rendered,
    SeriesLimit,
)
from pytheus.registry.proxy import REGISTRY, CollectorRegistryProxy

__all__ = [
    "REGISTRY",
    "Closable",
    "Collector",
    "CollectorRegistry",
    "CollectorRegistryProxy",
    "Described",
    "Doubles",
    "Layered",
    "Limitable",
    "Lookup",
    "Memory",
    "NoneRegistry",
    "Portable",
    "Registry",
    "Rendered",
    "SeriesLimit",
    "check_registry",
]
