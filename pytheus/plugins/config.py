"""The settings: the configuration file, the environment, and which of them decides.

Rules:

- `pytheus.plugins.config_file` finds the file and reads its table ``[tool.pytheus]``, `pytheus.plugins.config_table`
  parses it. An error in the table stops the choice. Nothing in it is skipped.
- The registry: the argument decides over ``PYTHEUS_REGISTRY``, that over ``registry`` in the file, that over "default".
  An empty variable counts as unset. An empty argument, or an empty string in a file, is a mistake, which the grammar of
  addresses refuses.
- Plugins: ``PYTHEUS_PLUGINS="no:redis,audit"`` and ``plugins = ["no:redis", "audit"]`` in the file are equivalent. If
  both have an entry for a name, the variable decides; the file's plugins come first. ``no:NAME`` blocks every plugin of
  that name, of any distribution, built-in ones included.

    entry = NAME / NAME "@" DISTRIBUTION / "no:" NAME

- Settings of the whole process: ``PYTHEUS_STRICT`` (1, 0, true or false) decides over ``strict`` in the file, and
  without both it is off. In the same way ``PYTHEUS_NAMES`` (legacy or utf8) decides over ``names``, and
  ``PYTHEUS_CREATED_LINES`` over ``created_lines``.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pytheus.exceptions import ConfigurationError, PytheusWarning, RegistryAddressError
from pytheus.plugins.address import is_plugin_name, parse_plugin, redact
from pytheus.plugins.config_file import LookedAt, read_configuration_file

if TYPE_CHECKING:
    from pytheus.plugins.layers import WrapLayer

__all__ = [
    "NO_CONFIGURATION",
    "Choice",
    "Configuration",
    "NamedPlugin",
    "Origin",
    "PluginSettings",
    "SETTINGS",
    "SettingChoice",
    "choose",
    "choose_setting",
    "configured_setting",
    "configured_strict",
    "load_configuration",
    "plugin_settings",
    "plugins_variable",
    "settings_with",
]

_BLOCK: Final = "no:"
_SHOWN_ENTRY: Final = r"(?:no:)?[\w .+@-]{0,40}"


class Configuration(NamedTuple):
    """The content of a configuration file, checked for types and unknown keys; `path` is None if there is no table.

    `registry` is a name or URL as it was written, or None. `plugins` has its entries as written. `registries` maps a
    plugin's name to its options. `wrap` has the layers to put before the registry, the innermost first. `settings` has
    the settings of the whole process that the file has. `looked_at` has each file that was looked at with the decision
    about it, and `warnings` are about files and tables that are ignored. `run` has the options of
    ``pytheus run``, and `lint` those of ``pytheus lint``.
    """

    path: str | None
    registry: str | None
    plugins: tuple[str, ...]
    registries: Mapping[str, Mapping[str, object]]
    wrap: tuple[WrapLayer, ...] = ()
    settings: Mapping[str, bool | str] = MappingProxyType({})
    looked_at: tuple[LookedAt, ...] = ()
    warnings: tuple[str, ...] = ()
    run: Mapping[str, bool | int | float | str] = MappingProxyType({})
    lint: Mapping[str, int | str | tuple[str, ...]] = MappingProxyType({})

    def table_source(self, name: str) -> str:
        """The words for where the options of the registry `name` were written."""
        return f"from [tool.pytheus.registries.{name}] in {self.path}"

    def __repr__(self) -> str:
        return f"<Configuration {self.path}>"  # nothing else, because options and URLs contain credentials


NO_CONFIGURATION: Final = Configuration(None, None, (), MappingProxyType({}))


def load_configuration() -> Configuration:
    """The present content of the configuration file; equal to `NO_CONFIGURATION` if no file was looked at.

    Reads ``PYTHEUS_CONFIG`` (empty counts as unset) and the file each time. Raises `ConfigurationError`, which names
    the file, and the key if one is wrong.
    """
    path, table, looked_at, ignored = read_configuration_file()
    if path is None or table == {}:
        return NO_CONFIGURATION._replace(path=path, looked_at=looked_at, warnings=ignored)
    from pytheus.plugins.config_table import parse_table

    parsed = parse_table(path, table)
    registries = {name: MappingProxyType(options) for name, options in parsed.registries.items()}
    return Configuration(
        path,
        parsed.registry,
        tuple(parsed.plugins),
        MappingProxyType(registries),
        parsed.layers,
        MappingProxyType(parsed.settings),
        looked_at,
        ignored,
        MappingProxyType(parsed.run_options),
        MappingProxyType(parsed.lint_options),
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


# Settings of the process ----------------------------------------------------------------------------------------------

_BOOLEANS: Final[dict[str, bool | str]] = {"1": True, "true": True, "0": False, "false": False}
_NAME_RULES: Final[dict[str, bool | str]] = {"legacy": "legacy", "utf8": "utf8"}


class _Setting(NamedTuple):
    """The variable of a setting, its values by their words there, these words in a message, and the default."""

    variable: str
    words: Mapping[str, bool | str]
    expected: str
    default: bool | str


_SETTINGS: Final = {
    "strict": _Setting("PYTHEUS_STRICT", _BOOLEANS, "1, 0, true or false", False),
    "names": _Setting("PYTHEUS_NAMES", _NAME_RULES, "legacy or utf8", "legacy"),
    "created_lines": _Setting("PYTHEUS_CREATED_LINES", _BOOLEANS, "1, 0, true or false", False),
}

SETTINGS: Final = tuple(_SETTINGS)
"""The keys of the settings of the whole process, in the configuration file and for `choose_setting`."""


class SettingChoice(NamedTuple):
    """The value of a setting, and who decides: "from PYTHEUS_STRICT"."""

    value: bool | str
    source: str


def choose_setting(key: str, configuration: Configuration) -> SettingChoice:
    """The value that the environment, or else `configuration`, chooses; raises `ConfigurationError`."""
    setting = _SETTINGS[key]
    variable = os.environ.get(setting.variable, "").strip()
    if variable:
        word = setting.words.get(variable.lower())
        if word is None:
            got = repr(variable) if re.fullmatch(_SHOWN_ENTRY, variable) else "another text"
            raise ConfigurationError(f"{setting.variable} must be {setting.expected} but is {got}")
        return SettingChoice(word, f"from {setting.variable}")
    value = configuration.settings.get(key)
    if value is not None:
        return SettingChoice(value, f"from {configuration.path}")
    return SettingChoice(setting.default, "by default")


def configured_setting(key: str) -> bool | str:
    """The value of the setting `key` that the environment and the file choose, which are read each time.

        >>> [configured_setting(key) for key in SETTINGS]
        [False, 'legacy', False]

    Raises `ConfigurationError` for a setting that is not valid.
    """
    configuration = load_configuration()
    for warning in configuration.warnings:
        warnings.warn(warning, PytheusWarning, stacklevel=2)
    return choose_setting(key, configuration).value


def configured_strict() -> bool:
    """Whether the settings choose strict mode. Reads the environment and the file each time.

        >>> configured_strict()
        False

    Raises `ConfigurationError` for a setting that is not valid.
    """
    return configured_setting("strict") is True


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


def plugins_variable() -> dict[str, str]:
    """The variable by which another process has the plugins of this one, or {} if the file has no settings.

    Its value names and blocks the same plugins in any directory. Raises `ConfigurationError`.
    """
    settings = plugin_settings()
    entries = [*map(str, settings.named), *(_BLOCK + name for name in settings.blocked)]
    return {} if settings.path is None or not entries else {"PYTHEUS_PLUGINS": ",".join(entries)}


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
    for position, written in enumerate(entries, 1):
        entry = written.strip()
        setting = f"{entry!r} in {source}"
        wanted: NamedPlugin | str
        if entry.startswith(_BLOCK) and is_plugin_name(name := entry.removeprefix(_BLOCK).strip()):
            entry, wanted = f"{_BLOCK}{name}", setting
        elif (plugin := parse_plugin(entry)) is not None:
            name, distribution = plugin
            wanted = NamedPlugin(name, distribution, setting)
        else:
            # An address may be here by mistake, with its password.
            shown = f"the entry {entry!r}" if re.fullmatch(_SHOWN_ENTRY, entry) else f"the entry {position}"
            raise ConfigurationError(
                f"{source} has {shown}, which is neither NAME, NAME@DISTRIBUTION nor no:NAME of a plugin;"
                " a name consists of letters, digits, '_', '.', '-' and '+'"
            )
        if first.setdefault(name, entry) != entry:
            raise ConfigurationError(f"{source} has both {first[name]!r} and {entry!r}; keep one of them")
        by_name[name] = wanted
    return by_name
