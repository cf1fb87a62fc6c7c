"""Code that settings let run in each Python process of the environment, as soon as its program imports a module.

Rules:

- Each process calls `begin` at its start, because of the file ``pytheus_startup.pth`` or, from Python 3.15 on, the
  ``.start`` file beside it (https://peps.python.org/pep-0829/). So do processes that a program spawns or executes. This
  module is outside of the package, and imports nothing of it, so that this costs next to nothing.
- A process without ``PYTHEUS_INSTRUMENT`` does nothing more.
- In other processes, `begin` puts a finder before those of the interpreter. It finds nothing itself: it lets the others
  find the frameworks' modules, and lets pytheus change their classes when these were executed, before the import
  returns to the program. A program that imports none of them imports nothing of pytheus.
- An error is printed, and never raised: a program runs as it would without us.
"""

from __future__ import annotations

import os
import sys

__all__ = ["MODULES", "VARIABLE", "Watch", "begin"]

VARIABLE = "PYTHEUS_INSTRUMENT"
"""The variable that names the frameworks whose applications are measured, or ``auto`` for all of them."""

MODULES = {
    "starlette.applications": "starlette",
    "fastapi.applications": "fastapi",
    "litestar.app": "litestar",
    "flask.app": "flask",
    "django.core.handlers.base": "django",
    "celery.app.base": "celery",
    # Frameworks that are not supported, which is said.
    "aiohttp.web": "aiohttp",
    "bottle": "bottle",
    "falcon.app": "falcon",
    "pyramid.router": "pyramid",
    "quart.app": "quart",
    "sanic.app": "sanic",
    "tornado.web": "tornado",
}
"""The modules that define the classes of applications, with the framework of each."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def begin() -> None:
    """Watch for the imports of `MODULES` if the variable is set; calling it again does nothing."""
    if not os.environ.get(VARIABLE, "").strip():
        return
    if not any(isinstance(finder, Watch) and finder.names is MODULES for finder in sys.meta_path):
        sys.meta_path.insert(0, Watch(MODULES, _executed))


class Watch:
    """A finder that wraps the loader of each module of `names`, and calls `executed` once a module was executed.

    The error of `executed` is that of the import.
    """

    def __init__(self, names: Collection[str], executed: Callable[[str], None]) -> None:
        self.names = names
        self.executed = executed
        self._searching: set[str] = set()
        self.loading: list[str] = []
        """The watched modules that are being executed, the outermost first."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the first of the other finders finds, with a loader that tells us of the execution."""
        if name not in self.names or name in self._searching:
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


class _WatchedLoader:
    """A module's own loader, which is the module's loader again as soon as it is executed."""

    def __init__(self, loader: Loader, watch: Watch) -> None:
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


def _executed(name: str) -> None:
    try:
        from pytheus.instrumentation import instrument

        instrument(MODULES[name], sys.modules[name])
    except Exception as error:
        print(f"pytheus: not measuring {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
