"""Where a metric keeps its numbers when its registry provides the memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, overload, runtime_checkable

from pytheus.samples import Exemplar

__all__ = ["UNSET", "FloatBuffer", "NumberStorage", "RetiresSeries", "SparseStorage", "is_unset"]

_UNSET_BYTES: Final = array("Q", [0x7FF8_7079_7468_6575]).tobytes()

UNSET: Final[float] = array("d", _UNSET_BYTES)[0]
"""The number of a gauge that was never set, where that differs from 0.0: in every mode but "sum".

It is NaN with a payload of its own, so that a process that never set a gauge takes no part in a minimum. No exposition
shows it: a gauge that no process has set is 0.0.
"""


def is_unset(number: float) -> bool:
    """Return whether `number` is `UNSET`.

    >>> is_unset(UNSET), is_unset(float("nan")), is_unset(0.0)
    (True, False, False)
    """
    return number != number and array("d", (number,)).tobytes() == _UNSET_BYTES


class FloatBuffer(Protocol):
    """The numbers of one series: a writable sequence of doubles.

    A ``memoryview`` of format "d" is one, and so is an ``array("d")``. Storing one number must be atomic for all other
    threads, as it is in both.
    """

    def __getitem__(self, index: int, /) -> float: ...
    @overload
    def __setitem__(self, index: int, value: float, /) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: array[float], /) -> None: ...
    def __len__(self) -> int: ...
    def tolist(self) -> list[float]:
        """Return all numbers with their current values."""
        ...


class NumberStorage(Protocol):
    """Memory for the numbers of one metric's series, which a registry provides to a `StorageAware` metric.

    Called from any thread that writes. May block for a short time (a file grows). Must not raise: numbers that find no
    space are kept in this process. `pytheus.samples.Row` defines the order of a series' numbers.
    """

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        """Return the buffer of the series with these label values, which begins with `numbers` if it is new.

        `created` is when the series began at zero, in seconds since the Unix epoch; 0.0 is unknown.

        It has as many numbers as `numbers`, and no other process sees the series before they are in it. Returns the
        same buffer for the same labels until they are released, also to two threads that ask at once. The metric writes
        straight into the buffer, without a call that tells of it.
        """
        ...

    def release(self, labels: tuple[str, ...], /) -> None:
        """Drop the series, whose buffer is no longer written. Unknown labels are ignored."""
        ...

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        """Set the labels that an info metric's series exposes."""
        ...

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Set the latest exemplar of the number at index `slot` of a series."""
        ...


@runtime_checkable
class RetiresSeries(Protocol):
    """A `NumberStorage` that can end series while their process lives, so that no sum of several processes goes back.

    Fallback: a series stays until its metric removes it.
    """

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float, /
    ) -> None:
        """Release those of `series` that ``leave`` lets go, and keep their numbers as if their process had ended.

        A series of the same labels may be created at any moment after ``leave`` has returned True, and must start at
        zero. Nothing happens to a series that cannot be kept elsewhere. Must not raise.
        """
        ...


@runtime_checkable
class SparseStorage(Protocol):
    """A `NumberStorage` that keeps counts of native buckets, of which a histogram has few at first and more later.

    A bucket's key tells its schema and index, or the threshold of the zero bucket; see `pytheus.native_buckets`. Counts
    of several schemas and thresholds may be there for one series, which add up. Fallback: the native buckets are kept
    in this process, and the numbers of the classic ones in the storage.
    """

    def bucket(self, labels: tuple[str, ...], key: str, /) -> FloatBuffer:
        """Return the buffer of one number for the bucket `key` of a series: zero, or as it is there.

        Otherwise as `NumberStorage.buffer`. The series' buckets are released with it.
        """
        ...

    def buckets(self, labels: tuple[str, ...], /) -> Mapping[str, FloatBuffer]:
        """Return the buffers of the buckets that this process has of a series, by key."""
        ...

    def set_bucket_exemplar(self, labels: tuple[str, ...], key: str, exemplar: Exemplar, /) -> None:
        """Set the latest exemplar of the bucket `key` of a series."""
        ...
