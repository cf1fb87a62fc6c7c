"""Legacy names, and how any other name is written for a reader that knows no others.

Prometheus 3 allows any UTF-8 text as the name of a metric or a label. A client says in ``Accept`` how it wants such
names: quoted (``allow-utf-8``), or replaced by a legacy name. A legacy name is the same in every scheme. The rules are
those of Prometheus's own code, which differs from its document in some points.
https://prometheus.io/docs/instrumenting/escaping_schemes/
"""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["ESCAPINGS", "Escaping", "escape_label_name", "escape_name", "is_legacy_label", "is_legacy_name"]

Escaping = Literal["underscores", "dots", "values", "allow-utf-8"]

ESCAPINGS: Final[tuple[Escaping, ...]] = get_args(Escaping)
"""The schemes; the first is the one of a client that names none."""

_FIRST: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:")
_DIGITS: Final = frozenset("0123456789")


def is_legacy_name(name: str) -> bool:
    """Return whether every version of Prometheus allows `name` for a metric."""
    return is_legacy_label(name.replace(":", "_"))


def is_legacy_label(name: str) -> bool:
    """Return whether every version of Prometheus allows `name` for a label; unlike a metric's, it has no colon."""
    # The grammar of both, letters, digits and "_", the first no digit; a regular expression would take longer to load.
    return name.isascii() and name.isidentifier()


def escape_name(name: str, escaping: Escaping) -> str:
    """Return the metric name `name` as the scheme `escaping` writes it.

    >>> [escape_name("http.status_code", escaping) for escaping in ("underscores", "dots", "values")]
    ['http_status_code', 'http_dot_status__code', 'U__http_2e_status__code']
    """
    if escaping == "allow-utf-8" or is_legacy_name(name):
        return name
    return _escaped(name, escaping, _FIRST)


def escape_label_name(name: str, escaping: Escaping) -> str:
    """Return the label name `name` as the scheme `escaping` writes it.

    A colon is escaped, too, because Prometheus 2 rejects a whole scrape with one in the name of a label.
    """
    if escaping == "allow-utf-8" or is_legacy_label(name):
        return name
    return _escaped(name, escaping, _FIRST - {":"})


def _escaped(name: str, escaping: Escaping, first: frozenset[str]) -> str:
    allowed = first
    pieces = ["U__"] if escaping == "values" else []
    for character in name:
        if escaping == "underscores":
            pieces.append(character if character in allowed else "_")
        elif character == "_":
            pieces.append("__")
        elif character in allowed:
            pieces.append(character)
        elif escaping == "values":
            pieces.append(f"_{ord(character):x}_")
        else:
            pieces.append("_dot_" if character == "." else "__")
        allowed = first | _DIGITS
    return "".join(pieces)
