"""Exemplars by context: the labels of everything that is counted within a block or a span.

Rules:

- An exemplar that is given to `inc()` or `observe()` comes before that of the innermost `with exemplar(...)`, and that
  one before the current span of OpenTelemetry.
- Labels are checked when the block is made, so that no write within it raises because of them.
- `CONTEXTS.in_use` tells a write whether there is anything to look up. Without it, a write costs one test more than
  without this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pytheus.atomic import LOCKED, lock_for
from pytheus.metrics.label_types import LabelValue, LabelValues
from pytheus.samples import Exemplar, exemplar_labels

if TYPE_CHECKING:
    from contextvars import ContextVar

__all__ = ["CONTEXTS", "Contexts", "ExemplarContext", "exemplar", "exemplars_from_opentelemetry"]


class Contexts:
    """Whether exemplars come from contexts, of any thread, and from which."""

    __slots__ = ("blocks", "in_use", "span_labels")

    def __init__(self) -> None:
        # Not the number of blocks, because a bool is tested faster.
        self.in_use: bool = False
        self.blocks: int = 0
        self.span_labels: Callable[[], Mapping[str, str] | None] | None = None

    def add(self, blocks: int) -> None:
        """Count `blocks` more, or less."""
        if LOCKED:
            with lock_for(self):
                self._add(blocks)
        else:
            self._add(blocks)

    def _add(self, blocks: int) -> None:
        # atomic: the number, and what follows from it
        self.blocks += blocks
        self.in_use = self.blocks > 0 or self.span_labels is not None

    def take_from(self, span_labels: Callable[[], Mapping[str, str] | None] | None) -> None:
        """Take labels from `span_labels` outside of all blocks; None ends that."""
        self.span_labels = span_labels
        self.add(0)

    def exemplar(self, value: float) -> Exemplar | None:
        """Return an exemplar of `value` from the context of the caller, or None if it has none."""
        block = _innermost().get()
        if block is not None:
            return Exemplar(block.labels, value, time.time())
        span_labels = self.span_labels
        labels = None if span_labels is None else span_labels()
        return None if labels is None else Exemplar(labels, value, time.time())


CONTEXTS: Final = Contexts()


class _Block:
    """A block that runs; `outer` is the one around it."""

    __slots__ = ("labels", "outer")

    def __init__(self, labels: Mapping[str, str], outer: _Block | None) -> None:
        self.labels: Final = labels
        self.outer: Final = outer


_variables: Final[list[ContextVar[_Block | None]]] = []
"""The variable of the innermost block; made when it is first needed, because most programs have no such block."""


def _innermost() -> ContextVar[_Block | None]:
    if not _variables:
        from contextvars import ContextVar

        _variables.append(ContextVar("pytheus_exemplar", default=None))
    return _variables[0]  # the same for two threads that made it at once


class ExemplarContext:
    """The context manager that `exemplar` returns.

    It may be entered several times, also at once: by several threads and tasks, and inside of its own block.

        >>> with exemplar(trace_id="4bf92f35") as labels:
        ...     print(labels)
        {'trace_id': '4bf92f35'}
    """

    __slots__ = ("_labels",)

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels: Final = labels

    def __enter__(self) -> Mapping[str, str]:
        variable = _innermost()
        variable.set(_Block(self._labels, variable.get()))
        CONTEXTS.add(1)
        return self._labels

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        # Without a token, which only the context of `__enter__` accepts; a generator may end in another one.
        block = _innermost().get()
        if block is not None and block.labels is self._labels:
            _innermost().set(block.outer)
        CONTEXTS.add(-1)

    def __repr__(self) -> str:
        return f"<exemplar {dict(self._labels)!r}>"


def exemplar(labels: LabelValues | None = None, /, **named: LabelValue) -> ExemplarContext:
    """Return a context manager that gives an exemplar to everything that is counted within its block.

        >>> from pytheus import Histogram
        >>> latency = Histogram("latency_seconds", "Latency.", registry=None)
        >>> with exemplar(trace_id="4bf92f35"):
        ...     latency.observe(0.2)
        >>> [dict(row.exemplars[6].labels) for row in latency.rows()]
        [{'trace_id': '4bf92f35'}]

    The labels are given by name, or as one mapping, or both. Counters and histograms keep the latest exemplar of each
    series and bucket. The block belongs to its thread or task, with the tasks and calls that these start with a copy of
    their context (`contextvars`); it has no effect on `observe_many`. Of blocks inside of each other the innermost
    counts, and an exemplar that is given to `inc()` or `observe()` comes before it.

    Raises `InvalidNameError` or `LabelError` for labels that an exemplar cannot have; names and values have at most 128
    characters together. https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
    """
    from pytheus.metrics.label_values import label_text

    given: dict[str, LabelValue] = {**({} if labels is None else labels), **named}
    subject = "exemplar(...)"
    return ExemplarContext(
        exemplar_labels(given, subject, lambda label, value: label_text(value, label, subject, _converted))
    )


_converted: Final[dict[str, object]] = {}
"""The labels for which a warning about a converted value was issued."""


def exemplars_from_opentelemetry(enabled: bool = True) -> None:
    """Give everything that is counted within a sampled span of OpenTelemetry an exemplar that refers to the span.

    Its labels are ``trace_id`` and ``span_id``, in hexadecimal digits. Holds for the whole process, until it is called
    with ``enabled=False``. A block of `exemplar` comes before the span. Each increment and observation then looks up
    the current span, which takes up to a microsecond.

    Raises `ImportError` if the package opentelemetry-api is not installed. May be called from any thread.
    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exemplars
    """
    if not enabled:
        CONTEXTS.take_from(None)
        return
    try:
        from pytheus.metrics.spans import current_span_labels
    except ImportError as error:
        raise ImportError(
            "exemplars_from_opentelemetry() takes exemplars from the spans of OpenTelemetry, whose API is not"
            " installed; run `pip install opentelemetry-api`"
        ) from error
    CONTEXTS.take_from(current_span_labels)
