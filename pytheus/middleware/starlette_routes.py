"""The template of a request's route in Starlette and FastAPI, from the scope after routing.

Rules:

- Both write the innermost `endpoint` into the scope, and the outermost `router`. From that router's routes one walk
  makes a table: the templates that lead to an endpoint, through mounts, hosts and included routers.
- An endpoint of several routes is told apart by the objects in the scope; if these are shared, too, as in an
  application that is mounted twice, by the path. Only that matches a regular expression.
- Values of the path never become part of a template, so `root_path`, which mounts extend by them, is not read.
- An object without the attributes of a route is skipped: the classes of routes are not an interface.

https://www.starlette.io/routing/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, cast

__all__ = ["StarletteRoutes"]

_MOUNT_REST: Final = "/{path}"
_DEPTH_LIMIT: Final = 32
_ROUTERS: Final = 64
_UNKNOWN_ENDPOINTS: Final = 1024


class _Candidate(NamedTuple):
    """One way to an endpoint."""

    endpoint: object
    template: str
    route: object
    """The object of the route, or of its inclusion in a router, as the scope has it."""
    patterns: tuple[re.Pattern[str], ...]
    """Match the path: those of the mounts, whose group `path` is the rest, and that of the route."""

    def matches(self, path: str) -> bool:
        for pattern in self.patterns:
            match = pattern.match(path)
            if match is None:
                return False
            path = "/" + match.groupdict().get("path", "")
        return True


class StarletteRoutes:
    """The tables of the routers that this middleware has seen."""

    def __init__(self) -> None:
        self._tables: Final[dict[int, _Table]] = {}

    def template(self, scope: Mapping[str, object], path: str) -> str | None:
        """Return the template for a request to `path`, or None if it has no route."""
        endpoint = scope.get("endpoint")
        router = scope.get("router")
        if endpoint is None or router is None:
            return None
        table = self._tables.get(id(router))
        if table is None:
            if len(self._tables) >= _ROUTERS:
                self._tables.clear()
            table = self._tables[id(router)] = _Table(router)
        # The table refers to the endpoint, so no other object gets its id.
        found = table.templates.get(id(endpoint))
        return table.choose(endpoint, scope, path) if found is None else found


class _Table:
    """The templates of the routes of one router; `templates` has those that the endpoint alone decides."""

    def __init__(self, router: object) -> None:
        self._router: Final = router
        self.templates: dict[int, str] = {}
        self._candidates: dict[int, list[_Candidate]] = {}
        self._unknown: Final[dict[int, object]] = {}
        self._build()

    def choose(self, endpoint: object, scope: Mapping[str, object], path: str) -> str | None:
        """Return the template of a request to an endpoint that has several routes, or that was not known."""
        key = id(endpoint)
        if key not in self._candidates and key not in self._unknown:
            self._build()  # routes were added
            if key not in self._candidates:
                if len(self._unknown) >= _UNKNOWN_ENDPOINTS:
                    self._unknown.clear()
                self._unknown[key] = endpoint
        candidates = self._candidates.get(key, [])
        route, inclusion = _objects_in(scope)
        same = [each for each in candidates if each.route is inclusion]
        same = same or [each for each in candidates if each.route is route] or candidates
        if len({each.template for each in same}) > 1:
            # Mounts keep the root path that the server gave.
            root_path = str(scope.get("app_root_path", scope.get("root_path", "")))
            inner = path.removeprefix(root_path) or "/"
            same = [each for each in same if each.matches(inner)]
        if same:
            return same[0].template
        return _attribute(inclusion, "path") or _attribute(route, "path_format") or None

    def _build(self) -> None:
        candidates: dict[int, list[_Candidate]] = {}
        for each in _walk(_routes_of(self._router), "", (), 0):
            candidates.setdefault(id(each.endpoint), []).append(each)
        self._candidates = candidates
        self.templates = {
            key: ways[0].template for key, ways in candidates.items() if len({way.template for way in ways}) == 1
        }


def _walk(
    routes: Iterable[object], prefix: str, patterns: tuple[re.Pattern[str], ...], depth: int
) -> Iterator[_Candidate]:
    if depth > _DEPTH_LIMIT:  # an application that is mounted in itself
        return
    for route, inclusion in _with_inclusions(routes):
        host = _attribute(route, "host")
        pattern: object = getattr(route, "path_regex", None)
        if host:
            yield from _walk(_routes_of(route), prefix, patterns, depth + 1)
            continue
        if not isinstance(pattern, re.Pattern):
            continue
        template = prefix + _attribute(route, "path_format")
        ways = (*patterns, pattern)
        endpoint: object = getattr(route, "endpoint", None)
        if endpoint is not None:
            yield _Candidate(endpoint, template, inclusion, ways)
            continue
        # A mount. Requests that none of its routes matches have its own template, as in a mount without routes.
        template = template.removesuffix(_MOUNT_REST)
        inner = _routes_of(route)
        yield _Candidate(getattr(route, "app", None), template or ("" if inner else "/"), inclusion, ways)
        yield from _walk(inner, template, ways, depth + 1)


def _with_inclusions(routes: Iterable[object]) -> Iterator[tuple[object, object]]:
    """Yield each route, with the object that the scope has for it.

    FastAPI keeps an included router as one object in the list of routes, whose effective routes have the whole path.
    """
    for route in routes:
        effective: object = getattr(route, "effective_route_contexts", None)
        if not callable(effective):
            yield route, route
            continue
        for context in cast("Iterable[object]", effective()):
            starlette_route: object = getattr(context, "starlette_route", None)
            yield context if starlette_route is None else starlette_route, context


def _routes_of(app: object) -> list[object]:
    """Return the routes of an application, or of the one within its middleware; [] if it has none."""
    for _ in range(_DEPTH_LIMIT):
        routes: object = getattr(app, "routes", None)
        if isinstance(routes, (list, tuple)) and routes:
            return list(routes)
        app = getattr(app, "app", None)
        if app is None:
            break
    return []


def _objects_in(scope: Mapping[str, object]) -> tuple[object, object]:
    """Return the route in the scope, and FastAPI's effective route, if it is that of the same route."""
    route = scope.get("route")
    of_fastapi = scope.get("fastapi")
    inclusion: object = of_fastapi.get("effective_route_context") if isinstance(of_fastapi, dict) else None
    if inclusion is not None and getattr(inclusion, "original_route", None) is not route:
        inclusion = None  # that of a router around the mount
    return route, inclusion


def _attribute(of: object, name: str) -> str:
    value: object = getattr(of, name, "")
    return value if isinstance(value, str) else ""
