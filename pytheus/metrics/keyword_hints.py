"""Errors of constructors that know the keywords of prometheus_client and pytheus 0.6.

The constructors are wrapped after their classes are made, in the same way for the compiled and the plain build. So
their types have no other keywords, and a new series, which calls no constructor, costs no more. The hint is made after
the `TypeError` that Python raises.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

__all__ = ["hint_at_keywords"]

_HINTS: Final[dict[str, str]] = {
    "labelnames": "did you mean required_labels=?",
    "label_names": "did you mean required_labels=?",
    "labelvalues": "call labels(...) of the metric",
    "documentation": "did you mean description=?",
    "help": "did you mean description=?",
    "namespace": "write the whole name; a prefix of all names is an option of the registry",
    "subsystem": "write the whole name; a prefix of all names is an option of the registry",
    "multiprocess_mode": (
        "did you mean mode= and processes=? multiprocess_mode='livesum' is mode='sum', 'all' is mode='each',"
        " processes='all', and 'mostrecent' is mode='last', processes='all'"
    ),
    "collector_registry": "did you mean registry=?",
}


def hint_at_keywords(cls: type) -> None:
    """Let the constructor of `cls` say which keyword it has instead of one that another library has."""
    construct: Callable[..., None] = vars(cls)["__init__"]

    @wraps(construct)
    def construct_or_hint(self: object, *arguments: object, **options: object) -> None:
        try:
            construct(self, *arguments, **options)
        except TypeError as error:
            hints = [f"{name}=: {_HINTS[name]}" for name in options if name in _HINTS]
            if not hints:
                raise
            raise TypeError(f"{type(self).__name__}(...) has no {'; no '.join(hints)}") from error

    type.__setattr__(cls, "__init__", construct_or_hint)
