"""Choosing a registry by name: the hook that a plugin implements, its options, and the way from a name to a registry.

The names below load the module that has them when they are first used (PEP 562), so that an application that names no
plugin imports neither pluggy nor any package metadata. https://peps.python.org/pep-0562/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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

_HOMES: Final[dict[str, str]] = {
    "PLUGIN_API_VERSIONS": "hooks",
    "NamedPlugin": "switches",
    "PluginInfo": "catalog",
    "PluginSettings": "settings",
    "RegistryAddress": "address",
    "RegistryOptions": "options",
    "WrapLayer": "wrapping",
    "available_plugins": "catalog",
    "configure": "resolution",
    "hookimpl": "marker",
    "implemented_hooks": "loading",
    "plugin_settings": "settings",
    "refresh_plugins": "catalog",
    "resolve_registry": "resolution",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # loaded late: only the first use of each name needs it

    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
