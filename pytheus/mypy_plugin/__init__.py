"""Finds mistakes in metrics' names and labels before the program runs: a plugin for mypy.

mypy loads it by ``plugins = ["pytheus.mypy_plugin"]`` in its configuration; nothing else imports it, because it imports
mypy, on which pytheus does not depend. docs/how-to/check-labels.md lists its reports. Rules:

- A report has the text of the error that the program would raise: `pytheus.names` checks names, and the `SeriesSet`
  that binds labels at run time checks labels.
- Values that the source does not show are not reported: computed label names, ``**labels``, `Any`.
- Facts about a metric (`MetricInfo`) are kept with its type, in an attribute that mypy provides, so that they follow
  variables and attributes through modules, mypy's cache and its daemon, and make no type incompatible with another.
- They are used only for an expression that cannot hold another metric (`Bindings`): a name or attribute that is bound
  once, to a metric or to the result of its `labels()`.

Modules:

- `definitions`: checks of metric definitions
- `call_checks`: checks of calls of a metric's methods, and of reads of its values
- `metric_info`: the facts about a metric, and how its type carries them
- `bindings`: the variable that a metric is bound to
- `literals`: values that the source states, and the error codes of reports
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

from pytheus.mypy_plugin.bindings import Bindings
from pytheus.mypy_plugin.call_checks import READS, WRITES, CallChecks
from pytheus.mypy_plugin.definitions import Definitions
from pytheus.mypy_plugin.metric_info import METRIC_TYPES

# mypy writes it into its cache, and ignores a cache that another version of the plugin wrote.
from pytheus.version import __version__ as __version__

__all__ = ["plugin"]

_OLDEST = (2, 4)


class _LabelPlugin(Plugin):
    _bindings = Bindings()
    _definitions = Definitions(_bindings)
    _uses = CallChecks(_bindings)

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
    """Return the plugin class for mypy; raise `ImportError` for a mypy that is too old."""
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        raise ImportError(f"pytheus.mypy_plugin needs mypy 2.4 or later, but this is mypy {version}; upgrade mypy")
    return _LabelPlugin
