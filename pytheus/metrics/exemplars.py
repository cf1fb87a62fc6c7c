"""Exemplars handed to a metric: checked whole before anything is counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from pytheus.exceptions import LabelError
from pytheus.names import validate_label_name, validate_text
from pytheus.samples import Exemplar

__all__ = ["checked_exemplar"]

# "The combined length of the label names and values of an Exemplar's LabelSet MUST NOT exceed 128 UTF-8 character code
# points": https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
_CHARACTERS_AT_MOST: Final = 128


def checked_exemplar(labels: object, value: float, metric: str) -> Exemplar:
    """An exemplar of `value`, as of now; raises `LabelError` or `InvalidNameError` for what cannot be exposed."""
    if not isinstance(labels, Mapping):
        raise LabelError(f"an exemplar of {metric!r} must be a mapping of label names to values but got {labels!r:.80}")
    checked: dict[str, str] = {}
    for name in labels:
        label = validate_label_name(name, f"an exemplar of {metric!r}")
        checked[label] = validate_text(labels[name], f"label {label!r} of an exemplar of {metric!r}")
    length = sum(len(name) + len(text) for name, text in checked.items())
    if length > _CHARACTERS_AT_MOST:
        raise LabelError(
            f"an exemplar of {metric!r} has {length} characters in its labels {tuple(checked)!r}, but OpenMetrics"
            f" allows {_CHARACTERS_AT_MOST}; keep to ids"
        )
    return Exemplar(checked, value, time.time())
