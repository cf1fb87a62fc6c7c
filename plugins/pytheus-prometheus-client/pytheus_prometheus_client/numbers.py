"""The numbers that metrics of prometheus_client write to: of a series of pytheus, or their own."""

from __future__ import annotations

from prometheus_client.samples import Exemplar
from prometheus_client.values import MutexValue

from pytheus.atomic import LOCKED, lock_for
from pytheus.exceptions import PytheusError
from pytheus.metrics import Cell

__all__ = ["LocalNumber", "SeparateNumber", "SharedNumber"]


class LocalNumber(MutexValue):
    """A number outside of pytheus: of a metric that is not registered, or that pytheus refused.

    It is prometheus_client's own, under a name by which a number that was made since the installation is known.
    """


class SharedNumber(Cell):
    """A number of a series of pytheus, with the methods that prometheus_client calls."""

    _multiprocess = False
    _exemplar: Exemplar | None = None

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


class SeparateNumber:
    """A number of one of several metrics that share a series, each of another registry of prometheus_client.

    It shows its own number, and adds each change to the series. It needs no lock, as the metrics of pytheus.
    """

    _multiprocess = False
    _exemplar: Exemplar | None = None

    def __init__(self, shared: SharedNumber, value: float, is_sum: bool) -> None:
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
        self._add(float(amount))

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set its own number; the series changes by the difference, or is set as well if its gauges are not summed."""
        number = float(value)
        former = self._exchange(number)
        if self._is_sum:
            self._shared.inc(number - former)
        else:
            self._shared.set(number)

    def get(self) -> float:
        """Return its own number."""
        return self._value

    def give_back(self) -> None:
        """Take its own number out of the series, if that has a sum."""
        if self._is_sum:
            self._shared.inc(-self._exchange(0.0))

    def set_exemplar(self, exemplar: Exemplar) -> None:
        """Keep the latest exemplar in both."""
        self._shared.set_exemplar(exemplar)
        self._exemplar = exemplar

    def get_exemplar(self) -> Exemplar | None:
        """Return its own latest exemplar."""
        return self._exemplar

    def _add(self, amount: float) -> None:
        # atomic: a load, an add and a store
        self._value += amount

    def _exchange(self, value: float) -> float:
        # atomic: of two threads that set the number, the second one finds that of the first
        former = self._value
        self._value = value
        return former


if LOCKED:
    _add, _exchange = SeparateNumber._add, SeparateNumber._exchange

    def _add_locked(self: SeparateNumber, amount: float) -> None:
        with lock_for(self):
            _add(self, amount)

    def _exchange_locked(self: SeparateNumber, value: float) -> float:
        with lock_for(self):
            return _exchange(self, value)

    SeparateNumber._add = _add_locked  # type: ignore[method-assign]  # the same method under a lock
    SeparateNumber._exchange = _exchange_locked  # type: ignore[method-assign]  # the same method under a lock
