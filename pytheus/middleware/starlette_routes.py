"""The template of a request's route in Starlette and FastAPI, from the scope after routing.

Rules:

- Both write the innermost `endpoint` and `route` into the scope, and the outermost `router`. From that router's routes
  one walk makes a table: the templates that lead to an endpoint, through mounts, hosts and included routers. The walk
  is repeated when routes were added.
- An endpoint of several routes is told apart by the objects in the scope; if these are shared, too, as in an
  application that is mounted twice, by the path. Only that matches a regular expression.
- A route that the walk does not reach, as in an application that is mounted within a function, has its own template,
  after that of the mounts that match the path.
- Values of the path never become part of a template, so `root_path`, which mounts extend by them, is not read.
- An object without the attributes of a route is skipped: the classes of routes are not an interface.

https://www.starlette.io/routing/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Final, NamedTuple, cast

__all__ = ["StarletteRoutes"]

_MOUNT_REST: Final = "/{path}"
_DEPTH_LIMIT: Final = 32
_ROUTERS: Final = 64
_UNKNOWN_OBJECTS: Final = 1024


class _Candidate(NamedTuple):
    """One way to an endpoint."""

    endpoint: object
    template: str
    objects: tuple[object, ...]
    """The objects that the scope may have for it: of the route, or of its inclusion in a router."""
    patterns: tuple[re.Pattern[str], ...]
    """Match the path: those of the mounts, whose group `path` is the rest, and that of the route."""
    is_mount: bool

    def has(self, route: object) -> bool:
        return any(each is route for each in self.objects)

    def rest(self, path: str) -> str | None:
        """Return the part of `path` after that of the mounts; None if it does not match."""
        rest: str | None = path
        for pattern in self.patterns:
            match = None if rest is None else pattern.match(rest)
            if match is None:
                return None
            rest = match.groupdict().get("path")
            rest = "/" if rest is None else f"/{rest}"
        return rest


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
        of_fastapi = scope.get("fastapi")
        # The table refers to what it knows, so no other object gets the id of one.
        if (
            len(table.routes) == table.count
            and id(scope.get("route")) in table.known
            and (of_fastapi is None or id(_inclusion_in(of_fastapi)) in table.known)
        ):
            found = table.templates.get(id(endpoint))
            if found is not None:
                return found
        return table.choose(endpoint, scope, path)


class _Table:
    """The templates of the routes of one router; `templates` has those that the endpoint alone decides."""

    def __init__(self, router: object) -> None:
        self._router: Final = router
        self.routes: Final[Sized] = cast("Sized", getattr(router, "routes", ()))
        self.count: int = 0
        """The number of `routes` at the last walk."""
        self.known: dict[int, object] = {}
        """The objects that the walk has found, by their ids."""
        self.templates: dict[int, str] = {}
        self._candidates: dict[int, list[_Candidate]] = {}
        self._mounts: list[_Candidate] = []
        self._unknown: Final[dict[int, object]] = {}
        self._build()

    def choose(self, endpoint: object, scope: Mapping[str, object], path: str) -> str | None:
        """Return the template of a request to an endpoint that has several routes, or that was not known."""
        route, inclusion = _objects_in(scope, endpoint)
        self._rebuild_for(endpoint, route, inclusion)
        candidates = self._candidates.get(id(endpoint), [])
        same = [each for each in candidates if inclusion is not None and each.has(inclusion)]
        same = same or [each for each in candidates if each.has(route)]
        if not same and inclusion is None and not _attribute(route, "path_format"):
            same = candidates  # the scope has no route, as in older versions of Starlette
        root_path = str(scope.get("app_root_path", scope.get("root_path", "")))  # mounts keep that of the server
        if len({each.template for each in same}) > 1:
            inner = path.removeprefix(root_path) or "/"
            same = [each for each in same if each.rest(inner) is not None]
        if same:
            return same[0].template
        of_mounts = str(scope.get("root_path", "")).removeprefix(root_path)
        return self._template_of_mounts(of_mounts) + _own_template(route, inclusion, endpoint) or None

    def _rebuild_for(self, *objects: object) -> None:
        """Walk again if routes were added, which is also so if one of these objects is new."""
        new = [each for each in objects if id(each) not in self.known and id(each) not in self._unknown]
        if len(self.routes) != self.count or (new and len(self._unknown) < _UNKNOWN_OBJECTS):
            self._build()
            self._unknown.update((id(each), each) for each in new if id(each) not in self.known)

    def _template_of_mounts(self, path: str) -> str:
        """Return the template of the mounts that match `path`, or the most of it, from its beginning."""
        template, shortest = "", len(path) + 1
        for mount in self._mounts if path else ():
            rest = mount.rest(f"{path}/")
            if rest is not None and len(rest) < shortest:
                template, shortest = mount.template, len(rest)
        return template

    def _build(self) -> None:
        count = len(self.routes)
        candidates: dict[int, list[_Candidate]] = {}
        mounts: list[_Candidate] = []
        known: dict[int, object] = {id(None): None}
        for each in _walk(_routes_of(self._router), "", (), 0):
            candidates.setdefault(id(each.endpoint), []).append(each)
            known.update((id(it), it) for it in (each.endpoint, *each.objects))
            if each.is_mount:
                mounts.append(each)
        self._candidates = candidates
        self._mounts = mounts
        self.templates = {
            key: ways[0].template for key, ways in candidates.items() if len({way.template for way in ways}) == 1
        }
        self.known = known
        self.count = count


def _walk(
    routes: Iterable[object], prefix: str, patterns: tuple[re.Pattern[str], ...], depth: int
) -> Iterator[_Candidate]:
    if depth > _DEPTH_LIMIT:  # an application that is mounted in itself
        return
    for route, objects in _with_inclusions(routes):
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
            yield _Candidate(endpoint, template, objects, ways, is_mount=False)
            continue
        # A mount. Requests that none of its routes matches have its own template, as in a mount without routes.
        template = template.removesuffix(_MOUNT_REST)
        inner = _routes_of(route)
        app: object = getattr(route, "app", None)
        yield _Candidate(app, template or ("" if inner else "/"), objects, ways, is_mount=True)
        yield from _walk(inner, template, ways, depth + 1)


def _with_inclusions(routes: Iterable[object]) -> Iterator[tuple[object, tuple[object, ...]]]:
    """Yield each route, with the objects that the scope may have for it.

    FastAPI keeps an included router as one object in the list of routes, whose effective routes have the whole path.
    """
    for route in routes:
        effective: object = getattr(route, "effective_route_contexts", None)
        if not callable(effective):
            yield route, (route,)
            continue
        for context in cast("Iterable[object]", effective()):
            own: object = getattr(context, "starlette_route", None) or context
            yield own, (context, own, getattr(context, "original_route", None), route)


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


def _objects_in(scope: Mapping[str, object], endpoint: object) -> tuple[object, object]:
    """Return the route in the scope, and FastAPI's effective route, if it is that of the same endpoint.

    The scope may have an effective route of a router around the mount. If it has a mount as the route of an endpoint,
    the effective route is that of a route of Starlette.
    """
    route = scope.get("route")
    inclusion = _inclusion_in(scope.get("fastapi"))
    if getattr(inclusion, "original_route", None) is route:
        return route, inclusion
    own: object = getattr(inclusion, "starlette_route", None)
    is_own = getattr(own, "endpoint", None) is endpoint and getattr(route, "endpoint", None) is not endpoint
    return route, inclusion if is_own else None


def _inclusion_in(of_fastapi: object) -> object:
    return of_fastapi.get("effective_route_context") if isinstance(of_fastapi, dict) else None


def _own_template(route: object, inclusion: object, endpoint: object) -> str:
    """Return the template of a route within its application, as the objects of the scope have it."""
    for each in getattr(inclusion, "starlette_route", None), inclusion:
        template = _attribute(each, "path_format")
        if template:
            return template
    template = _attribute(route, "path_format")
    if getattr(route, "endpoint", None) is not None:
        return template
    # A mount; of the endpoint, or of an application that tells no route.
    return template.removesuffix(_MOUNT_REST) if getattr(route, "app", None) is endpoint else ""


def _attribute(of: object, name: str) -> str:
    value: object = getattr(of, name, "")
    return value if isinstance(value, str) else ""
