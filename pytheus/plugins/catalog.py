"""The installed plugins: entry points of the group "pytheus" (https://packaging.python.org/specifications/entry-points/).

Rules:

- Metadata is read, and nothing is imported. One scan serves until `sys.path` changes or `refresh_plugins` is called.
- A plugin that `importlib.metadata.entry_points` lists can be chosen, even if its distribution's other metadata is
  damaged. Damage is listed with its reason, and never hides another plugin.
- A distribution that is on `sys.path` twice counts once, as the one that an import would find.
"""

from __future__ import annotations

import re
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

_VALUE: Final = re.compile(r"[\w.]+\s*(?::\s*[\w.]+\s*)?(?:\[.*\]\s*)?")

PluginState = Literal["available", "ambiguous", "blocked", "broken", "reserved", "unnameable"]


class Claim(NamedTuple):
    """A distribution's entry point, which claims `name` for the object that `value` names.

    `defect` is the damage of the entry point or of its distribution's metadata, or "".
    """

    name: str
    value: str
    distribution: str
    version: str
    entry_point: EntryPoint
    defect: str = ""

    def __str__(self) -> str:
        return f"entry point '{self.name} = {self.value}' of {self.distribution} {self.version}"

    @property
    def mistake(self) -> str:
        """The reason why the entry point cannot be loaded, or ""."""
        # https://packaging.python.org/en/latest/specifications/entry-points/#data-model
        if _VALUE.fullmatch(self.value) is None:
            return f"it names {self.value!r:.80}, which is neither MODULE nor MODULE:ATTRIBUTE"
        return ""

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
    with NAME@DISTRIBUTION); "blocked" (`reason` has the setting); "broken" (`reason` is the damage of its
    metadata; if only the version is missing, it can be chosen all the same); "reserved" (the name is built in, and this
    entry point is never used); or "unnameable" (the name does not follow the grammar of addresses). `reason` is "" if
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
        if mistake := claims[0].mistake:
            raise PluginLoadError(
                f"{subject} could not be loaded: {claims[0]} is malformed: {mistake}; ask its authors to correct it",
                name=claims[0].name,
            )
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
        plugins.append(PluginInfo(name, value, "pytheus", __version__, *_state(name, None, (), blocked)))
    for name, claims in catalog().claims.items():
        for claim in claims:
            if name in BUILTIN_REGISTRIES:
                state: tuple[PluginState, str] = ("reserved", f"{name!r} is a name of pytheus itself")
            else:
                state = _state(name, claim, claims, blocked)
            plugins.append(PluginInfo(name, claim.value, claim.distribution, claim.version, *state))
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.state == "reserved", plugin.distribution)))


def _state(
    name: str, claim: Claim | None, claims: tuple[Claim, ...], blocked: Mapping[str, str]
) -> tuple[PluginState, str]:
    if name in blocked:
        return "blocked", f"by {blocked[name]}"
    if claim is not None and claim.defect:
        return "broken", claim.defect
    if not is_plugin_name(name):
        return "unnameable", "a plugin's name consists of letters, digits, '_', '.', '-' and '+'"
    distributions = {normalized_distribution(other.distribution) for other in claims}
    if len(claims) > len(distributions) == 1:
        return "broken", f"its distribution declares it {len(claims)} times"
    if len(claims) > 1:
        return "ambiguous", f"choose with {' or '.join(dict.fromkeys(other.address for other in claims))}"
    return "available", ""


def _scan() -> Catalog:
    import importlib.metadata

    claims: dict[str, tuple[Claim, ...]] = {}
    unreadable: list[str] = []
    seen: set[str] = set()
    remaining = iter(importlib.metadata.distributions())
    while True:
        found: Distribution | None = None
        try:
            found = next(remaining)
            if GROUP not in (found.read_text("entry_points.txt") or ""):
                # An older copy further down the path may have entry points that this one lacks.
                seen.add(_key(found))
                continue
            identity = _identity(found)
            key = normalized_distribution(identity.name)
            if key not in seen:
                seen.add(key)
                for claim in _claims(found, identity):
                    claims[claim.name] = (*claims.get(claim.name, ()), claim)
        except StopIteration:
            return Catalog(claims, tuple(unreadable))
        except Exception as error:
            path = getattr(found, "_path", None) or "a distribution without a path"
            unreadable.append(f"{path} ({type(error).__name__}: {error})")
            if found is None:  # a finder failed, which ends the iteration
                return Catalog(claims, tuple(unreadable))


class _Identity(NamedTuple):
    """The name and version of a distribution, and the damage of its metadata, or ""."""

    name: str
    version: str
    defect: str


# https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-dist-info-directory
_DIRECTORY: Final = re.compile(r"(?P<name>[^-]+)(?:-(?P<version>[^-]+))?\.(?:dist|egg)-info")


def _directory(distribution: Distribution) -> str:
    return str(getattr(getattr(distribution, "_path", None), "name", ""))


def _key(distribution: Distribution) -> str:
    """The normalized name of a distribution without plugins; its metadata is not read if its directory has the name."""
    directory = _DIRECTORY.fullmatch(_directory(distribution))
    return normalized_distribution(_identity(distribution).name if directory is None else directory["name"])


def _identity(distribution: Distribution) -> _Identity:
    directory = _directory(distribution)
    stem = directory.rpartition(".")[0]
    # For metadata without a name or version: "demo-a-1.0.dist-info" is not written by the specification, but is read.
    name, _, version = stem.rpartition("-") if "-" in stem else (stem or "unknown", "", "")
    defect = ""
    try:
        metadata = distribution.metadata
        values = {field: str(metadata[field]).strip() for field in ("Name", "Version") if field in metadata}
    except Exception as error:
        values, defect = {}, f"its METADATA cannot be read ({type(error).__name__}: {error})"
    missing = [field for field in ("Name", "Version") if not values.get(field)]
    if missing and not defect:
        defect = f"its METADATA has no {' and no '.join(missing)}"
    return _Identity(values.get("Name") or name, values.get("Version") or version or "unknown", defect)


def _claims(distribution: Distribution, identity: _Identity) -> list[Claim]:
    try:
        found = list(distribution.entry_points)
    except Exception:
        # One malformed line must not hide the others.
        found = _tolerantly_parsed(distribution.read_text("entry_points.txt") or "")
    claims: dict[tuple[str, str], Claim] = {}
    for point in found:
        if point.group == GROUP:
            claim = Claim(point.name, point.value, identity.name, identity.version, point)
            claims[point.name, point.value] = claim._replace(defect=claim.mistake or identity.defect)
    return list(claims.values())


def _tolerantly_parsed(text: str) -> list[EntryPoint]:
    from importlib.metadata import EntryPoint

    parsed: list[EntryPoint] = []
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == GROUP and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            point = EntryPoint.__new__(EntryPoint)  # from Python 3.15 on, the constructor refuses a malformed value
            vars(point).update(name=name.strip(), value=value.strip(), group=GROUP)
            parsed.append(point)
    return parsed
