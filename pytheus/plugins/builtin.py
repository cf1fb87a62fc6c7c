"""The registries that pytheus brings along: `default` and `none`.

Their names are reserved. They are made here, without plugin machinery or package metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytheus.exceptions import InvalidNameError
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.null import NullRegistry

if TYPE_CHECKING:
    from pytheus.plugins.options import RegistryOptions
    from pytheus.registry.contract import Registry

__all__ = ["BUILTIN_REGISTRIES", "make_builtin_registry"]

BUILTIN_REGISTRIES: Final[dict[str, str]] = {
    "default": "pytheus.registry:CollectorRegistry",
    "none": "pytheus.registry:NullRegistry",
}
"""The reserved names, and what each one makes."""


def make_builtin_registry(options: RegistryOptions) -> Registry:
    """A new registry of the built-in name that `options` have; raises `OptionError` as a plugin's factory does."""
    if options.name == "none":
        return NullRegistry()
    if not options.given:
        return CollectorRegistry()
    from pytheus.plugins.default_options import DefaultOptions  # loaded late: most programs have no options

    wanted = options.parse(DefaultOptions)
    try:
        return CollectorRegistry(prefix=wanted.prefix, on_conflict=wanted.on_conflict)
    except InvalidNameError as error:
        raise options.error("prefix", "a valid metric name") from error
