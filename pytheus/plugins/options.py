"""What a registry is made from: the options that its name's URL and the configuration file give it.

Rules:

- The URL's query and the table ``[tool.pytheus.registries.NAME]`` are one set of options. Where both have a key, the
  URL wins: it is nearer to the one who starts the program.
- The URL's user name, password, host, port and path are kept apart from them, as attributes; `parse` also puts them
  into fields of those names.
- Whatever was given is taken by somebody or refused. Reading a part's attribute takes it, `parse` takes all options,
  and so does reading `values`.
- An error tells the key, the value, what is wanted and where it came from. A credential's value is never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from pytheus.exceptions import OptionError
from pytheus.plugins.address import RegistryAddress, parse_address
from pytheus.plugins.closest import closest
from pytheus.plugins.redaction import HIDDEN, is_secret, redact, without

if TYPE_CHECKING:
    import dataclasses

__all__ = ["URL_PARTS", "RegistryOptions"]

URL_PARTS: Final = ("username", "password", "host", "port", "path")
"""The parts of a URL besides its query, in the order in which they are written."""

_PART_NAMES: Final = {"username": "user name", "password": "password", "host": "host", "port": "port", "path": "path"}

Shape = TypeVar("Shape")


class RegistryOptions:
    """The options of one registry: what a plugin's `pytheus_make_registry` gets.

    A plugin says what it takes as a dataclass, and `parse` makes one:

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

    `address` is a name or URL, `table` the options of a configuration file, and the sources say where either was
    written ("from PYTHEUS_REGISTRY"). Raises `RegistryAddressError` for an address that does not follow the grammar.
    Its repr and its errors show no credentials. To be used by one thread.
    """

    __slots__ = ("_address", "_origins", "_source", "_taken", "_values")

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
        self._taken: set[str] = set()
        values: dict[str, object] = {}
        origins: dict[str, str] = {}
        for key, value in (table or {}).items():
            values[key] = value
            origins[key] = table_source
        for key, text in self._address.query:
            values[key] = text
            origins[key] = source
        for part in URL_PARTS:
            if part not in self._parts():
                continue
            if origins.get(part) == source:
                raise OptionError(
                    f"{self._subject} gets its {_PART_NAMES[part]} twice {source}: as a part of the URL and as the"
                    f" option {part!r}; give it once",
                    key=part,
                )
            values.pop(part, None)
            origins[part] = source
        self._values = values
        self._origins = origins

    @property
    def name(self) -> str:
        """The plugin's name, as it was asked for."""
        return self._address.name

    @property
    def source(self) -> str:
        """Where the registry was asked for, in words: "as argument", "from PYTHEUS_REGISTRY"."""
        return self._source

    @property
    def url(self) -> str:
        """The name or URL as it was written, but with ``***`` for its credentials: for messages, not for connecting."""
        return self._address.shown

    @property
    def username(self) -> str | None:
        """The URL's user name, percent-decoded."""
        self._taken.add("username")
        return self._address.username

    @property
    def password(self) -> str | None:
        """The URL's password, percent-decoded."""
        self._taken.add("password")
        return self._address.password

    @property
    def host(self) -> str | None:
        """The URL's host; an IPv6 address keeps its brackets."""
        self._taken.add("host")
        return self._address.host

    @property
    def port(self) -> int | None:
        """The URL's port, from 0 to 65535."""
        self._taken.add("port")
        return self._address.port

    @property
    def path(self) -> str | None:
        """The URL's path, percent-decoded and with its leading "/"; None where it is only that."""
        self._taken.add("path")
        return self._address.path

    @property
    def given(self) -> frozenset[str]:
        """The keys that were given, options and parts of the URL alike. Reading this takes none of them."""
        return frozenset(self._values) | frozenset(self._parts())

    @property
    def values(self) -> Mapping[str, object]:
        """The options as they were written, without the parts of the URL: strings from a URL, TOML's types from a file.

        For a plugin that does not use `parse`. Reading this takes all of them, so that refusing what it does not know
        becomes the plugin's duty; see `error`.
        """
        self._taken.update(self._values)
        return MappingProxyType(self._values)

    def parse(self, shape: type[Shape], /) -> Shape:
        """An instance of the dataclass `shape`, each field made from the option of its name.

        Types are bool, int, float, str, Literal, enumerations, paths, lists, tuples and sets of them, ``| None`` of any
        of them, and ``Annotated[..., msgspec.Meta(...)]`` with a constraint; see docs/reference/selection.md for how
        each is written. Fields named like `URL_PARTS` are made from the parts of the URL. A field without an option
        keeps its default.

        Raises `OptionError` for an unknown option (a field whose name begins with "_" is no option), for a value that
        its type does not allow, for a field without a default that nothing was given for, and for what the dataclass's
        own ``__post_init__`` refuses with a ValueError or TypeError.
        """
        import dataclasses  # loaded late: only a registry with options needs them
        import typing  # (nothing is loaded by this one)

        if not (isinstance(shape, type) and dataclasses.is_dataclass(shape)):
            raise TypeError(f"RegistryOptions.parse() takes a dataclass but got {shape!r}")
        fields = {field.name: field for field in dataclasses.fields(shape) if field.init and field.name[0] != "_"}
        parts = {part: value for part, value in self._parts().items() if part in fields}
        for key in self._values:
            if key not in fields:
                raise self._unknown(key, fields)
        hints = typing.get_type_hints(shape, include_extras=True)
        arguments = {key: self._converted(key, value, hints[key]) for key, value in {**self._values, **parts}.items()}
        for name, field in fields.items():
            if name not in arguments and _is_required(field):
                raise self._missing(name, hints[name])
        self._taken.update(arguments)
        try:
            return shape(**arguments)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"{self._subject} refuses its options ({', '.join(sorted(arguments))}): {self.scrub(str(error))}",
                key="",
            ) from error

    def error(self, key: str, wanted: str) -> OptionError:
        """The error to raise for an option whose value does not do, where `parse` could not know.

        >>> options = RegistryOptions("redis://?namespace=a:b")
        >>> raise options.error("namespace", "a word without ':'")
        Traceback (most recent call last):
        ...
        pytheus.exceptions.OptionError: registry plugin 'redis': option 'namespace' must be a word without ':' but got 'a:b' (as argument)
        """  # noqa: E501
        value = {**self._values, **self._parts()}.get(key)
        shown = HIDDEN if is_secret(key) else _shown(value)
        origin = self._origins.get(key, self._source)
        return OptionError(f"{self._subject}: option {key!r} must be {wanted} but got {shown} ({origin})", key=key)

    def scrub(self, text: str) -> str:
        """`text` with ``***`` wherever one of these options' credentials stands in it."""
        import urllib.parse  # loaded late: only error messages need it

        secrets = {str(value) for key, value in self._values.items() if is_secret(key)}
        if self._address.password is not None:
            secrets.add(self._address.password)
        return without(secrets | {urllib.parse.quote(secret, safe="") for secret in secrets}, text)

    def refuse_untaken(self) -> None:
        """Raise `OptionError` for what was given and nobody took. The loader calls it when the registry is made."""
        parts = self._parts()
        for part in parts:
            if part not in self._taken:
                raise OptionError(
                    f"{self._subject} takes no {_PART_NAMES[part]}, but {self._address.shown!r} ({self._source}) has"
                    " one; remove it",
                    key=part,
                )
        for key in self._values:
            if key not in self._taken:
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
        address = self._address
        parts: dict[str, object] = {
            "username": address.username,
            "password": address.password,
            "host": address.host,
            "port": address.port,
            "path": address.path,
        }
        return {part: value for part, value in parts.items() if value is not None}

    def _converted(self, key: str, value: object, hint: object) -> object:
        from pytheus.plugins.conversion import ConversionError, converted  # loaded late: it needs msgspec

        try:
            return converted(value, hint)
        except ConversionError as error:
            # The chained original repeats the value.
            raise self.error(key, error.wanted) from (None if is_secret(key) else error)

    def _unknown(self, key: str, known: Mapping[str, object]) -> OptionError:
        meant = closest(key, known)
        hint = f"did you mean {meant!r}? " if meant is not None else ""
        takes = f"it takes: {', '.join(sorted(known))}" if known else "it takes none"
        return OptionError(f"{self._subject} has no option {key!r} ({self._origins[key]}); {hint}{takes}", key=key)

    def _missing(self, key: str, hint: object) -> OptionError:
        from pytheus.plugins.conversion import spoken  # loaded late: it needs msgspec

        return OptionError(
            f"{self._subject} ({self._source}) needs the option {key!r} ({spoken(hint)}); give it as"
            f" {self.name}://?{key}=... or in the table [tool.pytheus.registries.{self.name}]",
            key=key,
        )


def _is_required(field: dataclasses.Field[object]) -> bool:
    import dataclasses  # loaded late: only a registry with options needs them

    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _shown(value: object) -> str:
    text = repr(redact(value) if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."
