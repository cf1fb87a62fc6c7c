"""The template of a request's route in any ASGI framework that tells it.

Rules:

- Litestar writes its template into the scope; "" is a mount, and a request without a route has none.
- Frameworks are mounted in each other, so the template has a part of each.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Final, cast

from pytheus.middleware.exchange import Exchange
from pytheus.middleware.starlette_routes import StarletteRoutes

__all__ = ["AsgiRoutes"]


class AsgiRoutes:
    """Finds the template in a scope after routing: of Starlette, FastAPI or Litestar, also mounted in each other."""

    def __init__(self) -> None:
        self._starlette: Final = StarletteRoutes()

    def template(self, exchange: Exchange[MutableMapping[str, object]]) -> str | None:
        """Return the template of the request, or None if it has no route."""
        scope, path = exchange.source, exchange.path
        own = scope.get("path_template")
        if own is None:
            return self._starlette.template(scope, path)
        if own:
            return (self._starlette.template(scope, path) or "") + str(own)
        return _mount_of_litestar(scope) + (self._starlette.template(scope, path) or "")


def _mount_of_litestar(scope: MutableMapping[str, object]) -> str:
    """Return the path at which Litestar mounts the application; it has no template, and cannot have parameters."""
    handler = scope.get("route_handler")
    app = scope.get("litestar_app") or scope.get("app")
    for route in cast("Iterable[object]", getattr(app, "routes", ())):
        if getattr(route, "route_handler", None) is handler:
            return str(getattr(route, "path_format", ""))
    return ""
