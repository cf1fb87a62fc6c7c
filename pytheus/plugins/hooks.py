"""The hooks that a plugin may implement, and the marker that says so.

Rules:

- A plugin imports this module, and it imports nothing: the markers write the attributes that pluggy reads
  (``pytheus_impl``, ``pytheus_spec``), so that a plugin can be imported, and its classes used, without pluggy.
- A specification is a function here whose docstring is the whole contract. Its parameters may be added to (an
  implementation names those it wants) and are never renamed or removed within one plugin API version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, overload

if TYPE_CHECKING:
    from pytheus.plugins.options import RegistryOptions
    from pytheus.registry.protocols import Registry

__all__ = ["PLUGIN_API_VERSIONS", "hookimpl", "pytheus_make_registry"]

PLUGIN_API_VERSIONS: Final[frozenset[int]] = frozenset({1})
"""The plugin API versions that this pytheus speaks.

A plugin may say which one it was written for, as ``pytheus_plugin_api = 1`` in the module or object that its entry
point names; one that says nothing means 1.
"""

Marked = TypeVar("Marked", bound=Callable[..., object])


@overload
def hookimpl(function: Marked, /) -> Marked: ...
@overload
def hookimpl(
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    wrapper: bool = False,
    optionalhook: bool = False,
    specname: str | None = None,
) -> Callable[[Marked], Marked]: ...
def hookimpl(
    function: Marked | None = None,
    /,
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    wrapper: bool = False,
    optionalhook: bool = False,
    specname: str | None = None,
) -> Marked | Callable[[Marked], Marked]:
    """Mark a function as a plugin's implementation of the hook that bears its name, or `specname`.

        >>> from pytheus.plugins import RegistryOptions, hookimpl
        >>> from pytheus.registry import CollectorRegistry, Registry
        >>> @hookimpl
        ... def pytheus_make_registry(options: RegistryOptions) -> Registry:
        ...     return CollectorRegistry(prefix="shop")

    The function is given back as it is, and can be called as before. The arguments mean what they mean in pluggy, whose
    own ``HookimplMarker("pytheus")`` does as well: https://pluggy.readthedocs.io/en/stable/#implementations
    """

    def mark(function: Marked) -> Marked:
        marks: dict[str, object] = {
            "wrapper": wrapper,
            "hookwrapper": False,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
        }
        # pluggy before 1.7 looks for the mark behind a staticmethod or classmethod, not on it.
        setattr(getattr(function, "__func__", function), "pytheus_impl", marks)  # noqa: B010
        return function

    return mark if function is None else mark(function)


def _hookspec(function: Marked) -> Marked:
    """Mark a specification of which the first implementation that gives something other than None answers."""
    marks: dict[str, object] = {
        "firstresult": True,
        "historic": False,
        "warn_on_impl": None,
        "warn_on_impl_args": None,
    }
    setattr(function, "pytheus_spec", marks)  # noqa: B010
    return function


@_hookspec
def pytheus_make_registry(options: RegistryOptions) -> Registry:  # type: ignore[empty-body]  # only a specification
    """The registry that `options` describe, new for each call.

    Called on the one plugin that was chosen by name, in the thread that first needs the registry, while no lock is
    held; for a name that is chosen again, it is called again. May block, as for a first connection, and delays the
    program by that. Metrics that are made meanwhile, here or at the plugin's import, are kept and registered in the
    registry afterwards.

    Options that are given and not taken (see `RegistryOptions`) are an error, so that a misspelt one never goes
    unnoticed. Whatever is raised stops the program's use of metrics, chained to a `PluginLoadError` that names the
    plugin; nothing was changed then. What is returned must satisfy `pytheus.registry.Registry` and is checked once.
    """
