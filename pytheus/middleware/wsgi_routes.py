"""The template of a request's route in Flask, and the path at which a dispatcher mounts an application.

Rules:

- Each request of Werkzeug puts itself into the environ, and Flask takes it out when it returns or raises. So the rule
  is read when the response starts. If Flask raises before that, a signal of it keeps the rule in the environ.
- Dispatchers extend `SCRIPT_NAME` by a part of the path, which may be an id. It is only part of the template if
  Werkzeug's DispatcherMiddleware has it as the path of a mount.

https://werkzeug.palletsprojects.com/en/stable/middleware/dispatcher/
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, Protocol, cast

__all__ = ["KEPT_RULE", "keep_rules_of_flask", "mount_path", "rule_of"]

KEPT_RULE: Final = "pytheus.url_rule"
"""The key in the environ for the rule of a request for which Flask has raised an exception."""

_DEPTH_LIMIT: Final = 32


def rule_of(request: object) -> str | None:
    """Return the rule of a request of Flask; None for others, and if no rule matches it."""
    rule: object = getattr(getattr(request, "url_rule", None), "rule", None)
    return rule if isinstance(rule, str) else None


class _Signal(Protocol):
    def connect(self, receiver: object, /, *, weak: bool) -> object: ...


def keep_rules_of_flask() -> None:
    """Let Flask, if it is imported, keep the rule of each request that raises an exception.

    The signal is sent for these alone, so that other requests cost nothing. May be called any number of times.
    """
    signal: object = getattr(sys.modules.get("flask"), "got_request_exception", None)
    if signal is not None:
        try:
            cast("_Signal", signal).connect(_keep_rule, weak=False)
        except RuntimeError:
            pass  # Flask before 2.3 has no signals without blinker


def _keep_rule(app: object, **of_signal: object) -> None:
    request: object = getattr(sys.modules.get("flask"), "request", None)
    environ: object = getattr(request, "environ", None)
    if isinstance(environ, dict):
        environ[KEPT_RULE] = rule_of(request)


def mount_path(app: object, script_name: str, extended: str) -> str:
    """Return the path by which dispatchers in `app` have extended `script_name`; "" if they have no such mount."""
    rest = extended.removeprefix(script_name)
    for _ in range(_DEPTH_LIMIT):
        path = _mounted_part(app, rest) if rest else ""
        if path or not rest:
            return path
        # ProxyFix sets the path that a proxy has removed before that of the mount.
        rest = rest[rest.find("/", 1) :] if "/" in rest[1:] else ""
    return ""


def _mounted_part(app: object, path: str) -> str:
    """Return the part of `path`, from its beginning, by which `app` and the applications in it have mounts."""
    part = ""
    for _ in range(_DEPTH_LIMIT):
        mounts: object = getattr(app, "mounts", None)
        if isinstance(mounts, Mapping):
            rest = path[len(part) :]
            mount = max((each for each in mounts if each and f"{rest}/".startswith(f"{each}/")), key=len, default="")
            if mount:
                part, app = part + mount, mounts[mount]
                continue
        # Middleware of Werkzeug has its application as `app`, and Flask its middleware as `wsgi_app`.
        app = getattr(app, "wsgi_app", None) or getattr(app, "app", None)
        if app is None:
            break
    return part
