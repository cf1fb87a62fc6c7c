"""Options of a registry, and their conversion to a plugin's dataclass."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Optional, Union

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytheus.exceptions import OptionError, RegistryAddressError
from pytheus.plugins import RegistryOptions
from pytheus.plugins.conversion import ConversionError, converted, spoken


@dataclass(frozen=True)
class RedisOptions:
    host: str = "127.0.0.1"
    port: int = 6379
    password: str | None = None
    namespace: str = "pytheus"
    ttl_seconds: float | None = None
    on_conflict: Literal["raise", "warn"] = "raise"
    tags: tuple[str, ...] = ()
    token: int = 0
    _private: int = field(default=0, repr=False)


@dataclass
class Bare:
    pass


@dataclass
class Needy:
    directory: Path


@dataclass
class Placed:
    path: str


@dataclass
class Picky:
    low: int = 0
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(OptionError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        (
            "redis://:hunter2@db:1?namespace=shop&ttl_seconds=30&tags=a,b&on_conflict=warn",
            RedisOptions("db", 1, "hunter2", "shop", 30.0, "warn", ("a", "b")),
        ),
        ("redis", RedisOptions()),
        ("redis://?host=db", RedisOptions(host="db")),
    ],
    ids=["parts and options", "nothing given", "a part given as an option"],
)
def test_the_url_becomes_a_dataclass(address: str, parsed: RedisOptions) -> None:
    assert RegistryOptions(address).parse(RedisOptions) == parsed


def test_the_files_table_counts_and_the_url_wins() -> None:
    options = RegistryOptions("redis://db?namespace=url", table={"namespace": "file", "host": "x", "ttl_seconds": 5})
    assert options.parse(RedisOptions) == RedisOptions(host="db", namespace="url", ttl_seconds=5.0)


def test_a_part_of_the_url_given_twice_is_refused() -> None:
    assert refused(lambda: RegistryOptions("redis://db?host=x", source="from X")) == (
        "registry plugin 'redis' gets its host twice from X: as a part of the URL and as the option 'host';"
        " give it once"
    )


def test_an_address_that_does_not_follow_the_grammar_is_refused() -> None:
    with pytest.raises(RegistryAddressError):
        RegistryOptions("no name")


def test_the_parts_of_the_url_are_attributes() -> None:
    options = RegistryOptions("redis://us%65r:p%40ss@db:1/0", source="from X")
    assert (options.username, options.password) == ("user", "p@ss")
    assert (options.host, options.port, options.path) == ("db", 1, "/0")
    assert (options.name, options.source, options.url) == ("redis", "from X", "redis://us%65r:***@db:1/0")


def test_values_are_as_they_were_written_and_given_names_all() -> None:
    options = RegistryOptions("redis://db/0?a=1", table={"b": 2, "a": 3})
    assert options.values == {"a": "1", "b": 2}
    assert options.given == {"host", "path", "a", "b"}


@pytest.mark.parametrize(
    ("address", "into", "message"),
    [
        (
            "redis://?namespce=shop",
            RedisOptions,
            "'redis' has no option 'namespce' (from X); did you mean 'namespace'? it takes: host, namespace,"
            " on_conflict, password, port, tags, token, ttl_seconds",
        ),
        (
            "redis://?_private=1",
            RedisOptions,
            "'redis' has no option '_private' (from X); it takes: host, namespace, on_conflict, password, port, tags,"
            " token, ttl_seconds",
        ),
        (
            "redis://?ttl_seconds=soon",
            RedisOptions,
            "'redis': option 'ttl_seconds' must be float or none but got 'soon' (from X)",
        ),
        (
            "redis://?on_conflict=ignore",
            RedisOptions,
            "'redis': option 'on_conflict' must be 'raise' or 'warn' but got 'ignore' (from X)",
        ),
        ("x://?a=1", Bare, "'x' has no option 'a' (from X); it takes none"),
        (
            "files",
            Needy,
            "'files' (from X) needs the option 'directory' (Path); give it as files://?directory=... or in the table"
            " [tool.pytheus.registries.files]",
        ),
        (
            "files",
            Placed,
            "'files' (from X) needs the option 'path' (str); give it as files:///run/shop or in the table"
            " [tool.pytheus.registries.files]",
        ),
        ("x://?low=9&high=1", Picky, "'x' refuses its options (high, low): low 9 is above high 1"),
    ],
)
def test_an_option_that_does_not_do_is_refused(address: str, into: type, message: str) -> None:
    assert refused(lambda: RegistryOptions(address, source="from X").parse(into)) == f"registry plugin {message}"


def test_the_error_names_the_key_as_an_attribute() -> None:
    with pytest.raises(OptionError) as caught:
        RegistryOptions("redis://?ttl_seconds=soon").parse(RedisOptions)
    assert caught.value.key == "ttl_seconds"


def test_an_option_of_the_file_is_refused_with_its_place() -> None:
    options = RegistryOptions("redis", table={"namespace": 5}, table_source="from [x] in y.toml")
    assert refused(lambda: options.parse(RedisOptions)) == (
        "registry plugin 'redis': option 'namespace' must be str but got 5 (from [x] in y.toml)"
    )


@pytest.mark.parametrize("shape", [int, "RedisOptions", RedisOptions()])
def test_only_a_dataclass_can_be_parsed_into(shape: type) -> None:
    with pytest.raises(TypeError, match=r"RegistryOptions\.parse\(\) takes a dataclass but got"):
        RegistryOptions("x").parse(shape)


def test_a_part_of_the_url_that_is_not_read_is_refused() -> None:
    options = RegistryOptions("x://:hunter2@db", source="from X")
    options.parse(Bare)
    assert refused(options.refuse_unread) == (
        "registry plugin 'x' takes no password, but 'x://:***@db' (from X) has one; remove it"
    )


@pytest.mark.parametrize(
    ("address", "into", "remedy"),
    [
        ("multiprocess://run/shop", Placed, "did you mean 'multiprocess:///run/shop'?"),
        ("multiprocess@acme://run/shop", Placed, "did you mean 'multiprocess@acme:///run/shop'?"),
        ("multiprocess://u:hunter2@run/shop", Placed, "takes no user name"),
        ("multiprocess://run:80/shop", Placed, "takes no host"),
        ("default:///prefix=shop", Bare, "did you mean 'default://?prefix=shop'?"),
        ("default:///pw=hunter2", Bare, "did you mean 'default://?pw=***'?"),
        ("default:///shop", Bare, "remove it"),
    ],
)
def test_the_address_that_was_meant_is_suggested(address: str, into: type, remedy: str) -> None:
    options = RegistryOptions(address)
    options.parse(into)
    message = refused(options.refuse_unread)
    assert remedy in message
    assert "hunter2" not in message


@pytest.mark.parametrize("value", ["9223372036854775808", "-9223372036854775809", "9" * 4000, "9" * 5000])
def test_an_integer_has_at_most_64_bits(value: str) -> None:
    for hint in (int, int | None, list[int], Literal[1, 2]):
        with pytest.raises(ConversionError):
            converted(value, hint)
    assert "must be int" in refused(lambda: RegistryOptions(f"redis://?port={value}").parse(RedisOptions))


def test_a_huge_integer_can_be_shown() -> None:
    options = RegistryOptions("redis", table={"port": 16**5000})
    assert "too long to be shown" in f"{options!r} {options.error('port', 'small')}"


def test_an_option_that_is_not_read_is_refused() -> None:
    assert refused(RegistryOptions("x://?a=1", source="from X").refuse_unread) == (
        "registry plugin 'x' takes no options, but got 'a' (from X); remove it"
    )


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("x://?a=1", lambda options: options.values),
        ("redis://:p@db:1?token=1", lambda options: options.parse(RedisOptions)),
    ],
    ids=["values", "parse"],
)
def test_reading_the_values_and_parsing_take_them(address: str, read: Callable[[RegistryOptions], object]) -> None:
    options = RegistryOptions(address)
    assert read(options)
    options.refuse_unread()


def test_reading_an_attribute_takes_that_part_alone() -> None:
    options = RegistryOptions("x://db:1")
    assert options.host
    assert "takes no port" in refused(options.refuse_unread)


def test_neither_repr_nor_given_takes_anything() -> None:
    options = RegistryOptions("x://db")
    assert repr(options)
    assert options.given
    assert "takes no host" in refused(options.refuse_unread)


def test_no_repr_shows_a_credential() -> None:
    options = RegistryOptions(
        "redis://:hunter2@db?token=hunter2&back=redis://:hunter2@db",
        table={"api_key": "hunter2", "upstream": "redis://:hunter2@db", "ttl": 5},
    )
    assert "hunter2" not in repr(options)
    assert "ttl=5" in repr(options)


def test_no_error_shows_a_credential() -> None:
    options = RegistryOptions("redis://db?token=hunter2")
    with pytest.raises(OptionError) as caught:
        options.parse(RedisOptions)
    assert str(caught.value) == "registry plugin 'redis': option 'token' must be int but got *** (as argument)"
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_credentials_are_scrubbed_from_a_text_however_they_are_written() -> None:
    options = RegistryOptions("redis://:hunter%2F2@db?token=abcdef")
    assert options.scrub("hunter/2 hunter%2F2 abcdef") == "*** *** ***"


# Conversion -----------------------------------------------------------------------------------------------------------


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


@settings(max_examples=300)
@given(st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text())
def test_every_value_is_read_as_it_is_written(value: float | str) -> None:
    assert converted(value if isinstance(value, str) else repr(value), type(value)) == value


def test_a_type_that_no_option_can_have_is_the_plugins_mistake() -> None:
    with pytest.raises(NotImplementedError):
        converted("x", type("Foreign", (), {}))


def test_a_type_is_spoken_of_in_words() -> None:
    assert spoken(list) == "values, separated by commas"
