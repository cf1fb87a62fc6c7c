"""From a name to a registry: the whole way, in the order in which a mistake is best told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytheus.exceptions import (
    AmbiguousPluginError,
    PluginBlockedError,
    PluginLoadError,
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
from pytheus.registry.protocols import Registry
from pytheus.registry.proxy import REGISTRY

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim

__all__ = ["configure", "resolve_registry"]


def resolve_registry(choice: str | None = None) -> Registry:
    """A new registry, as `choice` names it: a plugin's name, or a URL whose scheme is one.

    Without `choice`, what ``PYTHEUS_REGISTRY`` names; without that, ``registry`` in the configuration file
    (``PYTHEUS_CONFIG``, or ``[tool.pytheus]`` in the nearest ``pyproject.toml``); without that, "default". The options
    of ``[tool.pytheus.registries.NAME]`` apply wherever the name came from.

        >>> resolve_registry("default://?prefix=shop").prefix
        'shop'

    Only the plugin that is named is imported. Raises `SelectionError`, or `NotARegistryError` for a plugin that gives
    something else: never is another registry taken in its stead. May block, as the plugin does. Any thread may call it;
    each call makes a registry of its own (`pytheus.REGISTRY` calls it once).
    """
    configuration = load_configuration()
    text, source = choose(choice, configuration)
    address = parse_address(text, source)
    switches = load_switches(configuration)
    if address.name in BUILTIN_REGISTRIES:
        _refuse_foreign_builtin(address, source)
        _refuse_blocked(address, source, switches)
        options = _options(address, source, configuration)
        registry = make_builtin_registry(options)
        options.refuse_untaken()
        return registry

    claims = _claims(address, source, switches)
    _refuse_blocked(address, source, switches)
    claim = _only(claims, address, source)
    options = _options(address, source, configuration)
    from pytheus.plugins.loading import make_registry  # loaded late: it imports pluggy, which built-in names never need

    with _Turn(claim, source):
        return make_registry(claim, options)


def configure(registry: Registry | str | None = None) -> Registry:
    """Have `pytheus.REGISTRY` served now, and get the registry that serves: to fail at boot and not at first use.

    `registry` is a registry, or a name or URL as `resolve_registry` takes it; collectors registered before move to it.
    Without it, the choice that the environment and the configuration file make is carried out, unless it was already.

        >>> import pytheus
        >>> pytheus.configure("default://?prefix=shop").prefix
        'shop'
        >>> pytheus.configure("default").prefix is None
        True

    Raises what `resolve_registry` raises and what `CollectorRegistryProxy.set_registry` raises; the registry that
    served before then serves on.
    """
    if registry is not None:
        REGISTRY.set_registry(registry)
    return REGISTRY.registry


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


def _claims(address: RegistryAddress, source: str, switches: Switches) -> tuple[Claim, ...]:
    """Who claims the name, of the distribution that was asked for; never empty."""
    from pytheus.plugins.catalog import catalog, refresh_plugins  # loaded late: built-in names need no catalog

    claims = _of(catalog().claims.get(address.name, ()), address.distribution)
    if not claims:
        # It may have been installed since the last scan, as people do in a notebook.
        refresh_plugins()
        claims = _of(catalog().claims.get(address.name, ()), address.distribution)
    if not claims:
        raise _unknown(address, source, switches)
    return claims


def _of(claims: tuple[Claim, ...], distribution: str | None) -> tuple[Claim, ...]:
    if distribution is None:
        return claims
    wanted = normalized_distribution(distribution)
    return tuple(claim for claim in claims if normalized_distribution(claim.distribution) == wanted)


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


def _only(claims: tuple[Claim, ...], address: RegistryAddress, source: str) -> Claim:
    if len(claims) == 1:
        return claims[0]
    distributions = tuple(dict.fromkeys(claim.distribution for claim in claims))
    if len(distributions) == 1:
        raise PluginLoadError(
            f"registry plugin {address.name!r} ({source}) could not be loaded: {distributions[0]} {claims[0].version}"
            f" declares it {len(claims)} times, as {' and '.join(claim.value for claim in claims)};"
            " ask its authors to keep one",
            name=address.name,
        )
    raise AmbiguousPluginError(
        f"registry plugin {address.name!r} ({source}) is claimed by several distributions:"
        f" {', '.join(f'{claim.distribution} {claim.version}' for claim in claims)};"
        f" choose with {' or '.join(repr(f'{address.name}@{name}') for name in distributions)}",
        name=address.name,
        distributions=distributions,
    )


_turns = threading.local()


class _Turn:
    """The time in which a plugin makes its registry; one that asks for itself meanwhile would never end."""

    def __init__(self, claim: Claim, source: str) -> None:
        self._claim = claim
        self._source = source

    def __enter__(self) -> None:
        running: list[str] = _turns.__dict__.setdefault("running", [])
        key = str(self._claim)
        if key in running:
            raise PluginLoadError(
                f"registry plugin {self._claim.name!r} ({self._source}) could not be made: {key} asks for itself while"
                " it makes its registry; it must name the registry that it builds on",
                name=self._claim.name,
            )
        running.append(key)

    def __exit__(self, *_: object) -> None:
        _turns.running.pop()
