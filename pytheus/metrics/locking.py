"""Locks around methods, for interpreters where additions are not atomic.

`pytheus.atomic` describes which interpreters these are. Each module of a metric type ends with

    if LOCKED:
        lock_methods(Counter, "inc")

so that on all others no lock, and no call for one, is left in the methods.
"""

from __future__ import annotations

from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

from pytheus.atomic import lock_for
from pytheus.metrics.handle import Handle

__all__ = ["lock_methods"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class _Method(Protocol[P, R]):
    __name__: str

    def __call__(self, metric: Handle, /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def lock_methods(cls: type[Handle], *names: str, unless_native: bool = False) -> None:
    """Make each of the methods of `cls` hold the metric's lock while it runs.

    All handles on a metric use one lock, because they may share numbers. It is re-entrant, so the methods may call each
    other. With `unless_native`, not those of a histogram with native buckets: it asks its storage for more of them, and
    a storage that ends series holds its own lock and waits for the metric's.
    """
    for name in names:
        setattr(cls, name, _locked(cls.__dict__[name], unless_native))


def _locked(method: _Method[P, R], unless_native: bool) -> _Method[P, R]:
    @wraps(method)
    def locked(metric: Handle, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if unless_native and metric._series.has_native:
            return method(metric, *args, **kwargs)
        with lock_for(metric._series.children):
            return method(metric, *args, **kwargs)

    return locked
