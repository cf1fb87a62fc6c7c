"""The numbers that metrics of prometheus_client write to: of a series of pytheus, or their own."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, cast

from prometheus_client.samples import Exemplar
from prometheus_client.values import MutexValue

from pytheus.atomic import LOCKED, lock_for
from pytheus.exceptions import PytheusError
from pytheus.metrics import Cell

__all__ = ["LocalNumber", "SeparateNumber", "SharedNumber", "local"]


class LocalNumber(MutexValue):
    """A number outside of pytheus: of a metric that is not registered, or that pytheus refused.

    It is prometheus_client's own, under a name by which a number that was made since the installation is known.
    """

    kept_in: SharedNumber | None = None
    """The number of a series that the program has itself, and that keeps the increments of this one."""
    kept: float = 0.0
    """The part of this number that is counted there."""

    def keep(self, shared: SharedNumber, part: float) -> None:
        """Remember that the series of `shared` keeps a part of this number."""
        if part:
            self.kept_in, self.kept = shared, part

    def kept_by(self, shared: SharedNumber) -> float:
        """Return the part that the series of `shared` has counted already."""
        return self.kept if self.kept_in is not None and self.kept_in.is_beside(shared) else 0.0


def local(value: float, exemplar: Exemplar | None = None) -> LocalNumber:
    """Return a number of prometheus_client's own with this value."""
    number: LocalNumber = cast(Any, LocalNumber)("", "", "", (), (), "")
    number._value = value
    number._exemplar = exemplar
    return number


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

    def is_beside(self, other: SharedNumber) -> bool:
        """Return whether both are numbers of the same series, which has not ended since."""
        return self._series is other._series


class SeparateNumber:
    """A number of one of several metrics that share a series, each of another registry of prometheus_client.

    It shows its own number, and adds each change to the series. It needs no lock, as the metrics of pytheus. While a
    function of another one provides the number of the series, it changes its own number alone.
    """

    _multiprocess = False
    _exemplar: Exemplar | None = None

    def __init__(
        self, shared: SharedNumber, value: float, is_sum: bool, others: Callable[[], float] | None, kept: float
    ) -> None:
        """Show `value`, of which the series keeps `kept` at the end.

        `others` returns the sum of the other metrics. It is None for a number of a histogram or a summary, which
        pytheus changes by a difference alone.
        """
        self._shared = shared
        self._is_sum = is_sum
        self._others = others
        self._value = value
        self.kept = kept
        # What the series has beside the numbers of all these metrics, while it is not finite.
        self._rest = 0.0

    @property
    def shared(self) -> SharedNumber:
        """The number of the series."""
        return self._shared

    def inc(self, amount: float) -> None:
        """Add `amount` to both."""
        try:
            self._shared.inc(amount)
        except PytheusError as error:
            _raise_if_of_argument(error)
        self._add(float(amount))

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set its own number; the series changes by the difference, or is set as well if its gauges are not summed."""
        self._change(float(value))

    def keep_exemplar_of(self, shared: SharedNumber) -> None:
        """Show the exemplar that `shared` has."""
        self._exemplar = shared.get_exemplar()

    def get(self) -> float:
        """Return its own number."""
        return self._value

    def give_back(self) -> None:
        """Take its own number out of the series, if that has a sum.

        A sum of a histogram or a summary that is not finite stays so.
        """
        if self._is_sum and (self._others is not None or isfinite(self._value)):
            self._change(self.kept)

    def write_again(self) -> None:
        """Write its own number to the series, which another one has left that wrote to it last."""
        others = self._others() if self._is_sum and self._others is not None else 0.0
        try:
            self._shared.set(self._value + others)
        except PytheusError as error:
            _raise_if_of_argument(error)

    def _change(self, number: float) -> None:
        former = self._exchange(number)
        try:
            if not self._is_sum:
                self._shared.set(number)
            elif self._others is None or (isfinite(former) and isfinite(number)):
                self._shared.inc(number - former)
            else:  # a difference would be NaN, or make NaN of the sum
                others = self._others()
                if isfinite(former):
                    rest = self._shared.get() - former - others
                    self._rest = rest if isfinite(rest) else 0.0
                self._shared.set(self._rest + others + number)
        except PytheusError as error:
            _raise_if_of_argument(error)

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


def _raise_if_of_argument(error: PytheusError) -> None:
    """Raise `error` if its cause is the number that was to be written, and no function that provides the number."""
    if isinstance(error, (TypeError, ValueError)):
        raise error


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
