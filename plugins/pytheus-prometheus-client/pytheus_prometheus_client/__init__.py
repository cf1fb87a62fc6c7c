"""Metrics of prometheus_client in the registry of pytheus.

Modules:

- `installation`: `install` and `uninstall`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.plugins import hookimpl

if TYPE_CHECKING:
    from pytheus.registry import Registry

__all__ = ["pytheus_wrap_registry"]


@hookimpl
def pytheus_wrap_registry(registry: Registry) -> Registry | None:
    """Install the seam when a registry is chosen, unless it is installed; the registry stays as it is.

    `pytheus_prometheus_client_startup` has installed it before, if Python called that at the process's start. This hook
    is for other processes: those in which the configuration file names the plugin and no variable does, and those of
    a Python that reads no startup files.
    """
    from pytheus_prometheus_client.installation import install

    install()
    return None
