"""The numbers that metrics accept, and their conversion to exact floats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, SupportsFloat, SupportsIndex, cast

from pytheus.exceptions import NotANumberError, OutOfRangeError
from pytheus.names import shown

__all__ = ["ONE", "Number", "to_float", "to_floats"]

Number = SupportsFloat | SupportsIndex
"""An int, a float, a bool (0 or 1), a Decimal, a numpy scalar: any object with ``__float__`` or ``__index__``."""


ONE: Final[Number] = float("1")
"""The default of an increment. An object of its own, so that `is` detects the default, which needs no check."""


_EXACT_BELOW: Final = 2**53
_INFINITY: Final = float("inf")


def to_floats(values: Iterable[Number], subject: object) -> list[float]:
    """Return each of `values` as an exact float; raises as `to_float` does, also if one is NaN.

    `values` is any iterable, also an array of numpy.
    """
    # An array of numpy yields objects of its own types, but its list contains exact floats.
    listed: object = getattr(values, "tolist", None)
    numbers: list[object] = list(cast("Callable[[], Iterable[object]]", listed)() if callable(listed) else values)
    if set(map(type, numbers)) - {float}:
        numbers = [to_float(number, subject) for number in numbers]
    floats = cast("list[float]", numbers)
    total = sum(floats)
    if total != total and any(number != number for number in floats):
        raise OutOfRangeError(f"{subject} got NaN, which would make the sum NaN")
    return floats


def to_float(value: object, subject: object) -> float:
    """Return `value` as an exact float; `subject` begins the error messages.

    Raises `NotANumberError` if it is not a number (str and bytes are not, even with digits), and `OutOfRangeError` if
    it is too large for a double.
    """
    if type(value) is int and -_EXACT_BELOW < value < _EXACT_BELOW:
        return float(value)  # the most common case
    # The type is checked, as float() does; but float() also parses strings and buffers. numpy's strings and complex
    # numbers, and arrays of one, have a __float__, which parses the former and drops the imaginary part of the latter.
    kind = type(value)
    is_number = hasattr(kind, "__float__") or hasattr(kind, "__index__")
    if is_number and not isinstance(value, (str, bytes, complex)) and not _is_text_or_complex(value):
        try:
            number = float(cast(Number, value))
        except OverflowError as error:
            raise OutOfRangeError(f"{subject} got {shown(value)}, too large for a double") from error
        except (TypeError, ValueError) as error:
            raise NotANumberError(f"{subject} got {shown(value)}, which does not convert to a number") from error
        if number - number != 0.0 and _is_finite(value):
            raise OutOfRangeError(f"{subject} got {shown(value)}, too large for a double")
        return number
    raise NotANumberError(f"{subject} takes a number (int, float, bool, Decimal, ...) but got {shown(value)}")


def _is_text_or_complex(value: object) -> bool:
    """Return whether numpy says so: by `dtype.kind`, which other libraries have as well."""
    # https://numpy.org/doc/stable/reference/generated/numpy.dtype.kind.html
    number: Any = value
    try:
        return number.dtype.kind in ("S", "U", "V", "c")
    except Exception:
        return False


def _is_finite(value: object) -> bool:
    """Return whether `value` knows that it is finite, although its double is not; a Decimal of 1e400 does."""
    number: Any = value  # numpy compares to a bool of its own
    try:
        return bool(number > -_INFINITY) and bool(number < _INFINITY)
    except Exception:  # it has no order
        return False
