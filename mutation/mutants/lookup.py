"""Defects of the search for the collector that has a name."""

from __future__ import annotations

from mutation.mutant import Mutant
from mutation.suites import LOOKUP

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "find-is-believed",
        "registry/lookup.py",
        "Whatever a method called find gives is taken.",
        """
        if _occupies(found, name) or (layers_of(registry) and isinstance(found, Collector)):
            return found
        """,
        "return found  # type: ignore[return-value]",
        LOOKUP,
    ),
    Mutant(
        "find-may-raise",
        "registry/lookup.py",
        "A method called find that is meant for something else breaks every definition.",
        """
        except Exception:
            pass  # a registry that is out of order says so again when it is searched
        """,
        """
        except ZeroDivisionError:
            pass
        """,
        LOOKUP,
    ),
    Mutant(
        "none-is-not-believed",
        "registry/lookup.py",
        "Each new name costs a search of all that is held.",
        """
        if found is None:
            return None
        """,
        "",
        LOOKUP,
    ),
    Mutant(
        "layers-are-not-believed",
        "registry/lookup.py",
        "What has another name below a layer is not found through it.",
        "if _occupies(found, name) or (layers_of(registry) and isinstance(found, Collector)):",
        "if _occupies(found, name):",
        LOOKUP,
    ),
    Mutant(
        "nothing-is-searched",
        "registry/lookup.py",
        "A registry without find() never finds anything.",
        """
        if _occupies(collector, name):
            return collector
        """,
        """
        if _occupies(collector, name):
            return None
        """,
        LOOKUP,
    ),
    Mutant(
        "search-by-own-name-alone",
        "registry/lookup.py",
        "What a metric produces is not found.",
        "return name in definition.occupied_names and isinstance(candidate, Collector)",
        "return name == definition.name and isinstance(candidate, Collector)",
        LOOKUP,
    ),
    Mutant(
        "first-candidate-is-taken",
        "registry/lookup.py",
        "The search gives what has any definition.",
        "return name in definition.occupied_names and isinstance(candidate, Collector)",
        "return isinstance(candidate, Collector)",
        LOOKUP,
    ),
)
