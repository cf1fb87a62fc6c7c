"""The options of a registry: given by its name's URL and the configuration file, converted to a plugin's dataclass.

Rules:

- The URL's query and the table ``[tool.pytheus.registries.NAME]`` are one set of options. If both have a key, the URL
  decides, because it is closer to the person who starts the program.
- The URL's user name, password, host, port and path are attributes of their own; `parse` also puts them into fields of
  those names.
- Every option and part that was given must be read; one that was not is an error. Reading an attribute of a part marks
  that part as read, `parse` and `values` mark all options.
- An error has the key, the value, the type expected and the source. It shows a value only if it is known to be
  harmless: `pytheus.plugins.redaction` says when. A field with ``repr=False`` is a credential, whatever its name.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from pytheus.exceptions import OptionError, RegistryAddressError
from pytheus.plugins.address import RegistryAddress, parse_address, suggestion, without_host
from pytheus.plugins.conversion import ConversionError, converted, spoken
from pytheus.plugins.redaction import (
    HIDDEN,
    hide,
    is_harmless,
    is_plain,
    is_plain_path,
    is_secret,
    quoted,
    shown_value,
)

__all__ = ["RegistryOptions"]

# The parts of a URL besides its query, in the order in which they are written, and the words for them.
_URL_PARTS: Final = {"username": "user name", "password": "password", "host": "host", "port": "port", "path": "path"}
# How each part is written, as the documents write it.
_WRITTEN: Final = {
    "username": "://USER:PASSWORD@HOST",
    "password": "://USER:PASSWORD@HOST",
    "host": "://HOST",
    "port": "://HOST:PORT",
    "path": ":///run/shop",
}
_PIECE: Final = r"[^\W_]{6,}"
_MIN_HIDDEN: Final = 4
"""The length from which a value is taken out of a text although nothing says that it is a credential."""

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

    __slots__ = ("_address", "_after_secret", "_declared", "_origins", "_read", "_source", "_values")

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
        # Whether each field that `parse` saw may be shown.
        self._declared: dict[str, bool] = {}
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
        # These keys may be the rest of a password with an unescaped "&".
        keys = list(query)
        first_secret = next((position for position, key in enumerate(keys) if is_secret(key)), len(keys))
        self._after_secret = {key for key in keys[first_secret + 1 :] if not (is_harmless(key) or is_secret(key))}

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

        A value is shown as ``***`` unless it is known to be harmless. For display: this marks none of them as read.
        """
        return tuple(
            (HIDDEN if key in self._after_secret else key, self._shown(key), self._origins[key])
            for key in {**self._values, **self._parts()}
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
        for name, field in fields.items():
            self._declared[name] = field.repr and not is_secret(name)
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
            problem = error
        raise OptionError(
            f"{self._subject} refuses its options ({', '.join(sorted(arguments))}): {self.scrub(str(problem))}", key=""
        ) from self.cause(problem)

    def error(self, key: str, expected: str) -> OptionError:
        """The error for a plugin to raise about an option whose value `parse` cannot check.

        >>> options = RegistryOptions("redis://?namespace=a:b")
        >>> raise options.error("namespace", "a word without ':'")
        Traceback (most recent call last):
        ...
        pytheus.exceptions.OptionError: registry plugin 'redis': option 'namespace' must be a word without ':' but got 'a:b' (as argument)
        """  # noqa: E501
        shown = quoted(self._shown(key))
        origin = self._origins.get(key, self._source)
        return OptionError(f"{self._subject}: option {key!r} must be {expected} but got {shown} ({origin})", key=key)

    def scrub(self, text: str) -> str:
        """`text` with ``***`` in place of the credentials of these options, and of values that may be credentials."""
        return hide(self._secrets(), text)

    def cause(self, error: BaseException) -> BaseException | None:
        """`error`, or None if it or its chain shows a credential: the plugin raises its own error ``from`` the result.

        Raise outside of the ``except`` block; otherwise the error is chained in any case, as `__context__`.
        """
        chain: list[BaseException | None] = [error]
        seen: set[int] = set()
        while chain:
            current = chain.pop()
            if current is not None and id(current) not in seen:
                seen.add(id(current))
                text = f"{current} {current!r} {vars(current)!r}"
                if self.scrub(text) != text:
                    return None
                chain += [current.__cause__, current.__context__]
        return error

    def _secrets(self) -> Iterator[str]:
        for key, text in self._hidden_texts():
            if len(text) >= _MIN_HIDDEN or is_secret(key):
                yield text
                # A library may repeat it with other punctuation, as a suggestion for a name.
                yield from re.findall(_PIECE, text)
        yield from (key for key in self._after_secret if len(key) >= _MIN_HIDDEN)

    def _hidden_texts(self) -> Iterator[tuple[str, str]]:
        """The key and the text of each value that may not be shown."""
        for key, value in {**self._values, **self._parts()}.items():
            yield from _hidden(key, value, self._shown(key))

    def refuse_unread(self) -> None:
        """Raise `OptionError` for an option that was not read. Called when the plugin has created the registry."""
        for part in self._parts():
            if part not in self._read:
                meant = self._meant_without(part)
                remedy = "remove it" if meant is None else f"did you mean {meant!r}?"
                raise OptionError(
                    f"{self._subject} takes no {_URL_PARTS[part]}, but {self._address.shown!r} ({self._source}) has"
                    f" one; {remedy}",
                    key=part,
                )
        for key in self._values:
            if key not in self._read:
                raise OptionError(
                    f"{self._subject} takes no options, but got {self._named(key)} ({self._origins[key]}); remove it",
                    key=key,
                )

    def _meant_without(self, part: str) -> str | None:
        """The address that was meant if its `part`, which the plugin does not take, is one that it takes."""
        address = self._address
        if part == "host" and "path" in self._read and set(self._parts()) <= {"host", "path"}:
            return without_host(address)
        if part == "path" and address.path is not None and "=" in address.path and not address.query:
            meant = f"{address.name}://?{address.path[1:]}"
            try:
                return parse_address(meant).shown
            except RegistryAddressError:
                return None
        return None

    def __repr__(self) -> str:
        values = ", ".join(
            f"{key}={quoted(value)}" for key, value, _ in self.describe() if key in self._values or key == HIDDEN
        )
        return f"<RegistryOptions {self._address.shown} {self._source}: {values or 'no options'}>"

    @property
    def _subject(self) -> str:
        return f"registry plugin {self._address.name!r}"

    def _named(self, key: str) -> str:
        return "one after a credential" if key in self._after_secret else repr(key)

    def _shown(self, key: str) -> object:
        """The value of the option or part `key` as it may be shown."""
        address = self._address
        if key in (parts := self._parts()):
            value = parts[key]
            if key == "path":
                return value if is_plain_path(str(value)) else HIDDEN
            if key in ("username", "password"):
                plain = key == "username" and address.password and is_plain(str(value)) and ":" not in str(value)
                return value if plain else HIDDEN
            return value
        is_known = self._declared.get(key, False)
        if key in self._after_secret or (key in self._declared and not is_known):
            return HIDDEN if key in self._values else None
        return shown_value(key, self._values.get(key), is_known=is_known)

    def _parts(self) -> dict[str, object]:
        return {part: value for part in _URL_PARTS if (value := getattr(self._address, part)) is not None}

    def _converted(self, key: str, value: object, hint: object) -> object:
        try:
            return converted(value, hint)
        except ConversionError as error:
            expected = error.expected
        raise self.error(key, expected)

    def _unknown(self, key: str, known: Mapping[str, object]) -> OptionError:
        takes = f"it takes: {', '.join(sorted(known))}" if known else "it takes none"
        if key in self._after_secret:
            return OptionError(
                f"{self._subject} has an unknown option after one that is a credential ({self._origins[key]}); in a"
                f" value, '&' is written %26; {takes}",
                key="",
            )
        return OptionError(
            f"{self._subject} has no option {key!r} ({self._origins[key]}); {suggestion(key, known)}{takes}", key=key
        )

    def _missing(self, key: str, hint: object) -> OptionError:
        return OptionError(
            f"{self._subject} ({self._source}) needs the option {key!r} ({spoken(hint)}); give it as"
            f" {self.name}{_WRITTEN.get(key, f'://?{key}=...')} or in the table [tool.pytheus.registries.{self.name}]",
            key=key,
        )


def _hidden(key: str, value: object, shown: object) -> Iterator[tuple[str, str]]:
    if shown == HIDDEN and not isinstance(value, (Mapping, list, tuple)):
        yield key, str(value)
    elif isinstance(value, Mapping):
        for inner, held in value.items():
            yield from _hidden(inner, held, shown[inner] if isinstance(shown, Mapping) else HIDDEN)
    elif isinstance(value, (list, tuple)):
        for position, held in enumerate(value):
            yield from _hidden(key, held, shown[position] if isinstance(shown, list) else HIDDEN)
