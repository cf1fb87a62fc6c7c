"""The table of mutants, a module for each part of the package that they are put into."""

from mutation.mutant import Mutant
from mutation.mutants import collector_registry, compose, layers, lookup, migration, proxy

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    *collector_registry.MUTANTS,
    *lookup.MUTANTS,
    *proxy.MUTANTS,
    *migration.MUTANTS,
    *layers.MUTANTS,
    *compose.MUTANTS,
)
