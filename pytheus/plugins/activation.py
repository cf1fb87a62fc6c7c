"""From a registry to the one that serves: the layers of the configuration, then what active plugins make of it.

Rules:

- Active are the plugin that made the registry, and those that were named, in this order; each once. No other is
  imported.
- Everything is loaded and checked before the registry is made, so that a broken plugin leaves nothing behind. If a
  plugin fails later, a registry that was made for this is closed.
- It is done once: a registry that went through it, and what stands before such a one, is left as it is.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from pytheus.exceptions import PytheusWarning
from pytheus.plugins.builtin import BUILTIN_REGISTRIES
from pytheus.plugins.catalog import catalog, claims_of, only_claim
from pytheus.plugins.closest import closest
from pytheus.plugins.options import RegistryOptions
from pytheus.plugins.turns import Turn
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import Registry
from pytheus.registry.traversal import walk

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim
    from pytheus.plugins.configuration import Configuration
    from pytheus.plugins.loading import Plugin
    from pytheus.plugins.switches import NamedPlugin, Switches

__all__ = ["ActivePlugin", "activate", "load_named", "was_activated"]


class ActivePlugin(NamedTuple):
    """A plugin whose hooks are asked, and its own options."""

    plugin: Plugin
    options: RegistryOptions


def load_named(configuration: Configuration, switches: Switches, chosen: Claim | None) -> list[ActivePlugin]:
    """The plugins that were named, imported and checked, in order, without the one behind `chosen`.

    A name, given or blocked, that no installed plugin has is warned of. Raises `SelectionError` for one that is there
    and cannot be used.
    """
    claims = [(named, claim) for named in switches.named if (claim := _claim(named)) is not None]
    _warn_of_unmatched_blocks(switches.blocked)
    active: list[ActivePlugin] = []
    for named, claim in claims:
        if claim != chosen:
            active.append(ActivePlugin(_loaded(named, claim), _options(named, configuration)))
    return active


def _claim(named: NamedPlugin) -> Claim | None:
    if named.name in BUILTIN_REGISTRIES:
        return None  # it has no hooks; to name it undoes a no:NAME
    claims = claims_of(named.name, named.distribution)
    if not claims:
        known = catalog().claims
        holders = [f"{named.name}@{claim.distribution}" for claim in known.get(named.name, ())]
        meant = " or ".join(map(repr, holders)) or _closest(named.name, known)
        remedy = f"did you mean {meant}?" if meant else "install the distribution that provides it, or remove the entry"
        _warn(f"plugin '{named}' ({named.setting}) is not installed and has no effect; {remedy}")
        return None
    return only_claim(claims, f"plugin '{named}' ({named.setting})")


def _warn_of_unmatched_blocks(blocked: Mapping[str, str]) -> None:
    unknown = {name: setting for name, setting in blocked.items() if name not in BUILTIN_REGISTRIES}
    known = catalog().claims if unknown else {}
    for name, setting in unknown.items():
        if name not in known:
            meant = _closest(name, {*known, *BUILTIN_REGISTRIES})
            remedy = f"did you mean 'no:{meant[1:]}?" if meant else "remove the entry if it is not needed any more"
            _warn(f"plugin {name!r} ({setting}) is not installed, so there is nothing to block; {remedy}")


def _closest(name: str, candidates: Mapping[str, object] | set[str]) -> str:
    meant = closest(name, candidates)
    return "" if meant is None else repr(meant)


def _warn(message: str) -> None:
    import warnings  # loaded late: only settings that are wrong lead here

    warnings.warn(message, PytheusWarning, stacklevel=3)


def _loaded(named: NamedPlugin, claim: Claim) -> Plugin:
    from pytheus.plugins.loading import MAKE, Plugin  # loaded late: it imports pluggy

    plugin = Plugin(claim, f"plugin '{named}' ({named.setting})")
    if not set(plugin.implements) - {MAKE}:
        _warn(
            f"{plugin.subject} has no effect: {claim} implements no hook but at most {MAKE}, which makes a registry for"
            f" who chooses it: PYTHEUS_REGISTRY={named}"
        )
    return plugin


def _options(named: NamedPlugin, configuration: Configuration) -> RegistryOptions:
    return RegistryOptions(
        str(named),
        table=configuration.registries.get(named.name),
        source=named.setting,
        table_source=f"from [tool.pytheus.registries.{named.name}] in {configuration.path}",
    )


def activate(
    registry: Registry, active: list[ActivePlugin], configuration: Configuration, *, made_here: bool
) -> Registry:
    """`registry` behind the layers of `configuration` and what `active` plugins put before it, and observed by them.

    With `made_here` nobody else will close it, and it is closed if this fails. Raises `SelectionError`, or
    `NotARegistryError` for what a plugin gave.
    """
    from pytheus.plugins.observed import observed  # loaded late: only where something is configured is it needed
    from pytheus.plugins.wrapping import wrapped  # (as above)

    outermost = registry
    try:
        outermost = wrapped(registry, configuration.wrap)
        for plugin, options in active:
            with Turn(plugin.claim, plugin.subject):
                outermost = plugin.wrap_registry(outermost, options)
        formats = tuple(offered for plugin, _ in active for offered in plugin.exposition_formats())
        outermost = observed(outermost, [plugin for plugin, _ in active], formats)
    except BaseException:
        # Both, for a layer need not pass it on; closing again does nothing.
        for candidate in (outermost, registry) if made_here else ():
            if isinstance(candidate, Closable):
                candidate.close()
        raise
    if outermost is not registry:
        _remember(outermost)
    return outermost


_activated: Final[dict[int, weakref.ref[Registry]]] = {}


def _remember(registry: Registry) -> None:
    key = id(registry)
    try:
        _activated[key] = weakref.ref(registry, lambda _: _activated.pop(key, None))
    except TypeError:
        pass  # a plugin's own, to which there are no weak references; it may be wrapped twice if it is handed in again


def was_activated(registry: Registry) -> bool:
    """Whether `registry`, or what stands below it, went through `activate` before."""
    return bool(_activated) and any(id(current) in _activated for current in walk(registry, resolve=True))
