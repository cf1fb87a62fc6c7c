"""Counters: numbers that never decrease."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, ParamSpec, TypeVar, cast, overload

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr, now
from pytheus.definitions import Definition
from pytheus.exceptions import OutOfRangeError, PytheusWarning
from pytheus.kinds import MetricType
from pytheus.metrics.exemplars import CONTEXTS
from pytheus.metrics.instrument import ExceptionCount
from pytheus.metrics.label_types import Complete, DefaultLabels, L, LabelValue, LabelValues
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.number import ONE, Number, to_float
from pytheus.metrics.scalar import NO_NUMBER, Scalar
from pytheus.metrics.series import UNBOUND, start_time
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.samples import Exemplar, Row, Sample
from pytheus.settings import NameRules

__all__ = ["Counter"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Counter(Scalar[L, L, "Counter[Complete]"]):
    """A number that only grows, and restarts at zero with its process.

    Examples are requests served, bytes sent, errors.

        >>> orders = Counter("shop_orders_total", "Orders placed.", ["method"], registry=None)
        >>> orders.labels("card").inc()
        >>> orders.labels(method="card").inc(2)
        >>> orders.labels("card").value
        3.0

    `name` should end with ``_total`` (https://prometheus.io/docs/practices/naming/) and is exposed as given in every
    format; without the suffix it is an ``unknown`` in OpenMetrics, and its definition is a `PytheusWarning`.
    `description` is the help text. `unit` is "" or the end of the name before ``_total``, such as "seconds" in
    ``cpu_seconds_total``. `required_labels` are the names. `default_labels` maps some or all of them to default values,
    or to a context variable or function that each write asks for the value (`pytheus.metrics.label_sources`).
    `labels_from` maps each label to its expected values: the series of every combination is created at once with the
    value zero, so that a rate includes the first increment. `labels`, instead of `required_labels`, is a dataclass,
    NamedTuple or TypedDict whose fields are the labels, so that type checkers know them. `names` is "utf8" if the names
    of the metric and its labels may be any text, which needs Prometheus 3, "legacy" if not, and None for the setting of
    the process (`pytheus.settings`). The metric is registered in `registry`; None registers it nowhere.

    A second counter with the same name and labels in the same registry shares the values of the first. All methods may
    be called from any thread, signal handler or finalizer. https://prometheus.io/docs/concepts/metric_types/#counter

    Raises `InvalidNameError` or `LabelError` for invalid names and labels, and `ConflictError` if another metric would
    expose the same name. Nothing is registered then.
    """

    __slots__ = ("_created",)

    type_: ClassVar[MetricType] = "counter"

    _created: float

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: DefaultLabels | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        labels: L | None = None,
        unit: str = "",
        names: NameRules | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        super().__init__(
            name,
            description,
            required_labels,
            default_labels,
            labels_from,
            registry,
            labels=labels,
            unit=unit,
            names=names,
        )
        definition = self._series.definition
        if not definition.name.endswith("_total"):
            _warn_of_name(definition)

    def _init_series(self) -> None:
        # Without calls of `_init_handle` and `_reset`, which would take plain Python as long as the rest.
        self._line = ""
        self._line_value = NO_NUMBER
        self._value = 0.0
        ended = self._series.ended_at[0]
        self._created = start_time(ended) if ended else now()

    def _reset(self) -> None:
        super()._reset()
        self._series.messages[0] = []
        self._created = start_time(self._created)

    def _start_time(self) -> float:
        return self._created

    def _begin(self, created: float) -> None:
        self._created = created

    def _add(self, index: int, number: float) -> None:
        # atomic: as in `inc`
        if self._view is None:
            self._value += number
        elif self._view is UNBOUND:
            self._bound()._add(index, number)
        else:
            self._value += number
            self._view[0] = self._value

    def _put(self, index: int, number: float) -> None:
        if number < self._value:
            self._series.messages[0] = []
            self._created = start_time(self._created)
        # atomic: loads and stores
        if self._view is None:
            self._value = number
        elif self._view is UNBOUND:
            self._bound()._put(index, number)
        else:
            self._value = number
            self._view[0] = number

    def _keep_exemplar_of_context(self, index: int, number: float) -> None:
        self._bound()._keep_exemplar(None, number, index)

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        labels = cast("tuple[str, ...]", self._labels)
        return Row(labels, [self._stored_number()], None, exemplars, True, self._created)

    def _samples(self) -> list[Sample]:
        return [sample._replace(created=self._created) for sample in super()._samples()]

    def inc(self: Counter[Complete], amount: Number = ONE, exemplar: LabelValues | None = None) -> None:
        """Add `amount`, which must not be negative.

        `exemplar` are labels that refer to one cause, such as the id of a trace. Raises `OutOfRangeError` for a
        negative amount or NaN, `NotANumberError` for an amount that is not a number, and `LabelError` if a label is
        missing or the exemplar cannot be exposed. The counter is unchanged then.
        """
        if amount is ONE:
            value = 1.0
        else:
            value = amount if type(amount) is float else to_float(amount, self)
            if not value >= 0.0:
                raise OutOfRangeError(
                    f"counter {self.name!r} can only grow but got {amount!r}; use a Gauge for a number that also falls"
                )
        if exemplar is not None or CONTEXTS.in_use:
            series = self._bound()
            series._keep_exemplar(exemplar, value, 0)
            series._add(0, value)
            return
        # atomic: loads, an add and stores
        if self._view is None:
            self._value += value
        elif self._view is UNBOUND:
            self._bound()._add(0, value)  # not `inc`, which a subclass may have
        else:
            self._value += value
            self._view[0] = self._value

    def count_exceptions(
        self: Counter[Complete], exceptions: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> ExceptionCount:
        """Return a context manager and decorator that counts exceptions.

        It counts the `exceptions` that leave its block or function, and does not suppress them. Raises `TypeError` if
        `exceptions` is not an exception class or a tuple of them, and `LabelError` if a label is missing.

        >>> failures = Counter("failures_total", "Failed imports.", registry=None)
        >>> with failures.count_exceptions(ValueError):
        ...     int("12")
        12
        """
        if self._is_complete():
            self._bound()
        self._series.require(self._labels)
        # Raises TypeError here, because later it would replace the exception to count.
        issubclass(Exception, exceptions)
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
        """Count the exceptions that leave a function, as a decorator.

        Can be used with or without arguments; see `count_exceptions`.
        """
        count = self.count_exceptions(exceptions)
        return count if function is None else count(function)


# As a module has it, so that the default filter shows a warning once for each line.
_WARNED: Final[dict[str | tuple[str, type[Warning], int], int]] = {}


def _warn_of_name(definition: Definition) -> None:
    import warnings

    path, _, line = definition.location.rpartition(":")
    # Where the metric is defined, whether the build is compiled or not, which have different frames.
    warnings.warn_explicit(
        f"counter {definition.name!r} has no suffix '_total', so OpenMetrics, which Prometheus asks for first, has it"
        f" as an unknown and not as a counter; call it {definition.name + '_total'!r}",
        PytheusWarning,
        path or "<unknown>",
        int(line or 1),
        registry=_WARNED,
    )


if LOCKED:
    lock_methods(Counter, "inc", "_add", "_put")
