"""How type checkers see a metric's labels; nothing here does anything at run time.

Every metric type is generic in `L`, the labels that are still to be given, as a callable whose parameters they are:

- the class given as ``labels=`` (a dataclass, NamedTuple or TypedDict), whose constructor takes just those;
- `Complete` once they are given, which takes nothing;
- ``...`` where nothing is known of them: a metric with `required_labels`, an annotation that says plain ``Counter``.
  Every metric fits such an annotation.

`L` is covariant, so that labels with defaults need not be given: a callable that can be called without arguments is as
good as `Complete`. `C` is `L` again, for `labels` has to match it in two ways at once, and `D` the metric's own type
with its labels given: type variables, for members that only checkers look at would still be there at run time.

The defaults of type variables (PEP 696) are in `typing` from Python 3.13 on; checkers bring typing_extensions along,
and nothing needs a default at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    L = TypeVar("L", bound=Callable[..., object], default=Callable[..., object], covariant=True)
    C = TypeVar("C", default=object, covariant=True)
    D = TypeVar("D", default=object, covariant=True)
else:
    from typing import TypeVar

    L = TypeVar("L", covariant=True)
    C = TypeVar("C", covariant=True)
    D = TypeVar("D", covariant=True)

__all__ = ["AnyLabels", "C", "Complete", "D", "L"]

Complete = Callable[[], object]


class AnyLabels(Protocol):
    """What `L` is compared to, to find out that nothing is known of the labels: no class is this lenient."""

    def __call__(self, /, *values: str | Mapping[str, str], **named: str) -> object: ...
