"""Choosing a registry by name: hooks, options, and the way from a name to a registry.

- `address`: the grammar of names and URLs
- `catalog`: the installed plugins
- `config`: the settings, and which of them decides
- `config_file`: which configuration file is read, and whether it is obeyed
- `config_table`: the structure of ``[tool.pytheus]``, which msgspec parses
- `conversion`: the conversion of an option's value to the type that a plugin declares
- `hook_marker`: `hookimpl`, which marks a plugin's implementation of a hook
- `hooks`: the hooks and their contracts
- `layers`: the layers that a configuration file puts before the registry
- `loader`: import a plugin, check it and call its hooks
- `observer`: the layer that calls the plugins' observers
- `options`: the options of a registry, as a plugin reads them
- `plan`: which registry and plugins would be used, or why not
- `redaction`: display of addresses and options without credentials
- `resolve`: carry out a plan

A module is imported when one of its names below is first used (PEP 562), so that an application that names no plugin
imports neither pluggy nor any package metadata. https://peps.python.org/pep-0562/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.plugins.address import RegistryAddress
    from pytheus.plugins.catalog import PluginInfo, available_plugins, refresh_plugins
    from pytheus.plugins.config import NamedPlugin, PluginSettings, configured_strict, plugin_settings
    from pytheus.plugins.hook_marker import hookimpl
    from pytheus.plugins.hooks import PLUGIN_API_VERSIONS
    from pytheus.plugins.layers import WrapLayer
    from pytheus.plugins.loader import implemented_hooks
    from pytheus.plugins.options import RegistryOptions
    from pytheus.plugins.redaction import hide
    from pytheus.plugins.resolve import configure, resolve_registry

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
    "configured_strict",
    "hide",
    "hookimpl",
    "implemented_hooks",
    "plugin_settings",
    "refresh_plugins",
    "resolve_registry",
]

if not TYPE_CHECKING:  # type checkers would accept any name of a package with `__getattr__`
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "pytheus.plugins.address": ["RegistryAddress"],
            "pytheus.plugins.catalog": ["PluginInfo", "available_plugins", "refresh_plugins"],
            "pytheus.plugins.config": ["NamedPlugin", "PluginSettings", "configured_strict", "plugin_settings"],
            "pytheus.plugins.hook_marker": ["hookimpl"],
            "pytheus.plugins.hooks": ["PLUGIN_API_VERSIONS"],
            "pytheus.plugins.layers": ["WrapLayer"],
            "pytheus.plugins.loader": ["implemented_hooks"],
            "pytheus.plugins.options": ["RegistryOptions"],
            "pytheus.plugins.redaction": ["hide"],
            "pytheus.plugins.resolve": ["configure", "resolve_registry"],
        },
    )
