"""The hooks that a plugin may implement.

Rules:

- A specification is a function here whose docstring is the whole contract. Its parameters may be added to (an
  implementation names those it wants) and are never renamed or removed within one plugin API version.
- Hooks are asked of the plugin that makes the registry and of those that were named (``PYTHEUS_PLUGINS``, ``plugins``
  in the configuration file), in this order, each by itself. Other plugins are not even imported.
- Nothing pluggable stands in the way of a number: there is no hook for `inc`, `observe`, `set` or `labels`. Where no
  plugin implements an observer, a registration calls none of this, and pluggy is not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from pytheus.exposition.formats import ExpositionFormat
    from pytheus.plugins.options import RegistryOptions
    from pytheus.registry.contract import Collector, Registry

__all__ = [
    "PLUGIN_API_VERSIONS",
    "pytheus_collect_error",
    "pytheus_collector_registered",
    "pytheus_collector_rejected",
    "pytheus_collector_unregistered",
    "pytheus_exposition_formats",
    "pytheus_make_registry",
    "pytheus_wrap_registry",
]

PLUGIN_API_VERSIONS: Final[frozenset[int]] = frozenset({1})
"""The plugin API versions that this pytheus speaks.

A plugin may say which one it was written for, as ``pytheus_plugin_api = 1`` in the module or object that its entry
point names; one that says nothing means 1.
"""

Specification = TypeVar("Specification", bound=Callable[..., object])


def _hookspec(*, first_result: bool) -> Callable[[Specification], Specification]:
    """Mark a specification; with `first_result`, the first implementation that gives other than None answers."""

    def mark(function: Specification) -> Specification:
        marks: dict[str, object] = {
            "firstresult": first_result,
            "historic": False,
            "warn_on_impl": None,
            "warn_on_impl_args": None,
        }
        setattr(function, "pytheus_spec", marks)  # noqa: B010
        return function

    return mark


@_hookspec(first_result=True)
def pytheus_make_registry(options: RegistryOptions) -> Registry:  # type: ignore[empty-body]  # only a specification
    """The registry that `options` describe, new for each call.

    Called on the one plugin that was chosen by name, in the thread that first needs the registry, while no lock is
    held; for a name that is chosen again, it is called again. May block, as for a first connection, and delays the
    program by that. Metrics that are made meanwhile, here or at the plugin's import, are kept and registered in the
    registry afterwards.

    Options that are given and not taken (see `RegistryOptions`) are an error, so that a misspelt one never goes
    unnoticed. Whatever is raised stops the program's use of metrics, chained to a `PluginLoadError` that names the
    plugin; nothing was changed then. What is returned must satisfy `pytheus.registry.Registry` and is checked once.

    A registry that it builds on can be had from ``resolve_registry("NAME")``, which inside of a hook gives that
    registry bare: the layers and plugins of the configuration are put before the whole, once.
    """


@_hookspec(first_result=True)
def pytheus_wrap_registry(registry: Registry, options: RegistryOptions) -> Registry | None:
    """The registry to serve instead of `registry`, most often a layer before it; None to leave it as it is.

    Called each time that a registry is chosen by name or handed to `pytheus.configure`, after it was made and after the
    layers of ``wrap`` in the configuration file were put before it. Each plugin gets what the one before it gave, so
    that the last one named stands outermost. What is returned is checked as a new registry is, and closing it should
    close `registry`. The rest holds as for `pytheus_make_registry`: the thread, blocking, and what an error does.
    A registry that was made for nothing then is closed.

    `options` are this plugin's own, from ``[tool.pytheus.registries.NAME]``: for the plugin that made the registry
    those that it was made from, its URL's included. They are taken or refused as by `pytheus_make_registry`; a plugin
    that only observes may take them here, and return None.
    """


@_hookspec(first_result=False)
def pytheus_collector_registered(collector: Collector, registry: Registry) -> None:
    """Told once `registry` holds `collector`, which it did not hold before.

    So neither a collector that is held already tells this, nor a metric that shares the values of one that is, nor a
    registry that keeps nothing. It also tells of collectors that move to `registry` when it becomes the program's.

    `registry` is the outermost, as the program uses it: it may be scraped, and collectors may be registered in it,
    which tells of them in turn. What is registered in a registry below it, past it, is not told.

    As with every observer: called in the thread that registers, after the fact, while no lock is held; it should be
    quick, and must not wait for another thread. What it raises is logged, the first time with its traceback, and
    breaks nothing. What it returns is ignored.
    """


@_hookspec(first_result=False)
def pytheus_collector_unregistered(collector: Collector, registry: Registry) -> None:
    """Told once `registry` let go of `collector`, which it held: as it was registered, where the registry can tell.

    Also told of collectors that move to another registry. For the rest see `pytheus_collector_registered`.
    """


@_hookspec(first_result=False)
def pytheus_collector_rejected(collector: Collector, registry: Registry, error: Exception) -> None:
    """Told when `registry` refused `collector`; `error` is raised to whoever registers, after this.

    A registry may also refuse without an error (``on_conflict="warn"``). `error` is a `ConflictError` then, too, made
    to tell the name and the incumbent, and is raised to nobody. Where two threads define the same metric at once, the
    one that comes second is rejected before it shares the values of the first. For the rest see
    `pytheus_collector_registered`.
    """


@_hookspec(first_result=False)
def pytheus_collect_error(collector: Collector, error: Exception) -> None:
    """Told when `collector` raised `error` in a scrape and was left out of it.

    Told at each failure, after it was counted in ``pytheus_collector_errors_total``, for scrapes of the registry that
    this plugin is active for and of what stands before that; not for strict ones, which raise the error. `collector` is
    what the scraped registry gives, which a layer may have made of the one that was registered. Called in the thread
    that scrapes; for the rest see `pytheus_collector_registered`.
    """


@_hookspec(first_result=False)
def pytheus_exposition_formats() -> Iterable[ExpositionFormat]:  # type: ignore[empty-body]  # only a specification
    """Formats that scrapes can be answered in beside the text format, the one to prefer first.

    Called once for each registry that this plugin becomes active for, as `pytheus_wrap_registry` is, and with the same
    consequences of an error. Each is checked to satisfy `pytheus.exposition.ExpositionFormat`. Which one answers, the
    client's ``Accept`` decides, by its weights; one that it likes no better than text is not used.
    """
