"""Finds mistakes in metrics' names and labels before the program runs: a plugin for mypy.

Named in mypy's configuration, ``plugins = ["pytheus.mypy_plugin"]``, it is loaded by mypy and by nothing else; what it
reports stands in docs/how-to/check-labels.md. Rules:

- What it says is what would be raised: names are judged by `pytheus.names`, labels by the `SeriesSet` that binds them
  at run time, in the same words.
- What it cannot see through stays unreported: label names that are computed, ``**labels``, `Any`.
- What it knows of a metric is kept with the metric's type where mypy keeps such things (`Known`), so that it goes with
  variables and attributes through modules, mypy's cache and its daemon, and makes no type incompatible with another.
- It is believed only of an expression that cannot hold another metric (`Places`): a name or attribute that is bound
  once, to a metric or to what its `labels()` gave.

To be read by mypy itself it imports mypy, on which pytheus does not depend.
"""

from __future__ import annotations

from collections.abc import Callable

try:
    from mypy.plugin import AttributeContext, FunctionContext, MethodContext, Plugin
    from mypy.types import Type
except ImportError as _error:
    raise ImportError(
        "pytheus.mypy_plugin is for mypy to load, and mypy cannot be imported here; install mypy 2.4 or later"
    ) from _error

from pytheus.mypy_plugin.definitions import METRIC_TYPES, Definitions
from pytheus.mypy_plugin.places import Places
from pytheus.mypy_plugin.uses import READS, WRITES, Uses

# mypy writes it into its cache, and does not use one that another version of the plugin has written.
from pytheus.version import __version__ as __version__

__all__ = ["plugin"]

_OLDEST = (2, 4)


class _LabelPlugin(Plugin):
    _places = Places()
    _definitions = Definitions(_places)
    _uses = Uses(_places)

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        if fullname in METRIC_TYPES:
            return self._definitions.check
        if fullname.startswith(("builtins.", "typing.")):
            return None
        found = self.lookup_fully_qualified(fullname)
        return None if found is None else self._definitions.check_subclass(found.node)

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        method = fullname.rpartition(".")[2]
        if method == "labels":
            return self._uses.bind
        if method == "remove":
            return self._uses.remove
        if method == "__call__":
            return self._uses.call
        return self._uses.write if method in WRITES else None

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        return self._uses.read if fullname.rpartition(".")[2] in READS else None


def plugin(version: str) -> type[Plugin]:
    """What mypy asks a plugin's module for; raises `ImportError` for a mypy that is too old."""
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        raise ImportError(f"pytheus.mypy_plugin needs mypy 2.4 or later, but this is mypy {version}; upgrade mypy")
    return _LabelPlugin
