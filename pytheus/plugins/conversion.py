"""The conversion of an option's value to the type that a plugin declares.

The conversions are msgspec's lax ones (https://jcristharif.com/msgspec/usage.html#strict-vs-lax-mode): "30" is an int
where the field is an int, "true" and "1" are a bool, and so on. In addition, because a URL has only strings:

- A list, tuple or set is written with commas between its items; the empty string is an empty one.
- "none", "null" and the empty string are None where the field allows None and not str.
- A path of `pathlib` is made from its string, and an enumeration's member is named by its value.

No other type is converted to str: a TOML integer where the field is a str is an error. An integer has at most 64 bits,
as in TOML, so that no plugin meets one that it cannot pass on.
"""

from __future__ import annotations

import enum
import types
import typing
from typing import Final, Literal

__all__ = ["ConversionError", "converted", "spoken"]

_LISTS: Final = (list, tuple, set, frozenset)


class ConversionError(ValueError):
    """A value that its type does not allow; `expected` has the type in words."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected

    def __str__(self) -> str:
        return f"must be {self.expected}"


def converted(value: object, hint: object) -> object:
    """`value` converted to the type `hint`; raises `ConversionError`."""
    import msgspec

    try:
        result: object = msgspec.convert(_spelt_out(value, hint), hint, strict=False, dec_hook=_path)
        if not _has_huge_integer(result):
            return result
        detail = "Expected at most 64 bits"
    except msgspec.ValidationError as error:
        detail = str(error) if typing.get_origin(hint) is typing.Annotated else ""
    # Only msgspec has words for a constraint (Annotated[int, Meta(ge=1)]); those words contain no value.
    expected = spoken(hint)
    if detail.startswith("Expected"):
        expected = f"{expected} (expected{detail.removeprefix('Expected')})"
    raise ConversionError(expected)  # not chained, because msgspec's error may repeat the value


def _has_huge_integer(value: object) -> bool:
    if isinstance(value, _LISTS):
        return any(map(_has_huge_integer, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _bare(hint: object) -> object:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _members(hint: object) -> tuple[object, ...]:
    """The members of a union, or the type alone."""
    hint = _bare(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(_bare(member) for member in typing.get_args(hint))
    return (hint,)


def _spelt_out(value: object, hint: object) -> object:
    if not isinstance(value, str):
        return value
    members = _members(hint)
    if type(None) in members and str not in members and value.lower() in ("", "none", "null"):
        return None
    for member in members:
        if (typing.get_origin(member) or member) in _LISTS and str not in members:
            items = [item.strip() for item in value.split(",")] if value.strip() else []
            item_hints = [argument for argument in typing.get_args(member) if argument is not Ellipsis]
            return [_spelt_out(item, item_hints[0]) if len(item_hints) == 1 else item for item in items]
    return value


def _path(wanted: type, value: object) -> object:
    import pathlib

    if isinstance(wanted, type) and issubclass(wanted, pathlib.PurePath):
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        return wanted(value)
    raise NotImplementedError(f"an option cannot be of type {wanted!r}")


def spoken(hint: object) -> str:
    """The words for the type `hint` in an error message or a reference table.

    >>> spoken(Literal["raise", "warn"]), spoken(tuple[int, ...]), spoken(float | None)
    ("'raise' or 'warn'", 'int, separated by commas', 'float or none')
    """
    words: list[str] = []
    for member in _members(hint):
        origin = typing.get_origin(member)
        if member is type(None):
            words.append("none")
        elif origin is Literal:
            words.extend(repr(argument) for argument in typing.get_args(member))
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            words.extend(repr(item.value) for item in member)
        elif (origin or member) in _LISTS:
            items = [spoken(argument) for argument in typing.get_args(member) if argument is not Ellipsis]
            words.append(f"{' and '.join(dict.fromkeys(items)) or 'values'}, separated by commas")
        else:
            words.append(member.__name__ if isinstance(member, type) and origin is None else str(member))
    return " or ".join(words)
