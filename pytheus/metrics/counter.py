"""Counters: numbers that only grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, ParamSpec, TypeVar, overload

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.exceptions import OutOfRangeError
from pytheus.kinds import MetricType
from pytheus.metrics.around import ExceptionCount
from pytheus.metrics.doubles import UNBOUND
from pytheus.metrics.guard import guard
from pytheus.metrics.label_types import Complete, L
from pytheus.metrics.number import ONE, Number, to_float
from pytheus.metrics.scalar import Scalar
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["Counter"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Counter(Scalar[L, L, "Counter[Complete]"]):
    """A number that only grows, and starts again at zero with its process: requests served, bytes sent, errors.

        >>> orders = Counter("shop_orders_total", "Orders placed.", ["method"], registry=None)
        >>> orders.labels("card").inc()
        >>> orders.labels(method="card").inc(2)
        >>> orders.labels("card").value
        3.0

    `name` should end with ``_total`` (https://prometheus.io/docs/practices/naming/) and is exposed as it is given;
    OpenMetrics adds the ending where it is missing. `required_labels` are the label names, `default_labels` values for
    some or all of them. `labels_from` gives for each label the values to expect: every combination is there from the
    start at zero, so that a rate sees the first increment. `labels`, in place of `required_labels`, is a dataclass,
    NamedTuple or TypedDict whose fields are the labels, so that type checkers know them. `registry` is where to
    register, or None for nowhere.

    A second counter with the same name and labels in the same registry shares the values of the first.

    Raises `InvalidNameError` or `LabelError` for names and labels that cannot be, and `ConflictError` where another
    metric would expose the same name; nothing is registered then.
    """

    __slots__ = ()

    type_: ClassVar[MetricType] = "counter"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: Mapping[str, str] | None = None,
        labels_from: Mapping[str, Iterable[str]] | None = None,
        labels: L | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        super().__init__(name, description, required_labels, default_labels, labels_from, registry, labels=labels)

    def inc(self: Counter[Complete], amount: Number = ONE, exemplar: Mapping[str, str] | None = None) -> None:
        """Add `amount`, which is not negative; `exemplar` are labels that point at one cause, such as a trace's id.

        Raises `OutOfRangeError` for a negative amount or NaN, `NotANumberError` for what is no number, and `LabelError`
        where a label is missing or the exemplar cannot be exposed; nothing has changed then.
        """
        if amount is ONE:
            value = 1.0
        else:
            value = amount if type(amount) is float else to_float(amount, self)
            if not value >= 0.0:
                raise OutOfRangeError(
                    f"counter {self.name!r} can only grow but got {amount!r}; for a number that also falls use a Gauge"
                )
        if exemplar is not None:
            self._bound()._keep_exemplar(exemplar, value, 0)
        # atomic: loads, an add and stores
        if self._view is None:
            self._value += value
        elif self._view is UNBOUND:
            self._bound().inc(value)
        else:
            self._value += value
            self._view[0] = self._value

    def count_exceptions(
        self: Counter[Complete], exceptions: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCount:
        """A context manager and decorator that counts the `exceptions` that leave its block or function.

        >>> failures = Counter("failures_total", "Failed imports.", registry=None)
        >>> with failures.count_exceptions(ValueError):
        ...     int("12")
        12
        """
        self._bound()
        issubclass(
            Exception, exceptions
        )  # raises TypeError now, rather than in place of an error that is to be counted
        return ExceptionCount(self.inc, exceptions)

    @overload
    def __call__(self: Counter[Complete], function: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def __call__(
        self: Counter[Complete], *, exceptions: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCount: ...

    def __call__(
        self: Counter[Complete],
        function: Callable[..., object] | None = None,
        *,
        exceptions: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    ) -> object:
        """As a decorator, with or without arguments: count the exceptions that leave the function."""
        count = self.count_exceptions(exceptions)
        return count if function is None else count(function)


if LOCKED:
    guard(Counter, "inc")
