"""The installed plugins: entry points of the group "pytheus" (https://packaging.python.org/specifications/entry-points/).

Rules:

- Metadata is read, and nothing is imported. One scan serves until `sys.path` changes or `refresh_plugins` is called.
- A distribution whose metadata cannot be read is skipped and listed as unreadable; it never hides another one.
- A distribution that is on `sys.path` twice counts once, as the one that an import would find.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pytheus.exceptions import AmbiguousPluginError, PluginLoadError
from pytheus.plugins.address import BUILTIN_REGISTRIES, is_plugin_name, normalized_distribution
from pytheus.plugins.config import plugin_settings

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = [
    "GROUP",
    "Catalog",
    "Claim",
    "PluginInfo",
    "PluginState",
    "available_plugins",
    "catalog",
    "claims_of",
    "only_claim",
    "refresh_plugins",
]

GROUP: Final = "pytheus"

PluginState = Literal["available", "ambiguous", "blocked", "reserved", "unnameable"]


class Claim(NamedTuple):
    """A distribution's entry point, which claims `name` for the object that `value` names."""

    name: str
    value: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def __str__(self) -> str:
        return f"entry point '{self.name} = {self.value}' of {self.distribution} {self.version}"

    @property
    def address(self) -> str:
        """The name that chooses this claim even if other distributions claim the same name."""
        return f"{self.name}@{self.distribution}"


class Catalog(NamedTuple):
    """The result of one scan: claims by name, and the distributions that could not be read, with the reason."""

    claims: Mapping[str, tuple[Claim, ...]]
    unreadable: tuple[str, ...]


class PluginInfo(NamedTuple):
    """A plugin that can be chosen by name, or the reason why it cannot.

        >>> next(plugin for plugin in available_plugins() if plugin.name == "none").value
        'pytheus.registry:NullRegistry'

    `value` is the entry point's object (MODULE or MODULE:ATTRIBUTE), `distribution` and `version` identify the
    distribution that declares it. `state` is "available"; "ambiguous" (several distributions claim the name: choose
    with NAME@DISTRIBUTION); "blocked" (`reason` has the setting); "reserved" (the name is built in, and this entry
    point is never used); or "unnameable" (the name does not follow the grammar of addresses). `reason` is "" if
    available.
    """

    name: str
    value: str
    distribution: str
    version: str
    state: PluginState
    reason: str


_scanned: tuple[tuple[str, ...], Catalog] | None = None


def catalog() -> Catalog:
    """The installed plugins, from the last scan if `sys.path` is still the same."""
    global _scanned
    path = tuple(sys.path)
    scanned = _scanned
    if scanned is None or scanned[0] != path:
        # Two threads may both scan; the second scan costs time and changes nothing.
        scanned = _scanned = (path, _scan())
    return scanned[1]


def refresh_plugins() -> None:
    """Forget the last scan, so that the next use of a plugin's name sees later installations and removals."""
    global _scanned
    _scanned = None


def claims_of(name: str, distribution: str | None) -> tuple[Claim, ...]:
    """The claims of `name`, by all distributions or the given one; scans again before it returns an empty tuple."""
    claims = _known_claims(name, distribution)
    if not claims:
        # It may have been installed since the last scan, for example in a notebook.
        refresh_plugins()
        claims = _known_claims(name, distribution)
    return claims


def _known_claims(name: str, distribution: str | None) -> tuple[Claim, ...]:
    claims = catalog().claims.get(name, ())
    if distribution is None:
        return claims
    wanted = normalized_distribution(distribution)
    return tuple(claim for claim in claims if normalized_distribution(claim.distribution) == wanted)


def only_claim(claims: tuple[Claim, ...], subject: str) -> Claim:
    """The one element of `claims`, which is not empty; `subject` begins the error's message if there are several.

    Raises `AmbiguousPluginError`, or `PluginLoadError` if one distribution claims the name several times.
    """
    if len(claims) == 1:
        return claims[0]
    name = claims[0].name
    distributions = tuple(dict.fromkeys(claim.distribution for claim in claims))
    if len(distributions) == 1:
        raise PluginLoadError(
            f"{subject} could not be loaded: {distributions[0]} {claims[0].version}"
            f" declares it {len(claims)} times, as {' and '.join(claim.value for claim in claims)};"
            " ask its authors to keep one",
            name=name,
        )
    raise AmbiguousPluginError(
        f"{subject} is claimed by several distributions:"
        f" {', '.join(f'{claim.distribution} {claim.version}' for claim in claims)};"
        f" choose with {' or '.join(repr(f'{name}@{distribution}') for distribution in distributions)}",
        name=name,
        distributions=distributions,
    )


def available_plugins() -> tuple[PluginInfo, ...]:
    """Every plugin, built in or installed, sorted by name; imports no plugin.

    Built-in registries come first among equal names. Raises `ConfigurationError` if the settings that block plugins are
    invalid.
    """
    from pytheus.version import __version__

    blocked = plugin_settings().blocked
    plugins: list[PluginInfo] = []
    for name, value in BUILTIN_REGISTRIES.items():
        plugins.append(PluginInfo(name, value, "pytheus", __version__, *_state(name, (), blocked)))
    for name, claims in catalog().claims.items():
        for claim in claims:
            if name in BUILTIN_REGISTRIES:
                state: tuple[PluginState, str] = ("reserved", f"{name!r} is a name of pytheus itself")
            else:
                state = _state(name, claims, blocked)
            plugins.append(PluginInfo(name, claim.value, claim.distribution, claim.version, *state))
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.state == "reserved", plugin.distribution)))


def _state(name: str, claims: tuple[Claim, ...], blocked: Mapping[str, str]) -> tuple[PluginState, str]:
    if name in blocked:
        return "blocked", f"by {blocked[name]}"
    if not is_plugin_name(name):
        return "unnameable", "a plugin's name consists of letters, digits, '_', '.', '-' and '+'"
    if len(claims) > 1:
        return "ambiguous", f"choose with {' or '.join(claim.address for claim in claims)}"
    return "available", ""


def _scan() -> Catalog:
    import importlib.metadata

    claims: dict[str, tuple[Claim, ...]] = {}
    unreadable: list[str] = []
    seen: set[str] = set()
    for found in importlib.metadata.distributions():
        try:
            if GROUP not in (found.read_text("entry_points.txt") or ""):
                continue  # fast path: its other metadata need not be read
            if "Name" not in found.metadata:
                raise ValueError("its metadata have no Name")
            name = found.metadata["Name"]
            key = normalized_distribution(name)
            if key in seen:
                continue
            seen.add(key)
            # Read by name: an older copy further down the path may have entry points that the first one lacks.
            for claim in _claims(importlib.metadata.distribution(name)):
                claims[claim.name] = (*claims.get(claim.name, ()), claim)
        except Exception as error:
            path = getattr(found, "_path", None) or "a distribution without a path"
            unreadable.append(f"{path} ({type(error).__name__}: {error})")
    return Catalog(claims, tuple(unreadable))


def _claims(distribution: Distribution) -> list[Claim]:
    name, version = distribution.metadata["Name"], distribution.version
    claims = {
        (entry_point.name, entry_point.value): Claim(entry_point.name, entry_point.value, name, version, entry_point)
        for entry_point in distribution.entry_points
        if entry_point.group == GROUP
    }
    return list(claims.values())
