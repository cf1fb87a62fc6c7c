"""Locks around the methods that rely on plain adds, for builds where those are not enough (see `pytheus.atomic`)."""

from __future__ import annotations

from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

from pytheus.atomic import lock_for
from pytheus.metrics.metric import Metric

__all__ = ["guard"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class _Method(Protocol[P, R]):
    __name__: str

    def __call__(self, metric: Metric, /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def guard(cls: type[Metric], *names: str) -> None:
    """Let each of the methods hold the metric's lock while it runs.

    One lock for all handles on a metric, for they may share numbers; re-entrant, so that guarded methods may call each
    other.
    """
    for name in names:
        setattr(cls, name, _guarded(cls.__dict__[name]))


def _guarded(method: _Method[P, R]) -> _Method[P, R]:
    @wraps(method)
    def guarded(metric: Metric, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with lock_for(metric._series.children):
            return method(metric, *args, **kwargs)

    return guarded
