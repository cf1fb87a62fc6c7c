"""The families that a client selects by the query parameter ``name[]``, as Prometheus's other client libraries do.

``?name[]=orders_total&name[]=carts`` selects two families. Names are percent-encoded; other parameters are ignored.
Both the number and the length of the names are limited, because each selection is a collection of its own.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TooManyNamesError", "names_in"]

_PARAMETER: Final = "name[]"
_QUERY_CHARACTERS_AT_MOST: Final = 16 * 1024
_NAMES_AT_MOST: Final = 100
_NAME_CHARACTERS_AT_MOST: Final = 512


class TooManyNamesError(Exception):
    """A selection of families that is too large."""


def names_in(query: str) -> frozenset[str]:
    """Return the names in `query`, the part of an address after "?"; empty if it selects none.

    Raises `TooManyNamesError` if they are too many or too long.

    >>> sorted(names_in("x=1&name[]=carts&name%5B%5D=http.requests"))
    ['carts', 'http.requests']
    """
    if not query:
        return frozenset()
    if len(query) > _QUERY_CHARACTERS_AT_MOST:
        raise TooManyNamesError(f"the query is longer than {_QUERY_CHARACTERS_AT_MOST} characters")
    from urllib.parse import parse_qsl

    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    names = frozenset([value for key, value in pairs if key == _PARAMETER])
    if len(names) > _NAMES_AT_MOST:
        raise TooManyNamesError(f"the query has {len(names)} names; at most {_NAMES_AT_MOST} can be selected")
    if any(len(name) > _NAME_CHARACTERS_AT_MOST for name in names):
        raise TooManyNamesError(f"the query has a name of more than {_NAME_CHARACTERS_AT_MOST} characters")
    return names
