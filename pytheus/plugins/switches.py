"""Which plugins are switched off, and which are asked for beside the registry.

``PYTHEUS_PLUGINS="no:redis,audit"`` and ``plugins = ["no:redis", "audit"]`` in the configuration file say the same.
What both say about one name, the variable decides. ``no:NAME`` blocks every plugin of that name, whoever distributes
it, built-in ones included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.address import is_plugin_name
from pytheus.plugins.configuration import Configuration

__all__ = ["Switches", "load_switches"]


class Switches(NamedTuple):
    """`blocked` maps a plugin's name to the setting that blocks it, in words; `selected` are the names asked for."""

    selected: tuple[str, ...]
    blocked: Mapping[str, str]


def load_switches(configuration: Configuration) -> Switches:
    """What ``PYTHEUS_PLUGINS`` and `configuration` say now.

    Raises `ConfigurationError` for an entry that is neither NAME nor no:NAME, and for one setting that says both.
    """
    by_file = _switches(configuration.plugins, f"'plugins' in [tool.pytheus] of {configuration.path}")
    variable = os.environ.get("PYTHEUS_PLUGINS", "").split(",")
    by_variable = _switches((entry for entry in variable if entry.strip()), "PYTHEUS_PLUGINS")
    settings = {**by_file, **by_variable}
    return Switches(
        tuple(name for name, (wanted, _) in settings.items() if wanted),
        MappingProxyType({name: setting for name, (wanted, setting) in settings.items() if not wanted}),
    )


def _switches(entries: Iterable[str], source: str) -> dict[str, tuple[bool, str]]:
    switches: dict[str, tuple[bool, str]] = {}
    for written in entries:
        entry = written.strip()
        wanted = not entry.startswith("no:")
        name = entry if wanted else entry[3:].strip()
        if not is_plugin_name(name):
            raise ConfigurationError(
                f"{source} has the entry {entry!r}, which is neither NAME nor no:NAME of a plugin;"
                " a name consists of letters, digits, '_', '.', '-' and '+'"
            )
        if switches.get(name, (wanted, ""))[0] is not wanted:
            raise ConfigurationError(f"{source} has both {name!r} and 'no:{name}'; keep one of them")
        switches[name] = (wanted, f"{entry!r} in {source}")
    return switches
