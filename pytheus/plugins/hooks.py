"""The hooks that a plugin may implement.

Rules:

- A specification is a function here whose docstring is the whole contract. It may get more parameters (an
  implementation has those that it needs); within one plugin API version, none is renamed or removed.
- Hooks are called on the plugin that creates the registry and on those that were named (``PYTHEUS_PLUGINS``,
  ``plugins`` in the configuration file), in this order, each separately. Other plugins are not even imported.
- No hook is on the path of a number: `inc`, `observe`, `set` and `labels` have no hooks. Without a plugin that
  implements an observer, a registration calls no hook, and pluggy is not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from pytheus.exposition.formats import AnyFormat
    from pytheus.plugins.options import RegistryOptions
    from pytheus.registry.contract import Collector, Registry

__all__ = [
    "PLUGIN_API_VERSIONS",
    "SPECIFICATIONS",
    "pytheus_collect_error",
    "pytheus_collector_registered",
    "pytheus_collector_rejected",
    "pytheus_collector_unregistered",
    "pytheus_exposition_formats",
    "pytheus_make_registry",
    "pytheus_shared_path",
    "pytheus_wrap_registry",
]

PLUGIN_API_VERSIONS: Final[frozenset[int]] = frozenset({1})
"""The plugin API versions that this pytheus supports.

A plugin may say which one it was written for, as ``pytheus_plugin_api = 1`` in the module or object of its entry point;
the default is 1.
"""

SPECIFICATIONS: Final[dict[str, Callable[..., object]]] = {}
"""The specification of each hook, by name."""

Specification = TypeVar("Specification", bound=Callable[..., object])


def _hookspec(*, first_result: bool) -> Callable[[Specification], Specification]:
    """Mark a specification; with `first_result`, the first implementation that returns other than None answers."""

    def mark(function: Specification) -> Specification:
        marks: dict[str, object] = {
            "firstresult": first_result,
            "historic": False,
            "warn_on_impl": None,
            "warn_on_impl_args": None,
        }
        setattr(function, "pytheus_spec", marks)  # noqa: B010
        SPECIFICATIONS[function.__name__] = function
        return function

    return mark


@_hookspec(first_result=True)
def pytheus_make_registry(options: RegistryOptions) -> Registry:  # type: ignore[empty-body]  # only a specification
    """Create the registry that `options` describe, a new one for each call.

    Called on the one plugin that was chosen by name, in the thread that first needs the registry, while no lock is
    held; if the name is chosen again, it is called again. May block, for example for a first connection, and delays the
    program by that. Metrics that are created meanwhile, here or at the plugin's import, are kept and registered in the
    registry afterwards.

    An option that is given and not read (see `RegistryOptions`) is an error, so that a misspelt one never goes
    unnoticed. Any exception stops the program's use of metrics, chained to a `PluginLoadError` that names the plugin;
    in that case nothing was changed. The result must satisfy `pytheus.registry.Registry` and is checked once.

    To build on another registry, call ``resolve_registry("NAME")``. Inside a hook it returns that registry alone: the
    layers and plugins of the configuration are put before the whole, once.
    """


@_hookspec(first_result=True)
def pytheus_shared_path(options: RegistryOptions) -> AbstractContextManager[str | None]:  # type: ignore[empty-body]  # only a specification
    """The path by which several processes share the registry that `options` describe, in a context that keeps it.

    A plugin that implements this declares that processes which get the same URL share one registry. `pytheus run --
    COMMAND` requires that: it calls this hook before it creates the registry, puts the path into the URL, hands the URL
    on to the command in ``PYTHEUS_REGISTRY``, and leaves the context when the command has ended. None leaves the URL as
    it was written.

        >>> from contextlib import nullcontext
        >>> from tempfile import TemporaryDirectory
        >>> from pytheus.plugins import hookimpl
        >>> @hookimpl
        ... def pytheus_shared_path(options):
        ...     return nullcontext() if "path" in options.given else TemporaryDirectory()

    Called on the one plugin that was chosen by name. May block. An exception stops the command before it starts.
    """


@_hookspec(first_result=True)
def pytheus_wrap_registry(registry: Registry, options: RegistryOptions) -> Registry | None:
    """The registry to use instead of `registry`, most often a layer before it; None to leave it as it is.

    Called each time that a registry is chosen by name or passed to `pytheus.configure`, after it was created and after
    the layers of ``wrap`` in the configuration file were put before it. Each plugin gets the result of the one before
    it, so that the last one named is the outermost. The result is checked like a new registry, and closing it should
    close `registry`. Thread, blocking and the consequences of an error are those of `pytheus_make_registry`. If there
    is an error, a registry that was created for this call is closed.

    `options` are this plugin's own, from ``[tool.pytheus.registries.NAME]``; the plugin that created the registry gets
    those that it was created from, including its URL's. They are read or refused as by `pytheus_make_registry`; a
    plugin that only observes may read them here, and return None.
    """


@_hookspec(first_result=False)
def pytheus_collector_registered(collector: Collector, registry: Registry) -> None:
    """Called when `registry` has `collector`, which it did not have before.

    A collector that was registered already, a metric that shares the values of another one, and a registry that keeps
    nothing do not call it. It is called for collectors that move to `registry` when the program starts to
    use that.

    `registry` is the outermost, as the program uses it: it may be scraped, and collectors may be registered in it,
    which calls this hook in turn. A registration in a registry below it, past it, does not call this hook.

    Like every observer, it is called in the thread that registers, after the fact, while no lock is held; it should be
    quick, and must not wait for another thread. An exception is logged, the first time with its traceback, and has no
    other effect. The result is ignored.
    """


@_hookspec(first_result=False)
def pytheus_collector_unregistered(collector: Collector, registry: Registry) -> None:
    """Called when `registry` has removed `collector`: the one that was registered, if the registry can find it.

    Also called for collectors that move to another registry. For the rest see `pytheus_collector_registered`.
    """


@_hookspec(first_result=False)
def pytheus_collector_rejected(collector: Collector, registry: Registry, error: Exception) -> None:
    """Called when `registry` refused `collector`; `error` is raised to the caller of `register` afterwards.

    A registry may also refuse without an error (``on_conflict="warn"``). In that case `error` is a `ConflictError` with
    the name and the incumbent, which is not raised. If two threads define the same metric at once, the second one is
    rejected before it shares the values of the first. For the rest see `pytheus_collector_registered`.
    """


@_hookspec(first_result=False)
def pytheus_collect_error(collector: Collector, error: Exception) -> None:
    """Called when `collector` raised `error` in a scrape and was left out of it.

    Called at each failure, after it was counted in ``pytheus_collector_errors_total``, for scrapes of the registry that
    this plugin is active for and of registries that wrap it; not for strict ones, which raise the error. `collector` is
    the one that the scraped registry has, which a layer may have derived from the one that was registered. Called in
    the thread that scrapes; for the rest see `pytheus_collector_registered`.
    """


@_hookspec(first_result=False)
def pytheus_exposition_formats() -> Iterable[AnyFormat]:  # type: ignore[empty-body]  # only a specification
    """Formats that scrapes can be answered in besides the text format, the preferred one first.

    Called once for each registry that this plugin becomes active for, as `pytheus_wrap_registry` is, and with the same
    consequences of an error. Each is checked to satisfy `pytheus.exposition.ExpositionFormat`. The client's ``Accept``
    decides by its weights; a format that it does not prefer to text is not used.
    """
