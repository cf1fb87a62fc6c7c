"""The exemplars of a native histogram: which of them are kept.

Rules:

- A series keeps at most 10, in the order of their values, so that they are spread over all values.
- One more takes the place of the oldest one if that is older than five minutes. Otherwise the older one of the two that
  are closest to each other goes, as a ratio of their values.

They are the rules of Prometheus's other client libraries.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from pytheus.samples import Exemplar

__all__ = ["with_exemplar"]

_EXEMPLARS_AT_MOST: Final = 10
_EXEMPLAR_SECONDS: Final = 300.0


def with_exemplar(present: tuple[Exemplar, ...], added: Exemplar) -> tuple[Exemplar, ...]:
    """Return `present` with one more, and at most 10."""
    exemplars = sorted([*present, added], key=_value)
    if len(exemplars) <= _EXEMPLARS_AT_MOST:
        return tuple(exemplars)
    oldest = min(exemplars, key=_time)
    if _time(added) - _time(oldest) <= _EXEMPLAR_SECONDS:
        _, pair = min(
            ((_distance(lower, upper), position) for position, (lower, upper) in enumerate(pairwise(exemplars)))
        )
        oldest = min(exemplars[pair : pair + 2], key=_time)
    exemplars.remove(oldest)
    return tuple(exemplars)


def _value(exemplar: Exemplar) -> float:
    return exemplar.value


def _time(exemplar: Exemplar) -> float:
    return exemplar.timestamp or 0.0


def _distance(lower: Exemplar, upper: Exemplar) -> float:
    """Return how far two values are apart, as a ratio; infinite across zero, which is in a bucket of its own."""
    if lower.value == upper.value:
        return 0.0
    if not lower.value * upper.value > 0:
        return math.inf
    return abs(math.log(abs(upper.value)) - math.log(abs(lower.value)))
