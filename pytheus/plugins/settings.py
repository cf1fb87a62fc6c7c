"""What is configured about plugins, as it stands now, for commands that show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pytheus.plugins.configuration import load_configuration
from pytheus.plugins.switches import NamedPlugin, load_switches

if TYPE_CHECKING:
    from pytheus.plugins.wrapping import WrapLayer

__all__ = ["PluginSettings", "plugin_settings"]


class PluginSettings(NamedTuple):
    """The plugins that were named, in the order in which they are asked; by name, the settings that block; the layers.

        >>> plugin_settings().named
        ()

    `wrap` has the innermost layer first. `path` is the configuration file's, or None. Whether the named plugins are
    installed is not looked up, and nothing is imported.
    """

    path: str | None
    named: tuple[NamedPlugin, ...]
    blocked: Mapping[str, str]
    wrap: tuple[WrapLayer, ...]


def plugin_settings() -> PluginSettings:
    """What the environment and the configuration file say of plugins and layers; raises `ConfigurationError`."""
    configuration = load_configuration()
    named, blocked = load_switches(configuration)
    return PluginSettings(configuration.path, named, blocked, configuration.wrap)
