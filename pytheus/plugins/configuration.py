"""The configuration file: the table ``[tool.pytheus]`` of a TOML file.

Rules:

- ``PYTHEUS_CONFIG`` names the file; without it, it is the nearest ``pyproject.toml``, from the working directory
  upward. The nearest one decides even if it says nothing about pytheus: what applies must not depend
  on a far-off folder.
- In either file the table is ``[tool.pytheus]``. A file that was named and lacks it was named by mistake; a
  ``pyproject.toml`` that lacks it is nobody's mistake.
- Whatever is wrong with the table stops the choice. Nothing in it is skipped.
- A ``pyproject.toml`` in which the word pytheus does not occur is not parsed, so that an application without any
  configuration neither pays for a TOML parser nor stumbles over a file that does not concern it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.closest import closest

if TYPE_CHECKING:
    from pytheus.plugins.wrapping import WrapLayer

__all__ = ["MAX_FILE_BYTES", "NO_CONFIGURATION", "Configuration", "kind", "load_configuration"]

MAX_FILE_BYTES: Final = 1024 * 1024

_KEYS: Final = ("plugins", "registries", "registry", "wrap")


class Configuration(NamedTuple):
    """What a configuration file says, checked for types and unknown keys; `path` is None where there is no file.

    `registry` is a name or URL as it was written, or None. `plugins` holds its entries as written. `registries` maps a
    plugin's name to its options. `wrap` holds the layers to put before the registry, the innermost first.
    """

    path: str | None
    registry: str | None
    plugins: tuple[str, ...]
    registries: Mapping[str, Mapping[str, object]]
    wrap: tuple[WrapLayer, ...] = ()

    def __repr__(self) -> str:
        return f"<Configuration {self.path}>"  # no more of it, for options and URLs hold credentials


NO_CONFIGURATION: Final = Configuration(None, None, (), MappingProxyType({}))


def load_configuration() -> Configuration:
    """What the configuration file says now; `NO_CONFIGURATION` if there is none.

    Reads ``PYTHEUS_CONFIG`` (empty counts as unset) and the file afresh each time. Raises `ConfigurationError` that
    names the file, and the key where it is one that is wrong.
    """
    named = os.environ.get("PYTHEUS_CONFIG", "").strip()
    if named:
        path = os.path.abspath(named)
        return _configuration(path, _table(path, _read(path, " (from PYTHEUS_CONFIG)"), required=True))
    nearest = _nearest_pyproject()
    if nearest is None:
        return NO_CONFIGURATION
    content = _read(nearest, "")
    if b"pytheus" not in content:
        return NO_CONFIGURATION
    return _configuration(nearest, _table(nearest, content, required=False))


def _nearest_pyproject() -> str | None:
    try:
        folder = os.getcwd()
    except OSError:
        return None  # the working directory was removed, and nothing is above it
    while True:
        path = os.path.join(folder, "pyproject.toml")
        if os.path.isfile(path):
            return path
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _read(path: str, source: str) -> bytes:
    subject = f"configuration file {path}{source}"
    if os.path.exists(path) and not os.path.isfile(path):
        # Opening a named pipe would wait for its writer.
        raise ConfigurationError(f"{subject} is no regular file; name a TOML file")
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{subject} does not exist; create it or unset PYTHEUS_CONFIG") from error
    except OSError as error:
        raise ConfigurationError(
            f"{subject} cannot be read: {error.strerror or error}; make it readable, or name another in PYTHEUS_CONFIG"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{subject} is larger than {MAX_FILE_BYTES} bytes; is it the file that was meant?")
    return content


def _table(path: str, content: bytes, *, required: bool) -> Mapping[str, object]:
    import tomllib  # loaded late: only a program that is configured by a file needs it

    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"configuration file {path} is no valid TOML: {error}") from error
    tool = document.get("tool", {})
    table = tool.get("pytheus") if isinstance(tool, dict) else None
    if isinstance(table, dict):
        return table
    if table is not None:
        raise ConfigurationError(f"{path}: 'tool.pytheus' must be a table but is {kind(table)}; write [tool.pytheus]")
    if required:
        hint = " ([pytheus] is not looked at)" if "pytheus" in document else ""
        raise ConfigurationError(
            f"configuration file {path} (from PYTHEUS_CONFIG) has no table [tool.pytheus]{hint}; add it, even empty"
        )
    return {}


def _configuration(path: str, table: Mapping[str, object]) -> Configuration:
    for key in table:
        if key not in _KEYS:
            meant = closest(key, _KEYS)
            hint = f"did you mean {meant!r}? " if meant is not None else ""
            raise ConfigurationError(
                f"{path}: [tool.pytheus] has the unknown key {key!r}; {hint}it takes: {', '.join(_KEYS)}"
            )
    registry = table.get("registry")
    if registry is not None and not isinstance(registry, str):
        raise ConfigurationError(
            f"{path}: 'registry' in [tool.pytheus] must be a string, a registry's name or URL, but is {kind(registry)}"
        )
    return Configuration(
        path,
        registry,
        _plugins(path, table.get("plugins")),
        _registries(path, table.get("registries")),
        _wrap(path, table.get("wrap")),
    )


def _wrap(path: str, wrap: object) -> tuple[WrapLayer, ...]:
    if wrap is None:
        return ()
    from pytheus.plugins.wrapping import parse_wrap  # loaded late: only a file that puts layers somewhere needs it

    return parse_wrap(path, wrap)


def _plugins(path: str, plugins: object) -> tuple[str, ...]:
    if plugins is None:
        return ()
    entries: list[str] = []
    for entry in plugins if isinstance(plugins, list) else (None,):
        if not isinstance(entry, str):
            raise ConfigurationError(
                f"{path}: 'plugins' in [tool.pytheus] must be an array of strings but"
                f" {f'has an item that is {kind(entry)}' if isinstance(plugins, list) else f'is {kind(plugins)}'};"
                ' write plugins = ["no:NAME"]'
            )
        entries.append(entry)
    return tuple(entries)


def _registries(path: str, registries: object) -> Mapping[str, Mapping[str, object]]:
    if registries is None:
        return MappingProxyType({})
    if not isinstance(registries, dict):
        raise ConfigurationError(
            f"{path}: 'registries' in [tool.pytheus] must be a table but is {kind(registries)};"
            " write [tool.pytheus.registries.NAME]"
        )
    for name, options in registries.items():
        if not isinstance(options, dict):
            raise ConfigurationError(
                f"{path}: {name!r} in [tool.pytheus.registries] must be a table of that registry's options but is"
                f" {kind(options)}; write [tool.pytheus.registries.{name}]"
            )
    return MappingProxyType({name: MappingProxyType(options) for name, options in registries.items()})


def kind(value: object) -> str:
    """What `value` is called in TOML."""
    # The value itself is not shown: a URL or an option may hold a credential.
    kinds = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
    return kinds.get(type(value), f"a {type(value).__name__}")
