"""Types for a metric's labels, which only type checkers use.

Every metric type is generic in `L`: the labels that are not set yet, as a callable with these parameters:

- the class given as ``labels=`` (a dataclass, NamedTuple or TypedDict), whose constructor has these parameters;
- `Complete` once they are set, which has no parameters;
- ``...`` if the labels are unknown: a metric with `required_labels`, or the plain annotation ``Counter``. Every metric
  is compatible with that annotation.

`L` is covariant, so labels with defaults need not be set: a callable that can be called without arguments is compatible
with `Complete`. `C` is `L` once more, because `labels` matches it in two ways at once, and `D` is the metric's own type
with its labels set. These are type variables because members for checkers would also exist at run time.

The defaults of type variables (PEP 696) are in `typing` since Python 3.13. Checkers have typing_extensions, and nothing
needs a default at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from contextvars import ContextVar

    from typing_extensions import TypeVar

    L = TypeVar("L", bound=Callable[..., object], default=Callable[..., object], covariant=True)
    C = TypeVar("C", default=object, covariant=True)
    D = TypeVar("D", default=object, covariant=True)
else:
    from typing import TypeVar

    L = TypeVar("L", covariant=True)
    C = TypeVar("C", covariant=True)
    D = TypeVar("D", covariant=True)

__all__ = ["AnyLabels", "C", "Complete", "D", "DefaultLabels", "L", "LabelSource", "LabelValue", "LabelValues"]

Complete = Callable[[], object]

LabelValue: TypeAlias = str | int
"""A label value; `pytheus.metrics.label_values` tells how others are converted."""

LabelValues: TypeAlias = Mapping[str, LabelValue]
"""Label values by name."""

_Variable: TypeAlias = "ContextVar[str] | ContextVar[str | None] | ContextVar[int] | ContextVar[int | None]"

LabelSource: TypeAlias = "_Variable | Callable[[], LabelValue | None]"
"""Where a label's value comes from at each write; see `pytheus.metrics.label_sources`."""

DefaultLabels: TypeAlias = "Mapping[str, LabelValue | LabelSource]"
"""Default values by label name, and where others come from."""


class AnyLabels(Protocol):
    """A callable that `L` matches only if the labels are unknown.

    No class accepts all of its arguments.
    """

    def __call__(self, /, *values: LabelValue | LabelValues, **named: LabelValue) -> object: ...
