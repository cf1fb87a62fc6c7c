"""Installs the seam as soon as a program has imported prometheus_client, where a setting names the plugin.

Rules:

- Each Python process of the environment calls `begin` at its start, because of the file
  ``pytheus_prometheus_client_startup.pth`` or, from Python 3.15 on, the ``.start`` file beside it
  (https://peps.python.org/pep-0829/). So do processes that a program spawns or executes. This module is outside of the
  package, and imports neither pytheus nor prometheus_client, so that this costs next to nothing.
- A process whose ``PYTHEUS_PLUGINS`` does not contain the plugin's name does nothing more.
- In other processes, the finder of `pytheus_startup` watches for prometheus_client, and the seam is installed when that
  was executed, before the import returns to the program. So there is no metric yet, and a program that never imports
  prometheus_client imports nothing of the package pytheus.
- pytheus decides whether the setting names the plugin, or blocks it. An error of the setting or of the installation
  raises from the import, because a plugin that was named and cannot start must not be passed over silently.
"""

from __future__ import annotations

import os
import sys

__all__ = ["NAME", "ValueClass", "begin"]

NAME = "prometheus-client"
"""The plugin's name in ``PYTHEUS_PLUGINS``."""

_DISTRIBUTION = "pytheus-prometheus-client"
_PEER = "prometheus_client"
_WATCHED = (_PEER, "pytheus_prometheus_client")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from pytheus_startup import Watch


def begin() -> None:
    """Watch for the import of prometheus_client if ``PYTHEUS_PLUGINS`` contains the plugin's name.

    If it was imported already, the seam is installed now. Calling it again does nothing.
    """
    if NAME not in os.environ.get("PYTHEUS_PLUGINS", ""):
        return
    if _PEER in sys.modules:
        _install_if_named()
        return
    try:
        from pytheus_startup import Watch
    except ImportError as error:  # pytheus is not installed
        if not any(isinstance(finder, _Missing) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Missing(error))
        return
    if _watch() is None:
        sys.meta_path.insert(0, Watch(_WATCHED, _executed))


class _Missing:
    """A finder that raises from the import of prometheus_client, because a dependency of the plugin is missing."""

    def __init__(self, error: ImportError) -> None:
        self._error = error

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raise the error if prometheus_client is to be imported, and otherwise find nothing."""
        if name == _PEER:
            raise _not_started(self._error) from self._error


def _watch() -> Watch | None:
    """Return the finder of the plugin, or None before there is one."""
    from pytheus_startup import Watch

    return next((each for each in sys.meta_path if isinstance(each, Watch) and each.names is _WATCHED), None)


def _executed(name: str) -> None:
    """Install the seam, unless another watched module is being executed, at whose end this is called again."""
    watch = _watch()
    if watch is not None and watch.loading == [name] and _PEER in sys.modules:
        _install_if_named()
        if watch in sys.meta_path:
            sys.meta_path.remove(watch)


def _install_if_named() -> None:
    try:
        if _is_named():
            from pytheus_prometheus_client.installation import install

            install()
    except ImportError as error:
        raise _not_started(error) from error


def _not_started(error: ImportError) -> RuntimeError:
    # Not an ImportError, by which many libraries conclude that prometheus_client is not installed.
    return RuntimeError(
        f"plugin {NAME!r} (PYTHEUS_PLUGINS) could not be started: {type(error).__name__}: {error}; install"
        f" {_DISTRIBUTION} with its dependencies, or remove the entry"
    )


def _is_named() -> bool:
    import re

    from pytheus.plugins import plugin_settings

    return any(
        named.name == NAME and re.sub(r"[-_.]+", "-", named.distribution or _DISTRIBUTION).lower() == _DISTRIBUTION
        for named in plugin_settings().named
    )


class ValueClass:
    """The class of numbers for ``PROMETHEUS_VALUE_CLASS``, should prometheus_client have that variable.

    The first number that is made installs the seam, and it and all later ones are of the seam's class.
    """

    def __new__(cls, *args: object, **options: object) -> ValueClass:  # noqa: PYI034  # of another class
        """Install the seam, and return a number of its class."""
        from typing import cast

        from prometheus_client import values

        from pytheus_prometheus_client.installation import install

        install()
        return cast("Callable[..., ValueClass]", values.ValueClass)(*args, **options)
