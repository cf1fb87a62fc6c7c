"""From a name to a registry: the whole way, in the order in which a mistake is best told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.exceptions import (
    PluginBlockedError,
    PytheusWarning,
    UnknownRegistryError,
)
from pytheus.plugins.address import RegistryAddress, normalized_distribution, parse_address
from pytheus.plugins.builtin import BUILTIN_REGISTRIES, make_builtin_registry
from pytheus.plugins.choice import choose
from pytheus.plugins.closest import closest
from pytheus.plugins.configuration import Configuration, load_configuration
from pytheus.plugins.options import RegistryOptions
from pytheus.plugins.switches import Switches, load_switches
from pytheus.plugins.turns import Turn, is_anybodys_turn
from pytheus.registry.contract import Registry, check_registry
from pytheus.registry.proxy import REGISTRY

if TYPE_CHECKING:
    from pytheus.plugins.activation import ActivePlugin
    from pytheus.plugins.catalog import Claim

__all__ = ["configure", "resolve_registry"]


def resolve_registry(choice: str | None = None) -> Registry:
    """A new registry, as `choice` names it: a plugin's name, or a URL whose scheme is one.

    Without `choice`, what ``PYTHEUS_REGISTRY`` names; without that, ``registry`` in the configuration file
    (``PYTHEUS_CONFIG``, or ``[tool.pytheus]`` in the nearest ``pyproject.toml``); without that, "default". The options
    of ``[tool.pytheus.registries.NAME]`` apply wherever the name came from.

        >>> resolve_registry("default://?prefix=shop").prefix
        'shop'

    Before it stand the layers of ``wrap`` in the configuration file, and then what the active plugins put there: the
    registry's own, and those that are named in ``PYTHEUS_PLUGINS`` or ``plugins``. Only these are imported. A plugin
    that calls this for a name, to build on another registry, gets that one without any of it.

    Raises `SelectionError`, or `NotARegistryError` for a plugin that gives something else: never is another registry
    taken in its stead. May block, as the plugin does. Any thread may call it; each call makes a registry of its own
    (`pytheus.REGISTRY` calls it once).
    """
    configuration = load_configuration()
    text, source = choose(choice, configuration)
    address = parse_address(text, source)
    switches = load_switches(configuration)
    # To build on; from within a plugin, the configured registry is asked for only by a metric, on REGISTRY's account.
    bare = choice is not None and is_anybodys_turn()
    if address.name in BUILTIN_REGISTRIES:
        _refuse_foreign_builtin(address, source)
        _refuse_blocked(address, source, switches)
        options = _options(address, source, configuration)
        active = [] if bare else _named(configuration, switches, None)
        registry = make_builtin_registry(options)
        options.refuse_untaken()
        return registry if bare else _activated(registry, active, configuration, made_here=True)

    claim = _claim(address, source, switches)
    options = _options(address, source, configuration)
    from pytheus.plugins.loading import MAKE, Plugin  # loaded late: it imports pluggy, which built-in names never need

    with Turn(claim, f"registry plugin {address.name!r} ({source})"):
        plugin = Plugin(claim, f"registry plugin {address.name!r} ({source})")
        active = [] if bare else _named(configuration, switches, claim)
        registry, made_here = plugin.make_registry(options)
    if bare:
        return registry
    if set(plugin.implements) - {MAKE}:
        from pytheus.plugins.activation import ActivePlugin  # loaded late: most registries' plugins only make them

        active.insert(0, ActivePlugin(plugin, options))
    return _activated(registry, active, configuration, made_here=made_here)


def _named(configuration: Configuration, switches: Switches, chosen: Claim | None) -> list[ActivePlugin]:
    if not switches.named and not switches.blocked:
        return []
    from pytheus.plugins.activation import load_named  # loaded late: most programs name and block no plugin

    return load_named(configuration, switches, chosen)


def _activated(
    registry: Registry, active: list[ActivePlugin], configuration: Configuration, *, made_here: bool
) -> Registry:
    if not active and not configuration.wrap:
        return registry
    from pytheus.plugins.activation import activate  # loaded late: a registry that nothing is put before needs none

    return activate(registry, active, configuration, made_here=made_here)


def configure(registry: Registry | str | None = None) -> Registry:
    """Have `pytheus.REGISTRY` served now, and get the registry that serves: to fail at boot and not at first use.

    `registry` is a registry, or a name or URL as `resolve_registry` takes it; collectors registered before move to it.
    Without it, the choice that the environment and the configuration file make is carried out, unless it was already.

        >>> import pytheus
        >>> pytheus.configure("default://?prefix=shop").prefix
        'shop'
        >>> pytheus.configure("default").prefix is None
        True

    Layers and plugins that are configured apply to a registry object, too, other than with `REGISTRY.set_registry`,
    which takes one as it is. They apply once: one that came from here or from `resolve_registry` is taken as it is, and
    so is one that stands before such a one.

    Raises what `resolve_registry` raises and what `CollectorRegistryProxy.set_registry` raises; the registry that
    served before then serves on.
    """
    if registry is not None:
        REGISTRY.set_registry(registry if isinstance(registry, str) else _as_configured(registry))
    return REGISTRY.registry


def _as_configured(registry: Registry) -> Registry:
    configuration = load_configuration()
    switches = load_switches(configuration)
    active = _named(configuration, switches, None)
    if not active and not configuration.wrap:
        return registry
    from pytheus.plugins.activation import was_activated  # loaded late: as in `_activated`

    checked = check_registry(registry, "configure(...)")
    return checked if was_activated(checked) else _activated(checked, active, configuration, made_here=False)


def _options(address: RegistryAddress, source: str, configuration: Configuration) -> RegistryOptions:
    tables = configuration.registries
    if address.name not in tables and (near := closest(address.name, tables) if tables else None) is not None:
        _warn_of_table(near, address.name, configuration)
    return RegistryOptions(
        address,
        table=tables.get(address.name),
        source=source,
        table_source=f"from [tool.pytheus.registries.{address.name}] in {configuration.path}",
    )


def _warn_of_table(near: str, name: str, configuration: Configuration) -> None:
    from pytheus.plugins.catalog import catalog  # loaded late: only a table of another name leads here

    if near in BUILTIN_REGISTRIES or near in catalog().claims:
        return
    import warnings  # loaded late: only this rare path needs it

    warnings.warn(
        f"{configuration.path}: [tool.pytheus.registries.{near}] applies to no installed plugin, and the registry in"
        f" use is {name!r}; did you mean [tool.pytheus.registries.{name}]?",
        PytheusWarning,
        stacklevel=2,
    )


def _refuse_foreign_builtin(address: RegistryAddress, source: str) -> None:
    if address.distribution is not None and normalized_distribution(address.distribution) != "pytheus":
        raise UnknownRegistryError(
            f"registry plugin '{address.name}@{address.distribution}' ({source}) cannot be had: {address.name!r} is a"
            " name of pytheus itself, and no other distribution's plugin of that name is ever used;"
            f" write {address.name!r} for the built-in one",
            name=address.name,
            available=tuple(BUILTIN_REGISTRIES),
        )


def _refuse_blocked(address: RegistryAddress, source: str, switches: Switches) -> None:
    setting = switches.blocked.get(address.name)
    if setting is not None:
        raise PluginBlockedError(
            f"registry plugin {address.name!r} ({source}) is blocked by {setting}; remove that entry to allow it,"
            " or choose another registry",
            name=address.name,
        )


def _claim(address: RegistryAddress, source: str, switches: Switches) -> Claim:
    """Who claims the name, of the distribution that was asked for."""
    from pytheus.plugins.catalog import claims_of, only_claim  # loaded late: built-in names need no catalog

    claims = claims_of(address.name, address.distribution)
    if not claims:
        raise _unknown(address, source, switches)
    _refuse_blocked(address, source, switches)
    return only_claim(claims, f"registry plugin {address.name!r} ({source})")


def _unknown(address: RegistryAddress, source: str, switches: Switches) -> UnknownRegistryError:
    from pytheus.plugins.catalog import catalog  # loaded late: built-in names need no catalog

    found = catalog()
    names = sorted({*BUILTIN_REGISTRIES, *found.claims})
    available = tuple(name for name in names if name not in switches.blocked)
    blocked = [f"{name} (by {switches.blocked[name]})" for name in names if name in switches.blocked]
    suggestion = None
    holders = found.claims.get(address.name, ())
    if holders:
        asked = f"{address.name}@{address.distribution}"
        choices = " or ".join(repr(f"{address.name}@{claim.distribution}") for claim in holders)
        remedy = f"did you mean {choices}?"
    else:
        asked = address.name
        suggestion = closest(address.name, available)
        remedy = "install the distribution that provides it;" if suggestion is None else f"did you mean {suggestion!r}?"
    message = f"registry plugin {asked!r} ({source}) is not installed; {remedy} available: {', '.join(available)}"
    if blocked:
        message += f"; blocked: {', '.join(blocked)}"
    if found.unreadable:
        message += f"; could not be read: {', '.join(found.unreadable)}"
    return UnknownRegistryError(message, name=address.name, available=available, suggestion=suggestion)
