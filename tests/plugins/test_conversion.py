from __future__ import annotations

import enum
import math
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Optional, Union

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.plugins.options import ConversionError, converted, spoken


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


Positive = Annotated[int, msgspec.Meta(ge=1)]


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("true", bool, True),
        ("False", bool, False),
        ("1", bool, True),
        ("0", bool, False),
        ("30", int, 30),
        ("-1", int, -1),
        ("0.5", float, 0.5),
        ("1e3", float, 1000.0),
        ("inf", float, math.inf),
        ("30", str, "30"),
        ("", str, ""),
        ("warn", Literal["raise", "warn"], "warn"),
        ("2", Literal[1, 2], 2),
        ("blue", Colour, Colour.BLUE),
        ("2", Level, Level.HIGH),
        ("a,b", tuple[str, ...], ("a", "b")),
        ("1, 2", list[int], [1, 2]),
        ("1,2", set[int], {1, 2}),
        ("", tuple[str, ...], ()),
        ("a,1", tuple[str, int], ("a", 1)),
        ("1,none", list[int | None], [1, None]),
        ("a,b", list, ["a", "b"]),
        ("a,b", tuple[str, ...] | None, ("a", "b")),
        ("none", tuple[str, ...] | None, None),
        ("none", Optional[int], None),  # noqa: UP045  # both spellings of it
        ("NULL", Union[int, None], None),  # noqa: UP007
        ("", float | None, None),
        ("5", float | None, 5.0),
        ("none", str | None, "none"),
        ("/run/shop", Path, Path("/run/shop")),
        ("/run/shop", PurePosixPath | None, PurePosixPath("/run/shop")),
        ("5", Positive, 5),
        ("none", Positive | None, None),
    ],
)
def test_a_string_becomes_what_is_wanted(text: str, hint: object, value: object) -> None:
    result = converted(text, hint)
    assert (type(result), result) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [(30, int), (30, float), (True, bool), (["a"], tuple[str, ...]), ({"a": 1}, dict[str, int]), ("red", Colour)],
)
def test_a_files_own_types_are_taken(value: object, hint: object) -> None:
    assert converted(value, hint) is not None


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        ("abc", int, "int"),
        ("", int, "int"),
        ("yes", bool, "bool"),
        ("2", bool, "bool"),
        (30, str, "str"),
        (True, int, "int"),
        (30, Path, "Path"),
        ("x", Literal["raise", "warn"], "'raise' or 'warn'"),
        ("green", Colour, "'red' or 'blue'"),
        ("a,b", tuple[int, ...], "int, separated by commas"),
        ("a", tuple[str, int], "str and int, separated by commas"),
        ("abc", float | None, "float or none"),
        ("0", Positive, "int (expected `int` >= 1)"),
        ("abc", dict[str, int], "dict[str, int]"),
    ],
)
def test_what_does_not_fit_is_refused(value: object, hint: object, wanted: str) -> None:
    with pytest.raises(ConversionError) as caught:
        converted(value, hint)
    assert caught.value.expected == wanted


@given(st.integers(-(2**60), 2**60))
def test_every_integer_is_read_as_it_is_written(number: int) -> None:
    assert converted(str(number), int) == number


@given(st.floats(allow_nan=False))
def test_every_float_is_read_as_it_is_written(number: float) -> None:
    assert converted(repr(number), float) == number


@given(st.text())
def test_every_text_stays_as_it_is(text: str) -> None:
    assert converted(text, str) == text


def test_a_type_that_no_option_can_have_is_the_plugins_mistake() -> None:
    with pytest.raises(NotImplementedError):
        converted("x", type("Foreign", (), {}))


def test_a_type_is_spoken_of_in_words() -> None:
    assert spoken(list) == "values, separated by commas"
