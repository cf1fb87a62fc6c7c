"""Choosing a registry by name: the hook that a plugin implements, its options, and the way from a name to a registry.

The names below load the module that has them when they are first used (PEP 562), so that an application that names no
plugin imports neither pluggy nor any package metadata. https://peps.python.org/pep-0562/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.plugins.address import RegistryAddress
    from pytheus.plugins.catalog import PluginInfo, available_plugins, refresh_plugins
    from pytheus.plugins.hooks import PLUGIN_API_VERSIONS
    from pytheus.plugins.loading import implemented_hooks
    from pytheus.plugins.marker import hookimpl
    from pytheus.plugins.options import RegistryOptions
    from pytheus.plugins.resolution import configure, resolve_registry
    from pytheus.plugins.settings import PluginSettings, plugin_settings
    from pytheus.plugins.switches import NamedPlugin
    from pytheus.plugins.wrapping import WrapLayer

__all__ = [
    "PLUGIN_API_VERSIONS",
    "NamedPlugin",
    "PluginInfo",
    "PluginSettings",
    "RegistryAddress",
    "RegistryOptions",
    "WrapLayer",
    "available_plugins",
    "configure",
    "hookimpl",
    "implemented_hooks",
    "plugin_settings",
    "refresh_plugins",
    "resolve_registry",
]

if not TYPE_CHECKING:  # for checkers would take the package to have every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "PLUGIN_API_VERSIONS": "pytheus.plugins.hooks",
            "NamedPlugin": "pytheus.plugins.switches",
            "PluginInfo": "pytheus.plugins.catalog",
            "PluginSettings": "pytheus.plugins.settings",
            "RegistryAddress": "pytheus.plugins.address",
            "RegistryOptions": "pytheus.plugins.options",
            "WrapLayer": "pytheus.plugins.wrapping",
            "available_plugins": "pytheus.plugins.catalog",
            "configure": "pytheus.plugins.resolution",
            "hookimpl": "pytheus.plugins.marker",
            "implemented_hooks": "pytheus.plugins.loading",
            "plugin_settings": "pytheus.plugins.settings",
            "refresh_plugins": "pytheus.plugins.catalog",
            "resolve_registry": "pytheus.plugins.resolution",
        },
    )
