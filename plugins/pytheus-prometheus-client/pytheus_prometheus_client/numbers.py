"""What metrics of prometheus_client write to: a number of a series of pytheus, or one of their own."""

from __future__ import annotations

from prometheus_client.samples import Exemplar
from prometheus_client.values import MutexValue

from pytheus.exceptions import PytheusError
from pytheus.metrics import Cell

__all__ = ["LocalNumber", "SeparateNumber", "SharedNumber"]


class LocalNumber(MutexValue):
    """A number that is no series of pytheus: of a metric that is not registered, or that pytheus refused.

    It is prometheus_client's own, under a name by which a number that was made since the installation is known.
    """


class SharedNumber(Cell):
    """A number of a series of pytheus, with the methods that prometheus_client calls."""

    _multiprocess = False
    _exemplar: Exemplar | None = None

    def set(self, value: float, timestamp: float | None = None) -> None:  # type: ignore[override]  # one more argument
        """Set the number; pytheus keeps the time of a gauge by itself."""
        super().set(value)

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Keep the latest exemplar, in this process and where pytheus keeps it."""
        self._exemplar = exemplar
        try:
            self.keep_exemplar(exemplar.labels, exemplar.value)
        except PytheusError:  # a label that pytheus does not take: the number counts, and their exposition has it
            pass

    def get_exemplar(self) -> Exemplar | None:
        """Return the latest exemplar of this process."""
        return self._exemplar


class SeparateNumber(LocalNumber):
    """A number of one of several metrics that share a series, each of another registry of prometheus_client.

    What it shows is its own; what it is changed by counts in the series.
    """

    def __init__(self, shared: SharedNumber, value: float, is_sum: bool) -> None:
        super().__init__("", "", "", (), (), "")
        self._shared = shared
        self._is_sum = is_sum
        self._value = value

    @property
    def shared(self) -> SharedNumber:
        """The number of the series."""
        return self._shared

    def inc(self, amount: float) -> None:
        """Add `amount` to both."""
        self._shared.inc(amount)
        super().inc(amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set its own number; the series changes by the difference, or is set as well if its gauges are not summed."""
        with self._lock:
            difference = value - self._value
            self._value = value
        if self._is_sum:
            self._shared.inc(difference)
        else:
            self._shared.set(value)

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Keep the latest exemplar in both."""
        self._shared.set_exemplar(exemplar)
        super().set_exemplar(exemplar)
