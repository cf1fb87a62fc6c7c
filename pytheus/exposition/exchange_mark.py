"""The mark that middleware leaves in a request, by which those within it find the exchange that is measured.

Rules:

- The mark is in the scope or environ. Frameworks that copy one for a mount copy the mark.
- An adapter that runs a WSGI application in an ASGI one makes a new environ. The mark is then in the scope that the
  context serves, which the adapter's thread has from it.
- It counts only if the environ was made of that scope. A request that the application sends to another one in its own
  process has a method, path, query or headers of its own, and is measured on its own.
- A scope is served until the application returns, so a task that goes on afterwards finds none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from typing import Final, Protocol, cast

__all__ = [
    "ADAPTED",
    "EXCHANGE_KEY",
    "SERVING",
    "MarkedExchange",
    "end_serving",
    "expect_adapters",
    "find_mark",
    "leave_unmeasured",
]

EXCHANGE_KEY: Final = "pytheus.exchange"
"""The key of the exchange that `pytheus.middleware` measures, in a scope or environ."""


class MarkedExchange(Protocol):
    """The exchange that a middleware measures, as others within that middleware see it."""

    def leave_out(self) -> None:
        """End the exchange without a record, with those of middleware around it."""

    def take_route(self, route: str) -> None:
        """Take the template that a framework within the application has found, which goes behind its own."""


SERVING: Final[ContextVar[list[Mapping[str, object]]]] = ContextVar("pytheus_serving")
"""The scope that this context serves, in a list that is empty once the application has returned."""

ADAPTED: Final[list[bool]] = []
"""Has an item once there is an application that an adapter may call; `SERVING` is set from then on.

To set it for a request takes an eighth as long as to measure the request.
"""


def expect_adapters() -> None:
    """Let middleware of ASGI tell the context of each request, because something looks for it there."""
    if not ADAPTED:
        ADAPTED.append(True)


def end_serving(serving: list[Mapping[str, object]], token: Token[list[Mapping[str, object]]]) -> None:
    """Empty `serving`, which threads and tasks may have as well, and let the context serve the scope of before."""
    serving.clear()
    try:
        SERVING.reset(token)
    except ValueError:
        pass  # the garbage collector closes the coroutine, in another context


def find_mark(request: Mapping[str, object], scope: Mapping[str, object] | None = None) -> MarkedExchange | None:
    """Return the exchange of the innermost middleware around `request`, a scope or environ; None without one.

    `scope` is the one that an environ was made of, if that is known.
    """
    found = request.get(EXCHANGE_KEY)
    if found is None:
        if scope is None:
            serving = SERVING.get(None)
            if not serving:
                return None
            scope = serving[0]
            if not _is_made_of(request, scope):
                return None
        found = scope.get(EXCHANGE_KEY)
    return cast("MarkedExchange | None", found)


def leave_unmeasured(request: Mapping[str, object], scope: Mapping[str, object] | None = None) -> None:
    """Tell middleware around a metrics application to leave out the scrape of this scope or environ."""
    exchange = find_mark(request, scope)
    if exchange is not None:
        exchange.leave_out()


def _is_made_of(environ: Mapping[str, object], scope: Mapping[str, object]) -> bool:
    """Return whether an adapter made `environ` of `scope`."""
    if environ.get("REQUEST_METHOD") != scope.get("method"):
        return False
    query = cast("bytes", scope.get("query_string", b""))
    if environ.get("QUERY_STRING", "") != query.decode("latin-1"):
        return False
    # With the root path or without: servers, frameworks and adapters differ in it.
    path, root_path = (_as_wsgi(scope.get(name, "")) for name in ("path", "root_path"))
    whole = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}".rstrip("/")
    if whole not in (path.rstrip("/"), (root_path + path).rstrip("/")):
        return False
    for name, value in cast("Iterable[tuple[bytes, bytes]]", scope.get("headers", ())):
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        # A header that came several times is one text in an environ, and one with "_" in its name may be left out.
        if b"_" not in name and value.decode("latin-1") not in str(environ.get(key, "")):
            return False
    return True


def _as_wsgi(text: object) -> str:
    return str(text).encode("utf-8", "surrogateescape").decode("latin-1")
