"""The numbers that metrics accept, and their conversion to exact floats."""

from __future__ import annotations

from typing import Final, SupportsFloat, SupportsIndex, cast

from pytheus.exceptions import NotANumberError, OutOfRangeError
from pytheus.names import shown

__all__ = ["ONE", "Number", "to_float"]

Number = SupportsFloat | SupportsIndex
"""An int, a float, a bool (0 or 1), a Decimal, a numpy scalar: any object with ``__float__`` or ``__index__``."""


ONE: Final[Number] = float("1")
"""The default of an increment. An object of its own, so that `is` detects the default, which needs no check."""


_EXACT_BELOW: Final = 2**53


def to_float(value: object, subject: object) -> float:
    """Return `value` as an exact float; `subject` begins the error messages.

    Raises `NotANumberError` if it is not a number (str and bytes are not, even with digits), and `OutOfRangeError` if
    it is too large for a double.
    """
    if type(value) is int and -_EXACT_BELOW < value < _EXACT_BELOW:
        return float(value)  # the most common case
    # The type is checked, as float() does; but float() also parses strings and buffers. numpy's strings and complex
    # numbers have a __float__, which parses the former and drops the imaginary part of the latter.
    kind = type(value)
    if (hasattr(kind, "__float__") or hasattr(kind, "__index__")) and not isinstance(value, (str, bytes, complex)):
        try:
            return float(cast(Number, value))
        except OverflowError as error:
            raise OutOfRangeError(f"{subject} got {shown(value)}, too large for a double") from error
        except (TypeError, ValueError) as error:
            raise NotANumberError(f"{subject} got {shown(value)}, which does not convert to a number") from error
    raise NotANumberError(f"{subject} takes a number (int, float, bool, Decimal, ...) but got {shown(value)}")
