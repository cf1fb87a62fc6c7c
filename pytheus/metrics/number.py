"""What counts as a number: an exact float, or what can be made one without guessing."""

from __future__ import annotations

from typing import Final, SupportsFloat, SupportsIndex, cast

from pytheus.exceptions import NotANumberError, OutOfRangeError
from pytheus.names import shown

__all__ = ["ONE", "Number", "to_float"]

Number = SupportsFloat | SupportsIndex
"""An int, a float, a bool (0 or 1), a Decimal, a numpy scalar: whatever has ``__float__`` or ``__index__``."""


ONE: Final[Number] = float("1")
"""What an increment adds by default. An object, so that `is` tells the default, which needs no check, from the rest."""


_EXACT_BELOW: Final = 2**53


def to_float(value: object, subject: object) -> float:
    """`value` as an exact float.

    Raises `NotANumberError` for what is no number (str and bytes have digits at best), `OutOfRangeError` for one that
    no double can hold. `subject` is what the message begins with.
    """
    if type(value) is int and -_EXACT_BELOW < value < _EXACT_BELOW:
        return float(value)  # by far the most common
    # By the type, as float() itself looks them up; float() would also read digits out of strings and buffers. numpy's
    # strings and complex numbers have a __float__ all the same, which parses the ones and halves the others.
    kind = type(value)
    if (hasattr(kind, "__float__") or hasattr(kind, "__index__")) and not isinstance(value, (str, bytes, complex)):
        try:
            return float(cast(Number, value))
        except OverflowError as error:
            raise OutOfRangeError(f"{subject} got {shown(value)}, too large for a double") from error
        except (TypeError, ValueError) as error:
            raise NotANumberError(f"{subject} got {shown(value)}, which gives no number") from error
    raise NotANumberError(f"{subject} takes a number (int, float, bool, Decimal, ...) but got {shown(value)}")
