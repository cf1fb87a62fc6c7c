"""Single numbers of a series, for libraries whose metric objects are not pytheus's own."""

from __future__ import annotations

from pytheus.compilation import mypyc_attr
from pytheus.metrics.exemplars import CONTEXTS
from pytheus.metrics.handle import Handle
from pytheus.metrics.label_types import Complete, LabelValues
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number, to_float
from pytheus.metrics.series import UNBOUND

__all__ = ["Cell"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Cell:
    """One number of a series, to which another library's metric object writes instead of a number of its own.

        >>> from pytheus import Histogram
        >>> latency = Histogram("latency_seconds", "Latency.", buckets=(0.1, 1.0), registry=None)
        >>> total, first = Cell(latency, 0), Cell(latency, 1)
        >>> total.inc(0.05)
        >>> first.inc(1)
        >>> [row.numbers for row in latency.rows()]
        [[0.05, 1.0, 0.0, 0.0]]

    `series` is a metric without labels, or a handle with all labels bound: a counter, gauge, histogram or summary.
    `index` is the number's place in `pytheus.samples.Row.numbers`. A cell follows its series wherever the registry
    keeps it. It checks neither the sign nor the finiteness of a written number, because the other library has its own
    rules. All methods may be called from any thread, signal handler or finalizer, as those of the metric.

    Raises `LabelError` if a label is missing, and `IndexError` if the series has no number at `index`.
    """

    __slots__ = ("_index", "_series")

    _index: int
    _series: Handle

    def __init__(self, series: Metric[Complete], index: int) -> None:
        bound = series._bound()
        size = bound._size()
        if not 0 <= index < size:
            raise IndexError(f"{series} has {size} numbers but got the index {index!r}; the first is 0")
        self._series = bound
        self._index = index

    def inc(self, amount: Number) -> None:
        """Add `amount`; raises as `pytheus.Gauge.inc` does.

        A counter keeps an exemplar of the context (`pytheus.metrics.exemplar`), and so does a histogram when its sum
        changes, which is by the value that is observed.
        """
        series = self._series
        number = amount if type(amount) is float else to_float(amount, series)
        if series._view is UNBOUND:
            series = self._follow()
        if CONTEXTS.in_use:
            series._keep_exemplar_of_context(self._index, number)
        series._add(self._index, number)

    def set(self, value: Number, timestamp: float | None = None) -> None:
        """Set the number; raises as `inc` does. A counter that gets smaller begins again, with a new start time.

        `timestamp` has no effect: other libraries pass one, and a series keeps the time of each write itself.
        """
        series = self._series
        number = value if type(value) is float else to_float(value, series)
        if series._view is UNBOUND:
            series = self._follow()
        series._put(self._index, number)

    def get(self) -> float:
        """Return the number, which is 0.0 for a gauge that was never set. Creates no series."""
        return self._series._number_at(self._index)

    @property
    def is_stored(self) -> bool:
        """Whether a registry keeps the number in a storage of its own, as one of several processes does."""
        return len(self._series._series.storage) > 0

    def keep_exemplar(self, labels: LabelValues, value: float) -> None:
        """Keep the exemplar of a counter or of a histogram's bucket; raises as `pytheus.Counter.inc` does."""
        self._series._bound()._keep_exemplar(labels, value, self._index)

    def begin(self, created: float) -> None:
        """Tell that the series began at zero at `created`, in seconds since the Unix epoch, before it is registered."""
        self._series._begin(created)

    def _follow(self) -> Handle:
        """Return the series to write to, after the former one has ended or fallen asleep."""
        series = self._series._successor()
        self._series = series
        return series
