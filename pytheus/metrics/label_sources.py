"""Label values that are asked for at each write: by a context variable or a function.

Rules:

- A source is asked when a handle without the label chooses its series: at each write, at each reading of a number, and
  when a block that counts in progress begins. Neither the definition nor `labels()` asks it.
- No value is the empty one, which Prometheus treats as no label.
- A function that raises does not take down the code that is measured: its label is empty, and one warning for each
  metric and label tells why. In strict mode (`pytheus.settings`) the write raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pytheus.exceptions import LabelError
from pytheus.metrics.label_types import DefaultLabels, LabelValues

__all__ = ["Source", "parted"]


class Source:
    """Where the value of a label comes from.

    >>> Source("zone", "counter 'hits_total'", lambda: "eu").value({})
    'eu'
    """

    __slots__ = ("_ask", "_label", "_subject")

    def __init__(self, label: str, subject: str, ask: Callable[[], object]) -> None:
        self._label = label
        self._subject = subject
        self._ask = ask

    def value(self, converted: dict[str, object]) -> object:
        """Return the present value, or "".

        `converted` has the labels of the subject for which a warning was issued. Raises `LabelError` in strict mode
        only, and a warning that the program has made an error.
        """
        try:
            value = self._ask()
        except Exception as error:
            self._report(error, converted)
            return ""
        return "" if value is None else value

    def _report(self, error: Exception, converted: dict[str, object]) -> None:
        from pytheus.metrics.label_values import warn_once
        from pytheus.settings import is_strict

        raised = f"default_labels[{self._label!r}] of {self._subject} raised {type(error).__name__}: {error}"
        if is_strict():
            raise LabelError(f"{raised}; return None where there is no value") from error
        warn_once(
            f"{raised}, and so the label is empty; return None where there is no value. PYTHEUS_STRICT=1 raises"
            " instead. This warning comes once for each metric and label",
            self._label,
            converted,
        )


def parted(default_labels: DefaultLabels, subject: str) -> tuple[LabelValues, dict[str, Source]]:
    """Return the values in `default_labels`, and its sources by label, which is "" among the values.

    Raises `LabelError` for a source that cannot be asked without waiting: a coroutine function.
    """
    values: dict[str, Any] = {}  # as given, because those of other types are refused by their words
    sources: dict[str, Source] = {}
    for label, given in default_labels.items():
        ask = _question(given, label, subject)
        if ask is not None:
            sources[label] = Source(label, subject, ask)
        values[label] = given if ask is None else ""
    return values, sources


def _question(given: object, label: str, subject: str) -> Callable[[], object] | None:
    """Return a function that asks `given` for a value, or None if it is not a source."""
    if isinstance(given, (str, int)):
        return None
    from contextvars import ContextVar

    if isinstance(given, ContextVar):
        variable: ContextVar[object] = given
        return lambda: variable.get(None)
    if not callable(given):
        return None
    from inspect import iscoroutinefunction

    if iscoroutinefunction(given) or iscoroutinefunction(type(given).__call__):
        raise LabelError(
            f"default_labels[{label!r}] of {subject} must be a value, a context variable or a plain function but got"
            f" the coroutine function {given!r:.80}, which a write cannot wait for; set a context variable where the"
            " value becomes known"
        )
    return cast("Callable[[], object]", given)
