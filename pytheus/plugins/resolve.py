"""From a name to a registry: carry out a plan, and put the configured layers and active plugins before the registry.

Rules:

- Active are the plugin that created the registry and those that were named, in this order, each once. No other plugin
  is imported.
- Everything is loaded and checked before the registry is created, so that a broken plugin leaves nothing behind. If a
  plugin fails later, a registry that was created for this call is closed.
- Layers and plugins are applied once: a registry that has them, and a layer before such a registry, is left as it is.
- The built-in registries are created without plugin machinery and package metadata.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pytheus.exceptions import InvalidNameError, PluginLoadError, PytheusWarning, SelectionError, UnknownRegistryError
from pytheus.plugins.address import BUILTIN_REGISTRIES, with_path
from pytheus.plugins.config import load_configuration
from pytheus.plugins.options import RegistryOptions
from pytheus.plugins.plan import ActivationPlan, Plan, PlannedPlugin, plan, plan_activation
from pytheus.registry.capabilities import Closable
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Registry, check_registry
from pytheus.registry.null import NullRegistry
from pytheus.registry.origin import note_origin
from pytheus.registry.proxy import REGISTRY
from pytheus.registry.traversal import walk
from pytheus.unserved import RUN_VARIABLE, warn_if_unserved

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim
    from pytheus.plugins.loader import Plugin

__all__ = [
    "configure",
    "make_builtin_registry",
    "names_of_shared",
    "resolve_registry",
    "shared_address",
    "sharing_remedy",
]


def resolve_registry(choice: str | None = None) -> Registry:
    """A new registry, as `choice` names it: a plugin's name, or a URL whose scheme is one.

    Without `choice`, ``PYTHEUS_REGISTRY`` decides; without that, ``registry`` in the configuration file
    (``PYTHEUS_CONFIG``, or ``[tool.pytheus]`` in the nearest ``pyproject.toml``); without that, it is "default". The
    options of ``[tool.pytheus.registries.NAME]`` apply to every choice.

        >>> resolve_registry("default://?prefix=shop").prefix
        'shop'

    Before the registry are the layers of ``wrap`` in the configuration file, and before these the layers of the active
    plugins: the registry's own, and those that are named in ``PYTHEUS_PLUGINS`` or ``plugins``. Only these are
    imported. A plugin that calls this with a name, to build on another registry, gets that registry alone.

    Raises `SelectionError`, or `NotARegistryError` for a plugin that returns something else: it never returns another
    registry instead. May block, as the plugin does. Any thread may call it; each call creates a new registry
    (`pytheus.REGISTRY` calls it once).
    """
    planned = plan(choice)
    if planned.problem is not None:
        raise planned.problem
    _warn(*planned.warnings)
    activation = planned.activation
    # Without a choice, the caller inside a plugin is a metric that needs the configured registry, through REGISTRY.
    alone = choice is not None and bool(getattr(_plugins, "running", None))
    if planned.claim is None:
        active = [] if alone else _named_plugins(activation, None)
        registry = make_builtin_registry(planned.options)
        planned.options.refuse_unread()
        if RUN_VARIABLE in os.environ and not isinstance(registry, NullRegistry):
            _warn_if_unserved(planned)
        return registry if alone else _with_origin(_activated(registry, active, activation, made_here=True), planned)

    from pytheus.plugins.loader import MAKE, Plugin

    with _in_plugin(planned.claim, planned.subject):
        plugin = Plugin(planned.claim, planned.subject)
        active = [] if alone else _named_plugins(activation, planned.claim)
        registry, made_here = plugin.make_registry(planned.options)
    if RUN_VARIABLE in os.environ and isinstance(registry, CollectorRegistry):
        _warn_if_unserved(planned)
    if alone:
        return registry
    if set(plugin.implements) - {MAKE}:
        active.insert(0, (plugin, planned.options))
    return _with_origin(_activated(registry, active, activation, made_here=made_here), planned)


def _with_origin(registry: Registry, planned: Plan) -> Registry:
    """`registry`, whose origin is known from here on."""
    note_origin(registry, planned)
    return registry


def configure(registry: Registry | str | None = None) -> Registry:
    """Let `pytheus.REGISTRY` use its registry now, and return that: to fail at boot and not at first use.

    `registry` is a registry, or a name or URL as for `resolve_registry`; collectors that are registered already move to
    it. Without it, the registry that the environment and the configuration file choose is created, unless it was
    created before.

        >>> import pytheus
        >>> pytheus.configure("default://?prefix=shop").prefix
        'shop'
        >>> pytheus.configure("default").prefix is None
        True

    Configured layers and plugins apply to a registry object, too, unlike `REGISTRY.set_registry`, which uses the object
    as it is. They apply once: a registry that `configure` or `resolve_registry` returned is used as it is, and so is a
    layer before such a registry.

    Raises the errors of `resolve_registry` and `CollectorRegistryProxy.set_registry`; after an error, the current
    registry stays in use.
    """
    if registry is not None:
        REGISTRY.set_registry(registry if isinstance(registry, str) else _as_configured(registry))
    return REGISTRY.registry


def _as_configured(registry: Registry) -> Registry:
    activation = plan_activation(load_configuration())
    active = _named_plugins(activation, None)
    if not active and not activation.configuration.wrap:
        return registry
    checked = check_registry(registry, "configure(...)")
    if _was_activated(checked):
        return checked
    activated = _activated(checked, active, activation, made_here=False)
    note_origin(activated, activation)
    return activated


@contextmanager
def shared_address(planned: Plan) -> Iterator[str]:
    """The name or URL by which several processes share the registry of `planned`, in a context that keeps its place.

    Raises `SelectionError` for a registry that processes cannot share: a built-in one, or one whose plugin does not
    implement `pytheus.plugins.hooks.pytheus_shared_path`.
    """
    if planned.problem is not None:
        raise planned.problem
    if planned.claim is None:
        raise SelectionError(
            f"{planned.subject} is in the memory of one process, where no other can read it; {sharing_remedy()}"
        )
    from pytheus.plugins.loader import Plugin

    plugin = Plugin(planned.claim, planned.subject)
    with plugin.shared_path(planned.options) as path:
        text = planned.choice.text
        yield text if path is None else with_path(text, path)


def names_of_shared() -> list[str]:
    """The names of the installed registries that are not built in, which processes may share."""
    from pytheus.plugins.catalog import available_plugins

    names = [plugin.name for plugin in available_plugins() if plugin.name not in BUILTIN_REGISTRIES]
    return [name for name in names if "+" not in name]  # a variant of another name


def sharing_remedy() -> str:
    """The part of a message that says how to choose a registry that processes share."""
    others = names_of_shared()
    installed = f"installed: {', '.join(others)}" if others else "install pytheus-multiprocess first"
    name = others[0] if others else "multiprocess"
    return f"choose one that processes share; {installed} (pytheus run --registry {name} -- COMMAND)"


def _warn_if_unserved(planned: Plan) -> None:
    """Warn if this process is below a `pytheus run`, whose server does not show the registry in memory of `planned`."""
    warn_if_unserved(
        lambda server: (
            f"process {os.getpid()} counts in its own memory, which {server} does not show, because it has"
            f" {planned.subject}; {sharing_remedy()}"
        )
    )


# Built-in registries --------------------------------------------------------------------------------------------------


def make_builtin_registry(options: RegistryOptions) -> Registry:
    """A new registry of the built-in name in `options`; raises `OptionError` as a plugin's factory does."""
    if options.name == "none":
        return NullRegistry()
    if not options.given:
        return CollectorRegistry()
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class DefaultOptions:
        prefix: str | None = None
        on_conflict: Literal["raise", "warn"] = "raise"

    parsed = options.parse(DefaultOptions)
    try:
        return CollectorRegistry(prefix=parsed.prefix, on_conflict=parsed.on_conflict)
    except InvalidNameError as error:
        invalid = error
    raise options.error("prefix", "a valid metric name") from options.cause(invalid)


# Active plugins -------------------------------------------------------------------------------------------------------


# A plugin whose hooks are called, and its own options.
_ActivePlugin: TypeAlias = "tuple[Plugin, RegistryOptions]"


def _named_plugins(activation: ActivationPlan, chosen: Claim | None) -> list[_ActivePlugin]:
    """The plugins that were named, imported and checked, in order, without the one of `chosen`.

    Warns of a plugin that is not installed and of entries without effect. Raises `SelectionError` for a plugin that is
    installed and cannot be used.
    """
    for planned in activation.plugins:
        if isinstance(planned.problem, UnknownRegistryError):
            _warn(str(planned.problem))
        elif planned.problem is not None:
            raise planned.problem
    _warn(*activation.warnings)
    return [
        (_loaded(planned, planned.claim), planned.options(activation.configuration))
        for planned in activation.plugins
        if planned.claim is not None and planned.claim != chosen
    ]


def _loaded(planned: PlannedPlugin, claim: Claim) -> Plugin:
    from pytheus.plugins.loader import MAKE, Plugin

    plugin = Plugin(claim, planned.subject)
    if not set(plugin.implements) - {MAKE}:
        _warn(
            f"{plugin.subject} has no effect: {claim} implements at most {MAKE}, which only creates a registry that was"
            f" chosen: PYTHEUS_REGISTRY={planned.named}"
        )
    return plugin


def _warn(*messages: str) -> None:
    for message in messages:
        warnings.warn(message, PytheusWarning, stacklevel=3)


def _activated(
    registry: Registry, active: list[_ActivePlugin], activation: ActivationPlan, *, made_here: bool
) -> Registry:
    """`registry` behind the configured layers and those of `active` plugins, which observe it.

    With `made_here` it has no other owner, and it is closed if this fails. Raises `SelectionError`, or
    `NotARegistryError` for the result of a plugin.
    """
    layers = activation.configuration.wrap
    if not active and not layers:
        return registry
    from pytheus.plugins.layers import wrapped
    from pytheus.plugins.observer import observed

    outermost = registry
    try:
        outermost = wrapped(registry, layers)
        for plugin, options in active:
            with _in_plugin(plugin.claim, plugin.subject):
                outermost = plugin.wrap_registry(outermost, options)
        formats = tuple(offered for plugin, _ in active for offered in plugin.exposition_formats())
        outermost = observed(outermost, [plugin for plugin, _ in active], formats)
    except BaseException:
        # Both, because a layer need not pass it on; closing again does nothing.
        for candidate in (outermost, registry) if made_here else ():
            if isinstance(candidate, Closable):
                candidate.close()
        raise
    if outermost is not registry:
        _remember(outermost)
    return outermost


_activated_registries: Final[dict[int, weakref.ref[Registry]]] = {}


def _remember(registry: Registry) -> None:
    key = id(registry)
    try:
        _activated_registries[key] = weakref.ref(registry, lambda _: _activated_registries.pop(key, None))
    except TypeError:
        pass  # a plugin's class without weak references; its registry may be wrapped twice if it is passed in again


def _was_activated(registry: Registry) -> bool:
    """Whether layers and plugins were put before `registry`, or before a registry below it."""
    return bool(_activated_registries) and any(
        id(current) in _activated_registries for current in walk(registry, resolve=True)
    )


# Re-entrancy ----------------------------------------------------------------------------------------------------------

# `running` has the plugins that are creating or wrapping a registry in this thread.
_plugins = threading.local()


@contextmanager
def _in_plugin(claim: Claim, subject: str) -> Iterator[None]:
    """The time during which a plugin creates or wraps a registry. Raises `PluginLoadError` if it is running already."""
    running: list[str] = _plugins.__dict__.setdefault("running", [])
    if str(claim) in running:
        raise PluginLoadError(
            f"{subject} could not be created: {claim} asks for itself while it creates or wraps a registry, which would"
            " never end; it must name the registry that it builds on",
            name=claim.name,
        )
    running.append(str(claim))
    try:
        yield
    finally:
        running.pop()
