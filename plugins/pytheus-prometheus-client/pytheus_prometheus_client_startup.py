"""Installs the seam as soon as a program has imported prometheus_client, where a setting names the plugin.

Rules:

- Each Python process of the environment calls `begin` at its start, because of the file
  ``pytheus_prometheus_client_startup.pth`` or, from Python 3.15 on, the ``.start`` file beside it
  (https://peps.python.org/pep-0829/). So do processes that a program spawns or executes. This module is outside of the
  package, and imports neither pytheus nor prometheus_client, so that this costs next to nothing.
- A process whose ``PYTHEUS_PLUGINS`` does not contain the plugin's name does nothing more.
- In other processes, `begin` puts a finder before those of the interpreter. It finds nothing itself: it lets the others
  find prometheus_client, and installs the seam when that was executed, before the import returns to the program. So
  there is no metric yet, and a program that never imports prometheus_client imports nothing of pytheus.
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
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def begin() -> None:
    """Watch for the import of prometheus_client if ``PYTHEUS_PLUGINS`` contains the plugin's name.

    If it was imported already, the seam is installed now. Calling it again does nothing.
    """
    if NAME not in os.environ.get("PYTHEUS_PLUGINS", ""):
        return
    if _PEER in sys.modules:
        _install_if_named()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch:
    """A finder that wraps the loader of each watched module, until the seam is installed."""

    def __init__(self) -> None:
        self._searching: set[str] = set()
        self.loading: list[str] = []
        """The watched modules that are being executed, the outermost first."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the first of the other finders finds, with a loader that tells us of the execution."""
        if name not in _WATCHED or name in self._searching:
            return None
        self._searching.add(name)  # another finder may ask all finders in turn
        try:
            for finder in list(sys.meta_path):
                find = None if finder is self else getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find and find(name, path, target)
                if spec is not None:
                    if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                        spec.loader = _WatchedLoader(spec.loader, self)  # type: ignore[assignment]  # by its methods
                    return spec
        finally:
            self._searching.discard(name)
        return None

    def executed(self, name: str) -> None:
        """Install the seam, unless another watched module is being executed, at whose end this is called again."""
        if self.loading == [name] and _PEER in sys.modules:
            _install_if_named()
            if self in sys.meta_path:
                sys.meta_path.remove(self)


class _WatchedLoader:
    """A module's own loader, which is the module's loader again as soon as it is executed."""

    def __init__(self, loader: Loader, watch: _Watch) -> None:
        self._loader = loader
        self._watch = watch

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module that its own loader creates."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Let the module's own loader execute it, and tell the watch."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._watch.loading.append(module.__name__)
        try:
            self._loader.exec_module(module)
            self._watch.executed(module.__name__)
        finally:
            self._watch.loading.remove(module.__name__)


def _install_if_named() -> None:
    try:
        if _is_named():
            from pytheus_prometheus_client.installation import install

            install()
    except ImportError as error:
        # Not an ImportError, by which many libraries conclude that prometheus_client is not installed.
        raise RuntimeError(
            f"plugin {NAME!r} (PYTHEUS_PLUGINS) could not be started: {type(error).__name__}: {error}; install"
            f" {_DISTRIBUTION} with its dependencies, or remove the entry"
        ) from error


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
