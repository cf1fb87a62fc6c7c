"""The options of a registry: given by its name's URL and the configuration file, converted to a plugin's dataclass.

Rules:

- The URL's query and the table ``[tool.pytheus.registries.NAME]`` are one set of options. If both have a key, the URL
  decides, because it is closer to the person who starts the program.
- The URL's user name, password, host, port and path are attributes of their own; `parse` also puts them into fields of
  those names.
- Every option and part that was given must be read; one that was not is an error. Reading an attribute of a part marks
  that part as read, `parse` and `values` mark all options.
- An error has the key, the value, the type expected and the source. It never shows the value of a credential.

The conversions are msgspec's lax ones (https://jcristharif.com/msgspec/usage.html#strict-vs-lax-mode): "30" is an int
where the field is an int, "true" and "1" are a bool, and so on. In addition, because a URL has only strings:

- A list, tuple or set is written with commas between its items; the empty string is an empty one.
- "none", "null" and the empty string are None where the field allows None and not str.
- A path of `pathlib` is made from its string, and an enumeration's member is named by its value.

No other type is converted to str: a TOML integer where the field is a str is an error.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from pytheus.exceptions import OptionError
from pytheus.plugins.address import HIDDEN, RegistryAddress, hide, is_secret, parse_address, redact, suggestion

__all__ = ["ConversionError", "RegistryOptions", "converted", "spoken", "without_secrets"]

# The parts of a URL besides its query, in the order in which they are written, and the words for them.
_URL_PARTS: Final = {"username": "user name", "password": "password", "host": "host", "port": "port", "path": "path"}
_LISTS: Final = (list, tuple, set, frozenset)
_MAX_SHOWN_CHARACTERS: Final = 80

Shape = TypeVar("Shape")


class RegistryOptions:
    """The options of one registry, the argument of a plugin's `pytheus_make_registry`.

    A plugin declares its options as a dataclass, and `parse` returns an instance of it:

        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class RedisOptions:
        ...     host: str = "127.0.0.1"
        ...     port: int = 6379
        ...     namespace: str = "pytheus"
        ...     ttl_seconds: float | None = None
        >>> options = RegistryOptions("redis://db.example:6380?ttl_seconds=30", table={"namespace": "shop"})
        >>> options.parse(RedisOptions)
        RedisOptions(host='db.example', port=6380, namespace='shop', ttl_seconds=30.0)

    `address` is a name or URL, `table` the options of a configuration file, and the sources say where each was
    written ("from PYTHEUS_REGISTRY"). Raises `RegistryAddressError` for an address that does not follow the grammar.
    Its repr and its errors show no credentials. For use by one thread.
    """

    __slots__ = ("_address", "_origins", "_read", "_source", "_values")

    def __init__(
        self,
        address: str | RegistryAddress,
        *,
        table: Mapping[str, object] | None = None,
        source: str = "as argument",
        table_source: str = "from the configuration file",
    ) -> None:
        self._address = parse_address(address, source) if isinstance(address, str) else address
        self._source = source
        self._read: set[str] = set()
        query = dict(self._address.query)
        values: dict[str, object] = {**(table or {}), **query}
        origins = {**dict.fromkeys(table or (), table_source), **dict.fromkeys(query, source)}
        for part in self._parts():
            if origins.get(part) == source:
                raise OptionError(
                    f"{self._subject} gets its {_URL_PARTS[part]} twice {source}: as a part of the URL and as the"
                    f" option {part!r}; give it once",
                    key=part,
                )
            values.pop(part, None)
            origins[part] = source
        self._values = values
        self._origins = origins

    @property
    def name(self) -> str:
        """The plugin's name, as it was chosen."""
        return self._address.name

    @property
    def source(self) -> str:
        """Where the registry was chosen, in words: "as argument", "from PYTHEUS_REGISTRY"."""
        return self._source

    @property
    def url(self) -> str:
        """The name or URL as it was written, with ``***`` for its credentials: for messages, not for connections."""
        return self._address.shown

    @property
    def username(self) -> str | None:
        """The URL's user name, percent-decoded."""
        self._read.add("username")
        return self._address.username

    @property
    def password(self) -> str | None:
        """The URL's password, percent-decoded."""
        self._read.add("password")
        return self._address.password

    @property
    def host(self) -> str | None:
        """The URL's host; an IPv6 address keeps its brackets."""
        self._read.add("host")
        return self._address.host

    @property
    def port(self) -> int | None:
        """The URL's port, from 0 to 65535."""
        self._read.add("port")
        return self._address.port

    @property
    def path(self) -> str | None:
        """The URL's path, percent-decoded and with its leading "/"; None if it is only "/"."""
        self._read.add("path")
        return self._address.path

    @property
    def given(self) -> frozenset[str]:
        """The keys of all options and parts of the URL. Reading this marks none of them as read."""
        return frozenset(self._values) | frozenset(self._parts())

    @property
    def values(self) -> Mapping[str, object]:
        """The options as they were written, without the parts of the URL: strings from a URL, TOML's types from a file.

        For a plugin that does not use `parse`. Reading this marks all of them as read, so that the plugin itself must
        refuse unknown ones; see `error`.
        """
        self._read.update(self._values)
        return types.MappingProxyType(self._values)

    def describe(self) -> tuple[tuple[str, object, str], ...]:
        """The key, the value without credentials, and the source of each option and part of the URL.

        For display: this marks none of them as read.
        """
        return tuple(
            (key, HIDDEN if is_secret(key) else without_secrets(value), self._origins[key])
            for key, value in {**self._values, **self._parts()}.items()
        )

    def parse(self, shape: type[Shape], /) -> Shape:
        """An instance of the dataclass `shape`, each field converted from the option of its name.

        Types are bool, int, float, str, Literal, enumerations, paths, lists, tuples and sets of them, ``| None`` of any
        of them, and ``Annotated[..., msgspec.Meta(...)]`` with a constraint; docs/reference/selection.md says how each
        is written. Fields named username, password, host, port and path get the parts of the URL. A field without an
        option keeps its default.

        Raises `OptionError` if an option is unknown (a field whose name begins with "_" is not an option), has a value
        that its type does not allow, or is missing and has no default, and if the dataclass's own ``__post_init__``
        raises a ValueError or TypeError.
        """
        import dataclasses

        if not (isinstance(shape, type) and dataclasses.is_dataclass(shape)):
            raise TypeError(f"RegistryOptions.parse() takes a dataclass but got {shape!r}")
        fields = {
            field.name: field for field in dataclasses.fields(shape) if field.init and not field.name.startswith("_")
        }
        parts = {part: value for part, value in self._parts().items() if part in fields}
        for key in self._values:
            if key not in fields:
                raise self._unknown(key, fields)
        hints = typing.get_type_hints(shape, include_extras=True)
        arguments = {key: self._converted(key, value, hints[key]) for key, value in {**self._values, **parts}.items()}
        for name, field in fields.items():
            if name not in arguments and field.default is field.default_factory is dataclasses.MISSING:
                raise self._missing(name, hints[name])
        self._read.update(arguments)
        try:
            return shape(**arguments)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"{self._subject} refuses its options ({', '.join(sorted(arguments))}): {self.scrub(str(error))}",
                key="",
            ) from error

    def error(self, key: str, expected: str) -> OptionError:
        """The error for a plugin to raise about an option whose value `parse` cannot check.

        >>> options = RegistryOptions("redis://?namespace=a:b")
        >>> raise options.error("namespace", "a word without ':'")
        Traceback (most recent call last):
        ...
        pytheus.exceptions.OptionError: registry plugin 'redis': option 'namespace' must be a word without ':' but got 'a:b' (as argument)
        """  # noqa: E501
        value = {**self._values, **self._parts()}.get(key)
        shown = HIDDEN if is_secret(key) else _shown(value)
        origin = self._origins.get(key, self._source)
        return OptionError(f"{self._subject}: option {key!r} must be {expected} but got {shown} ({origin})", key=key)

    def scrub(self, text: str) -> str:
        """`text` with ``***`` in place of the credentials of these options."""
        import urllib.parse

        secrets = {str(value) for key, value in self._values.items() if is_secret(key)}
        if self._address.password is not None:
            secrets.add(self._address.password)
        return hide(secrets | {urllib.parse.quote(secret, safe="") for secret in secrets}, text)

    def refuse_unread(self) -> None:
        """Raise `OptionError` for an option that was not read. Called when the plugin has created the registry."""
        for part in self._parts():
            if part not in self._read:
                raise OptionError(
                    f"{self._subject} takes no {_URL_PARTS[part]}, but {self._address.shown!r} ({self._source}) has"
                    " one; remove it",
                    key=part,
                )
        for key in self._values:
            if key not in self._read:
                raise OptionError(
                    f"{self._subject} takes no options, but got {key!r} ({self._origins[key]}); remove it", key=key
                )

    def __repr__(self) -> str:
        values = ", ".join(
            f"{key}={HIDDEN if is_secret(key) else _shown(value)}" for key, value in self._values.items()
        )
        return f"<RegistryOptions {self._address.shown} {self._source}: {values or 'no options'}>"

    @property
    def _subject(self) -> str:
        return f"registry plugin {self._address.name!r}"

    def _parts(self) -> dict[str, object]:
        return {part: value for part in _URL_PARTS if (value := getattr(self._address, part)) is not None}

    def _converted(self, key: str, value: object, hint: object) -> object:
        try:
            return converted(value, hint)
        except ConversionError as error:
            # The chained original repeats the value.
            raise self.error(key, error.expected) from (None if is_secret(key) else error)

    def _unknown(self, key: str, known: Mapping[str, object]) -> OptionError:
        takes = f"it takes: {', '.join(sorted(known))}" if known else "it takes none"
        return OptionError(
            f"{self._subject} has no option {key!r} ({self._origins[key]}); {suggestion(key, known)}{takes}", key=key
        )

    def _missing(self, key: str, hint: object) -> OptionError:
        return OptionError(
            f"{self._subject} ({self._source}) needs the option {key!r} ({spoken(hint)}); give it as"
            f" {self.name}://?{key}=... or in the table [tool.pytheus.registries.{self.name}]",
            key=key,
        )


def _shown(value: object) -> str:
    text = repr(redact(value) if isinstance(value, str) else value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[: _MAX_SHOWN_CHARACTERS - 3]}..."


def without_secrets(value: object) -> object:
    """`value` of a TOML file with ``***`` in place of credentials, and with types that JSON has."""
    if isinstance(value, Mapping):
        return {key: HIDDEN if is_secret(key) else without_secrets(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(held) for held in value]
    if isinstance(value, str):
        return redact(value)
    return value if isinstance(value, (bool, int, float)) else str(value)  # TOML's dates among others


# Conversion ----------------------------------------------------------------------------------------------------------


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
    except msgspec.ValidationError as error:
        # Only msgspec has words for a constraint (Annotated[int, Meta(ge=1)]); those words contain no value.
        expected = spoken(hint)
        detail = str(error)
        if typing.get_origin(hint) is typing.Annotated and detail.startswith("Expected"):
            expected = f"{expected} (expected{detail.removeprefix('Expected')})"
        raise ConversionError(expected) from error
    return result


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
