"""The settings: the configuration file, the environment, and which of them decides.

Rules:

- ``PYTHEUS_CONFIG`` names the configuration file; without it, the file is the nearest ``pyproject.toml``, from the
  working directory upward. The nearest one decides even if it has no setting for pytheus: which settings apply must not
  depend on a distant folder.
- In either file the table is ``[tool.pytheus]``. A file that was named and lacks it was named by mistake; a
  ``pyproject.toml`` may lack it.
- An error in the table stops the choice. Nothing in it is skipped. `pytheus.plugins.config_table` parses it.
- A ``pyproject.toml`` that does not contain the word pytheus is not parsed, so that an application without any
  configuration does not pay for a TOML parser and is not stopped by a mistake in a file about something else.
- The registry: the argument decides over ``PYTHEUS_REGISTRY``, that over ``registry`` in the file, that over "default".
  An empty variable counts as unset. An empty argument, or an empty string in a file, is a mistake, which the grammar of
  addresses refuses.
- Plugins: ``PYTHEUS_PLUGINS="no:redis,audit"`` and ``plugins = ["no:redis", "audit"]`` in the file are equivalent. If
  both have an entry for a name, the variable decides; the file's plugins come first. ``no:NAME`` blocks every plugin of
  that name, of any distribution, built-in ones included.

    entry = NAME / NAME "@" DISTRIBUTION / "no:" NAME

- Strict mode: ``PYTHEUS_STRICT`` (1, 0, true or false) decides over ``strict`` in the file; without both it is off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pytheus.exceptions import ConfigurationError, RegistryAddressError
from pytheus.plugins.address import is_plugin_name, parse_plugin, redact

if TYPE_CHECKING:
    from pytheus.plugins.layers import WrapLayer

__all__ = [
    "MAX_FILE_BYTES",
    "NO_CONFIGURATION",
    "Choice",
    "Configuration",
    "NamedPlugin",
    "Origin",
    "PluginSettings",
    "StrictChoice",
    "choose",
    "choose_strict",
    "configured_strict",
    "load_configuration",
    "plugin_settings",
    "settings_with",
]

MAX_FILE_BYTES: Final = 1024 * 1024

_BLOCK: Final = "no:"


class Configuration(NamedTuple):
    """The content of a configuration file, checked for types and unknown keys; `path` is None if there is no file.

    `registry` is a name or URL as it was written, or None. `plugins` has its entries as written. `registries` maps a
    plugin's name to its options. `wrap` has the layers to put before the registry, the innermost first. `strict` is
    None if the file has no such key.
    """

    path: str | None
    registry: str | None
    plugins: tuple[str, ...]
    registries: Mapping[str, Mapping[str, object]]
    wrap: tuple[WrapLayer, ...] = ()
    strict: bool | None = None

    def table_source(self, name: str) -> str:
        """The words for where the options of the registry `name` were written."""
        return f"from [tool.pytheus.registries.{name}] in {self.path}"

    def __repr__(self) -> str:
        return f"<Configuration {self.path}>"  # nothing else, because options and URLs contain credentials


NO_CONFIGURATION: Final = Configuration(None, None, (), MappingProxyType({}))


def load_configuration() -> Configuration:
    """The present content of the configuration file; `NO_CONFIGURATION` if there is no file.

    Reads ``PYTHEUS_CONFIG`` (empty counts as unset) and the file each time. Raises `ConfigurationError`, which names
    the file, and the key if one is wrong.
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
        return None  # the working directory was removed, so it has no parents
    while not os.path.isfile(path := os.path.join(folder, "pyproject.toml")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return path


def _read(path: str, source: str) -> bytes:
    subject = f"configuration file {path}{source}"
    if os.path.exists(path) and not os.path.isfile(path):
        # Opening a named pipe would wait for its writer.
        raise ConfigurationError(f"{subject} is not a regular file; name a TOML file")
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
        raise ConfigurationError(f"{subject} is larger than {MAX_FILE_BYTES} bytes; is it the right file?")
    return content


def _table(path: str, content: bytes, *, required: bool) -> object:
    """The TOML value of ``tool.pytheus`` in `content`, or an empty table."""
    import tomllib

    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"configuration file {path} is not valid TOML: {error}") from error
    tool = document.get("tool", {})
    if isinstance(tool, dict) and "pytheus" in tool:
        return tool["pytheus"]
    if required:
        hint = " ([pytheus] is not read)" if "pytheus" in document else ""
        raise ConfigurationError(
            f"configuration file {path} (from PYTHEUS_CONFIG) has no table [tool.pytheus]{hint}; add it, even empty"
        )
    return {}


def _configuration(path: str, table: object) -> Configuration:
    if table == {}:
        return NO_CONFIGURATION._replace(path=path)
    from pytheus.plugins.config_table import parse_table

    parsed = parse_table(path, table)
    registries = {name: MappingProxyType(options) for name, options in parsed.registries.items()}
    return Configuration(
        path, parsed.registry, tuple(parsed.plugins), MappingProxyType(registries), parsed.layers, parsed.strict
    )


# The registry ---------------------------------------------------------------------------------------------------------

Origin = Literal["argument", "environment", "configuration", "default"]


class Choice(NamedTuple):
    """A registry's name or URL as it was written, where, and the same in words: "from PYTHEUS_REGISTRY"."""

    text: str
    origin: Origin
    source: str

    def __repr__(self) -> str:
        return f"<Choice {redact(self.text)} {self.source}>"


def choose(argument: str | None, configuration: Configuration) -> Choice:
    """The registry that `argument`, the environment, or `configuration` chooses, in this order."""
    if argument is not None:
        if not isinstance(argument, str):
            raise RegistryAddressError(
                f"a registry is chosen by a name or URL but got {type(argument).__name__};"
                " pass a registry object to REGISTRY.set_registry(...)"
            )
        return Choice(argument.strip(), "argument", "as argument")
    variable = os.environ.get("PYTHEUS_REGISTRY", "").strip()
    if variable:
        return Choice(variable, "environment", "from PYTHEUS_REGISTRY")
    if configuration.registry is not None:
        return Choice(configuration.registry.strip(), "configuration", f"from {configuration.path}")
    return Choice("default", "default", "by default")


# Strict mode ----------------------------------------------------------------------------------------------------------

_STRICT_WORDS: Final = {"1": True, "true": True, "0": False, "false": False}


class StrictChoice(NamedTuple):
    """Whether label values that are neither str nor int are refused, and who decides: "from PYTHEUS_STRICT"."""

    is_strict: bool
    source: str


def choose_strict(configuration: Configuration) -> StrictChoice:
    """The strict mode that the environment, or else `configuration`, chooses; raises `ConfigurationError`."""
    variable = os.environ.get("PYTHEUS_STRICT", "").strip()
    if variable:
        word = _STRICT_WORDS.get(variable.lower())
        if word is None:
            raise ConfigurationError(f"PYTHEUS_STRICT must be 1, 0, true or false but is {variable!r:.40}")
        return StrictChoice(word, "from PYTHEUS_STRICT")
    if configuration.strict is not None:
        return StrictChoice(configuration.strict, f"from {configuration.path}")
    return StrictChoice(False, "by default")


def configured_strict() -> bool:
    """Whether the settings choose strict mode. Reads the environment and the file each time.

        >>> configured_strict()
        False

    Raises `ConfigurationError` for a setting that is not valid.
    """
    return choose_strict(load_configuration()).is_strict


# Plugins --------------------------------------------------------------------------------------------------------------


class NamedPlugin(NamedTuple):
    """A plugin that a setting names to be active: its `distribution`, None for any, and the `setting`, in words.

    >>> str(NamedPlugin("audit", "acme-audit", "'audit@acme-audit' in PYTHEUS_PLUGINS"))
    'audit@acme-audit'
    """

    name: str
    distribution: str | None
    setting: str

    def __str__(self) -> str:
        return self.name if self.distribution is None else f"{self.name}@{self.distribution}"


class PluginSettings(NamedTuple):
    """The present settings of plugins and layers, for commands that show them.

        >>> plugin_settings().named
        ()

    `named` are the plugins in the order in which their hooks are called, `blocked` maps names to the settings that
    block them, and `wrap` has the innermost layer first. `path` is the configuration file's, or None. The plugins are
    neither looked up nor imported.
    """

    path: str | None
    named: tuple[NamedPlugin, ...]
    blocked: Mapping[str, str]
    wrap: tuple[WrapLayer, ...]


def plugin_settings() -> PluginSettings:
    """The settings of plugins and layers in the environment and the file; raises `ConfigurationError`."""
    return settings_with(load_configuration())


def settings_with(configuration: Configuration) -> PluginSettings:
    """The settings of plugins and layers in the environment and in `configuration`.

    Raises `ConfigurationError` for an entry of another form, and for one setting with two entries for a name.
    """
    by_file = _entries(configuration.plugins, f"'plugins' in [tool.pytheus] of {configuration.path}")
    variable = os.environ.get("PYTHEUS_PLUGINS", "").split(",")
    by_variable = _entries((entry for entry in variable if entry.strip()), "PYTHEUS_PLUGINS")
    settings = {**by_file, **by_variable}
    return PluginSettings(
        configuration.path,
        tuple(wanted for wanted in settings.values() if isinstance(wanted, NamedPlugin)),
        MappingProxyType({name: setting for name, setting in settings.items() if isinstance(setting, str)}),
        configuration.wrap,
    )


def _entries(entries: Iterable[str], source: str) -> dict[str, NamedPlugin | str]:
    """By name: the plugin that is named, or the setting that blocks it."""
    by_name: dict[str, NamedPlugin | str] = {}
    first: dict[str, str] = {}
    for written in entries:
        entry = written.strip()
        setting = f"{entry!r} in {source}"
        wanted: NamedPlugin | str
        if entry.startswith(_BLOCK) and is_plugin_name(name := entry.removeprefix(_BLOCK).strip()):
            entry, wanted = f"{_BLOCK}{name}", setting
        elif (plugin := parse_plugin(entry)) is not None:
            name, distribution = plugin
            wanted = NamedPlugin(name, distribution, setting)
        else:
            raise ConfigurationError(
                f"{source} has the entry {entry!r}, which is neither NAME, NAME@DISTRIBUTION nor no:NAME of a plugin;"
                " a name consists of letters, digits, '_', '.', '-' and '+'"
            )
        if first.setdefault(name, entry) != entry:
            raise ConfigurationError(f"{source} has both {first[name]!r} and {entry!r}; keep one of them")
        by_name[name] = wanted
    return by_name
