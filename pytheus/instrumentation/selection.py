"""Which frameworks ``PYTHEUS_INSTRUMENT`` names, and the names of their metrics.

auto                            all frameworks that are supported
fastapi,flask                   these two
auto,flask=flask-exporter       all, and Flask with the names of another library
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from typing import Final, cast, get_args

from pytheus.middleware.options import Names

__all__ = ["AUTO", "FRAMEWORKS", "parse", "selected"]

AUTO: Final = "auto"
FRAMEWORKS: Final = ("starlette", "fastapi", "litestar", "flask", "django", "celery")
"""The frameworks that are supported, in the order in which messages name them."""

_NAMES: Final[tuple[str, ...]] = get_args(Names)
_SHOWN: Final = re.compile(r"[\w.-]{1,40}", re.ASCII)


def parse(text: str) -> Mapping[str, Names]:
    """Return the names of metrics by framework.

        >>> parse("fastapi, flask=flask-exporter")
        {'fastapi': 'otel', 'flask': 'flask-exporter'}

    Raises `ValueError` if the text is not valid; its message begins with the expected values.
    """
    found: dict[str, Names] = {}
    every: Names | None = None
    for entry in text.split(","):
        framework, equals, names = (part.strip() for part in entry.partition("="))
        names = names if equals else "otel"
        _check(names, _NAMES, "names of metrics")
        if framework == AUTO:
            every = cast("Names", names)
            continue
        _check(framework, FRAMEWORKS, "frameworks, or auto for all")
        if framework == "celery" and equals:
            raise ValueError(f"names of HTTP metrics, which celery does not have, but got {names!r}")
        found[framework] = cast("Names", names)
    if every is not None:
        found = {**dict.fromkeys(FRAMEWORKS, every), **found}
    return found


def selected() -> Mapping[str, Names]:
    """Return the names of metrics by framework that the environment names."""
    from pytheus_startup import VARIABLE

    try:
        return parse(os.environ.get(VARIABLE, ""))
    except ValueError as error:
        raise ValueError(f"{VARIABLE} takes {error}") from None


def _check(word: str, known: Collection[str], kind: str) -> None:
    if word in known:
        return
    close = difflib.get_close_matches(word, known, 1)
    got = repr(word) if _SHOWN.fullmatch(word) else "another text"
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{kind} ({', '.join(known)}) but got {got}{hint}")
