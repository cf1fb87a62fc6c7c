"""How a registry is named: the grammar of ``PYTHEUS_REGISTRY`` and of every other place that takes a name.

    address      = plugin / plugin "://" [ authority ] path [ "?" query ]
    plugin       = name [ "@" distribution ]
    name         = ( ALPHA / DIGIT / "_" ) *( ALPHA / DIGIT / "_" / "." / "-" / "+" )
    distribution = as in https://packaging.python.org/en/latest/specifications/name-normalization/
    authority    = [ username [ ":" password ] "@" ] host [ ":" port ]
    path         = "" / "/" *( any but "?" and "#" )
    query        = key "=" value *( "&" key "=" value )

It follows RFC 3986 (https://www.rfc-editor.org/rfc/rfc3986) except in this:

- The scheme is an entry point's name, which may hold underscores or begin with a digit. (urllib gives ``my_reg://h`` no
  scheme at all.) It is case-sensitive, as entry points are.
- There is no fragment: a bare ``#`` is most often part of a password, and is refused with that hint.
- A plus sign in the query is a plus sign, as in the RFC; web forms write a space so, and a token may hold one.
- A key stands once; ``;`` separates nothing; an escape that is incomplete or no UTF-8 is an error.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pytheus.exceptions import RegistryAddressError
from pytheus.plugins.redaction import redact

__all__ = [
    "MAX_ADDRESS_CHARACTERS",
    "RegistryAddress",
    "is_plugin_name",
    "normalized_distribution",
    "parse_address",
    "parse_plugin",
]

MAX_ADDRESS_CHARACTERS: Final = 8192

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_DISTRIBUTION: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PLUGIN: Final = re.compile(rf"(?P<name>{_NAME})(?:@(?P<distribution>{_DISTRIBUTION}))?", re.ASCII)
_PLUGIN_NAME: Final = re.compile(_NAME, re.ASCII)
# authority = [ userinfo "@" ] host [ ":" port ], RFC 3986 section 3.2; host is a name, an IPv4 address, or an IPv6
# address in brackets.
_AUTHORITY: Final = re.compile(
    r"(?:(?P<username>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_ATTRIBUTE: Final = re.compile(r"[\w.]+:[\w.]+")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.ASCII)
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_RUN_OF_PUNCTUATION: Final = re.compile(r"[-_.]+")


class RegistryAddress(NamedTuple):
    """A registry's name or URL, taken apart and percent-decoded; what it does not say is None or empty.

        >>> parse_address("redis://shop:hunter2@127.0.0.1:6379/0?prefix=app")
        <RegistryAddress redis://shop:***@127.0.0.1:6379/0?prefix=app>
        >>> parse_address("multiprocess@pytheus-multiprocess").distribution
        'pytheus-multiprocess'

    `path` begins with "/", and is None where it is only that. `query` holds keys and values in the order written.
    `shown` is the address without its credentials. Immutable.
    """

    name: str
    distribution: str | None
    host: str | None
    port: int | None
    path: str | None
    username: str | None
    password: str | None
    query: tuple[tuple[str, str], ...]
    shown: str

    def __repr__(self) -> str:
        return f"<RegistryAddress {self.shown}>"


def is_plugin_name(text: str) -> bool:
    """Whether an address can name a plugin that is called so."""
    return _PLUGIN_NAME.fullmatch(text) is not None


def parse_plugin(text: str) -> tuple[str, str | None] | None:
    """The name and the distribution in NAME or NAME@DISTRIBUTION, or None where `text` is neither."""
    plugin = _PLUGIN.fullmatch(text)
    return None if plugin is None else (plugin["name"], plugin["distribution"])


def normalized_distribution(name: str) -> str:
    """A distribution's name as all its spellings have it in common (``Pytheus_Redis`` is ``pytheus-redis``)."""
    return _RUN_OF_PUNCTUATION.sub("-", name).lower()


def parse_address(text: str, source: str = "as argument") -> RegistryAddress:
    """The parts of `text`, a registry's name or URL.

    Raises `RegistryAddressError`, which tells `source` and what is wrong and shows no credential.
    """
    if len(text) > MAX_ADDRESS_CHARACTERS:
        raise RegistryAddressError(
            f"registry ({source}) is {len(text)} characters long, but at most {MAX_ADDRESS_CHARACTERS} are taken"
        )
    shown = redact(text)
    subject = f"registry {shown!r} ({source})"
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        raise RegistryAddressError(
            f"{subject} holds the character {forbidden[0]!r}, which neither a name nor a URL can;"
            " percent-encode it (a space is %20) or remove it"
        )
    plugin, mark, rest = text.partition("://")
    named = _PLUGIN.fullmatch(plugin)
    if named is None:
        raise _no_plugin(text, redact(plugin), subject)
    name, distribution = named["name"], named["distribution"]
    if not mark:
        return RegistryAddress(name, distribution, None, None, None, None, None, (), shown)
    if "#" in rest:
        raise RegistryAddressError(
            f"{subject} holds a '#', and a registry's URL has no fragment; if it is part of a value, write %23"
        )
    place, _, query = rest.partition("?")
    slash = place.find("/")
    authority, path = (place, "") if slash < 0 else (place[:slash], place[slash:])
    if not authority:
        username = password = host = port = None
    else:
        parts = _AUTHORITY.fullmatch(authority)
        if parts is None or (parts["port"] is not None and int(parts["port"]) > 65535):
            raise RegistryAddressError(
                f"{subject} does not name its host as [USER[:PASSWORD]@]HOST[:PORT] with a port from 0 to 65535;"
                " in a user name or password, percent-encode everything but letters and digits"
                " ('/' is %2F, '@' is %40), and put an IPv6 address in brackets"
            )
        username, password, host = parts["username"], parts["password"], parts["host"]
        port = None if parts["port"] is None else int(parts["port"])
    return RegistryAddress(
        name,
        distribution,
        host,
        port,
        None if path in ("", "/") else _decoded(path, "path", subject),
        _decoded(username, "user name", subject) if username else None,
        None if password is None else _decoded(password, "password", subject),
        _pairs(query, subject) if query else (),
        shown,
    )


def _no_plugin(text: str, plugin: str, subject: str) -> RegistryAddressError:
    if not text:
        return RegistryAddressError(
            f"{subject} is empty; name a registry, such as 'default', or leave the setting out altogether"
        )
    if _ATTRIBUTE.fullmatch(text) is not None:
        return RegistryAddressError(
            f"{subject} reads like MODULE:ATTRIBUTE, and what is named by text must be an installed plugin, for else"
            " whoever sets a variable could have anything imported; in Python code import the object and hand it over:"
            " REGISTRY.set_registry(the_object)"
        )
    if "?" in text and "://" not in text:
        return RegistryAddressError(f"{subject} has options but is no URL; write NAME://?KEY=VALUE")
    return RegistryAddressError(
        f"{subject} is neither a plugin's name, NAME or NAME@DISTRIBUTION, nor a URL that begins with one:"
        f" {plugin!r} cannot be a name, which consists of letters, digits, '_', '.', '-' and '+'"
    )


def _pairs(query: str, subject: str) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for pair in query.split("&"):
        written, equals, value = pair.partition("=")
        key = _decoded(written, "option name", subject)
        if not key or not equals:
            raise RegistryAddressError(
                f"{subject} has {'an option without a name' if not key else f'no value for the option {key!r}'};"
                " options are written KEY=VALUE and separated by '&'"
            )
        if key in pairs:
            raise RegistryAddressError(
                f"{subject} gives the option {key!r} twice; give it once, several values separated by commas"
            )
        pairs[key] = _decoded(value, f"option {key!r}", subject)
    return tuple(pairs.items())


def _decoded(text: str, part: str, subject: str) -> str:
    if "%" not in text:
        return text
    if _BROKEN_ESCAPE.search(text) is not None:
        raise RegistryAddressError(
            f"{subject} has a '%' in its {part} that is not followed by two hexadecimal digits; a percent sign is %25"
        )
    raw = _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), text.encode("utf-8", "surrogatepass"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # Not chained: the original shows the bytes, which may be a password's.
        raise RegistryAddressError(f"{subject} has escapes in its {part} that are no UTF-8") from None
