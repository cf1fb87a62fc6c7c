"""The target of commands that read metrics: a module, a registry in it, or a scrape.

Rules:

- A module is imported, and its metrics are those of `pytheus.REGISTRY`, with the collectors that ``pytheus run`` adds.
  An object of a module is a registry, or a function or class that returns one.
- A scrape comes from a URL, a file or standard input (`pytheus.cli.exposition_source`), and no code is imported. A file
  that ends with ``.py`` is a module.
"""

from __future__ import annotations

import inspect
import os
from typing import Final

from pytheus.cli.check_target import module_at, object_at
from pytheus.cli.exposition_source import url_of
from pytheus.registry.contract import Registry, check_registry

__all__ = ["METRICS_METAVAR", "is_exposition", "registry_at"]

METRICS_METAVAR: Final = "MODULE[:OBJECT]|URL|FILE|-"
"""How a command shows the argument that names its metrics."""


def is_exposition(target: str) -> bool:
    """Return whether `target` is a URL, a file or standard input, and not a module.

    >>> is_exposition(":9464"), is_exposition("-"), is_exposition("shop.metrics:REGISTRY")
    (True, True, False)
    """
    if url_of(target) is not None or target == "-":
        return True
    return not target.endswith(".py") and (os.path.isfile(target) or (os.sep in target and ":" not in target))


def registry_at(target: str) -> Registry:
    """Return the registry of a module or of an object in it; imports the module.

    Raises `click.BadParameter` if it cannot be imported or does not exist, and `NotARegistryError` for another object.
    """
    if ":" not in target:
        from pytheus.collectors import register_runtime_collectors
        from pytheus.registry import REGISTRY

        module_at(target)
        register_runtime_collectors()
        return REGISTRY
    found = object_at(target)
    if isinstance(found, type) or inspect.isroutine(found):
        found = found()
    return check_registry(found, f"{target!r}")
