"""Mounts of the metrics application in Starlette, and so in FastAPI, answer also without a slash at the end.

``Mount("/metrics", app)`` matches only paths that begin with ``/metrics/``. For ``/metrics`` the router redirects
without asking the application, to a host and scheme that are wrong behind many proxies. Only the class of the mount can
change that. Mounts of other applications stay as they are.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Match, Mount
    from starlette.types import Scope

__all__ = ["answer_without_slash"]

_MARK = "_pytheus_matches"


def answer_without_slash(app_type: type) -> None:
    """Let each mount of an `app_type` match its path without a slash at the end, if Starlette is loaded.

    Does so once; a later call returns at once.
    """
    routing = sys.modules.get("starlette.routing")
    if routing is None or hasattr(routing.Mount, _MARK):
        return
    mount: type[Mount] = routing.Mount
    no_match: Match = routing.Match.NONE
    matches = mount.matches

    def matches_without_slash(self: Mount, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = matches(self, scope)
        # `app` is the application within the middleware of the mount.
        if match is no_match and isinstance(getattr(self, "_base_app", self.app), app_type):
            return matches(self, {**scope, "path": f"{scope.get('path', '')}/"})
        return match, child_scope

    setattr(mount, _MARK, matches)
    mount.matches = matches_without_slash  # type: ignore[method-assign]  # see the first lines of this module
