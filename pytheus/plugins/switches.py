"""Which plugins are switched off, and which are asked for beside the registry.

``PYTHEUS_PLUGINS="no:redis,audit"`` and ``plugins = ["no:redis", "audit"]`` in the configuration file say the same.

    entry = NAME / NAME "@" DISTRIBUTION / "no:" NAME

What both say about one name, the variable decides; the file's plugins come first. ``no:NAME`` blocks every plugin of
that name, whoever distributes it, built-in ones included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.address import is_plugin_name, parse_plugin
from pytheus.plugins.configuration import Configuration

__all__ = ["NamedPlugin", "Switches", "load_switches"]


class NamedPlugin(NamedTuple):
    """A plugin that was named to be active: its `distribution`, None where any will do, and the `setting`, in words.

    >>> str(NamedPlugin("audit", "acme-audit", "'audit@acme-audit' in PYTHEUS_PLUGINS"))
    'audit@acme-audit'
    """

    name: str
    distribution: str | None
    setting: str

    def __str__(self) -> str:
        return self.name if self.distribution is None else f"{self.name}@{self.distribution}"


class Switches(NamedTuple):
    """`named` are the plugins to be active, in this order; `blocked` maps a name to the setting that blocks it."""

    named: tuple[NamedPlugin, ...]
    blocked: Mapping[str, str]


def load_switches(configuration: Configuration) -> Switches:
    """What ``PYTHEUS_PLUGINS`` and `configuration` say now; imports nothing and looks for no plugin.

    Raises `ConfigurationError` for an entry that is none of those above, and for one setting that says two things.
    """
    by_file = _switches(configuration.plugins, f"'plugins' in [tool.pytheus] of {configuration.path}")
    variable = os.environ.get("PYTHEUS_PLUGINS", "").split(",")
    by_variable = _switches((entry for entry in variable if entry.strip()), "PYTHEUS_PLUGINS")
    settings = {**by_file, **by_variable}
    return Switches(
        tuple(NamedPlugin(name, *wanted) for name, wanted in settings.items() if isinstance(wanted, tuple)),
        MappingProxyType({name: setting for name, setting in settings.items() if isinstance(setting, str)}),
    )


def _switches(entries: Iterable[str], source: str) -> dict[str, tuple[str | None, str] | str]:
    """By name: the distribution and the setting of a plugin that is named, or the setting that blocks it."""
    switches: dict[str, tuple[str | None, str] | str] = {}
    first: dict[str, str] = {}
    for written in entries:
        entry = written.strip()
        setting = f"{entry!r} in {source}"
        wanted: tuple[str | None, str] | str
        if entry.startswith("no:") and is_plugin_name(name := entry[3:].strip()):
            entry, wanted = f"no:{name}", setting
        elif (plugin := parse_plugin(entry)) is not None:
            name, distribution = plugin
            wanted = (distribution, setting)
        else:
            raise ConfigurationError(
                f"{source} has the entry {entry!r}, which is neither NAME, NAME@DISTRIBUTION nor no:NAME of a plugin;"
                " a name consists of letters, digits, '_', '.', '-' and '+'"
            )
        if first.setdefault(name, entry) != entry:
            raise ConfigurationError(f"{source} has both {first[name]!r} and {entry!r}; keep one of them")
        switches[name] = wanted
    return switches
