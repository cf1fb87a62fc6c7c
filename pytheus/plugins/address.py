"""Names and URLs of registries: the grammar of ``PYTHEUS_REGISTRY`` and other settings.

    address      = plugin / plugin "://" [ authority ] path [ "?" query ]
    plugin       = name [ "@" distribution ]
    name         = ( ALPHA / DIGIT / "_" ) *( ALPHA / DIGIT / "_" / "." / "-" / "+" )
    distribution = as in https://packaging.python.org/en/latest/specifications/name-normalization/
    authority    = [ username [ ":" password ] "@" ] host [ ":" port ]
    path         = "" / "/" *( any but "?" and "#" )
    query        = key "=" value *( "&" key "=" value )

It follows RFC 3986 (https://www.rfc-editor.org/rfc/rfc3986) except in this:

- The scheme is an entry point's name, which may contain underscores or begin with a digit. (urllib finds no scheme in
  ``my_reg://h``.) It is case-sensitive, as entry points are.
- A URL has no fragment: a bare ``#`` is most often part of a password, and is refused with that hint.
- A plus sign in the query is a plus sign, as in the RFC. Web forms use it for a space, but a token may contain one.
- Each key occurs once; ``;`` separates nothing; an incomplete escape or one that is not UTF-8 is an error.

An address that does not follow the grammar is not shown in the error, which names the mistake and, if it can
be told, the address that was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from pytheus.exceptions import RegistryAddressError
from pytheus.plugins.redaction import HIDDEN, is_harmless, is_plain, is_plain_path, is_secret, shown_query

__all__ = [
    "BUILTIN_REGISTRIES",
    "MAX_ADDRESS_CHARACTERS",
    "RegistryAddress",
    "closest",
    "is_plugin_name",
    "normalized_distribution",
    "parse_address",
    "parse_plugin",
    "redact",
    "suggestion",
    "with_path",
    "without_host",
]

BUILTIN_REGISTRIES: Final[dict[str, str]] = {
    "default": "pytheus.registry:CollectorRegistry",
    "none": "pytheus.registry:NullRegistry",
}
"""The reserved names of pytheus's own registries, and the class that each one creates."""

MAX_ADDRESS_CHARACTERS: Final = 8192

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_DISTRIBUTION: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PLUGIN: Final = re.compile(rf"(?P<name>{_NAME})(?:@(?P<distribution>{_DISTRIBUTION}))?", re.ASCII)
_PLUGIN_NAME: Final = re.compile(_NAME, re.ASCII)
# A pattern that only URLs or errors need is a plain string, which `re` compiles at its first use.
# authority = [ userinfo "@" ] host [ ":" port ], RFC 3986 section 3.2; host is a name, an IPv4 address, or an IPv6
# address in brackets.
_AUTHORITY: Final = (
    r"(?:(?P<username>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?"
)
_ATTRIBUTE: Final = r"[\w.]+:[\w.]+"
_BROKEN_ESCAPE: Final = r"%(?![0-9A-Fa-f]{2}).{0,2}"
_ESCAPE: Final = r"%([0-9A-Fa-f]{2})"
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_RUN_OF_PUNCTUATION: Final = r"[-_.]+"

# An option's name, as dataclasses and TOML have them. Anything else is part of another option's value.
_KEY: Final = r"[A-Za-z_][A-Za-z0-9_.-]*"
_START: Final = rf"{_NAME}(?:@{_DISTRIBUTION})?"


class RegistryAddress(NamedTuple):
    """A registry's name or URL, split into parts and percent-decoded; a missing part is None or empty.

        >>> parse_address("redis://shop:hunter2@127.0.0.1:6379/0?prefix=app")
        <RegistryAddress redis://shop:***@127.0.0.1:6379/0?prefix=app>
        >>> parse_address("redis@pytheus-redis").distribution
        'pytheus-redis'

    `path` begins with "/"; a path that is only "/" is None. `query` has keys and values in the order written.
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
    """Whether an address can name a plugin `text`."""
    return _PLUGIN_NAME.fullmatch(text) is not None


def parse_plugin(text: str) -> tuple[str, str | None] | None:
    """The name and the distribution in NAME or NAME@DISTRIBUTION; None if `text` has neither form."""
    plugin = _PLUGIN.fullmatch(text)
    return None if plugin is None else (plugin["name"], plugin["distribution"])


def normalized_distribution(name: str) -> str:
    """The spelling that represents all spellings of a distribution's name: ``Pytheus_Redis`` is ``pytheus-redis``."""
    return re.sub(_RUN_OF_PUNCTUATION, "-", name).lower()


def parse_address(text: str, source: str = "as argument") -> RegistryAddress:
    """The parts of `text`, a registry's name or URL.

    Raises `RegistryAddressError`, which names `source` and the mistake, and the address that was probably meant.
    """
    if len(text) > MAX_ADDRESS_CHARACTERS:
        raise RegistryAddressError(
            f"registry ({source}) is {len(text)} characters long, but at most {MAX_ADDRESS_CHARACTERS} are allowed"
        )
    parsed = _parsed(text)
    if isinstance(parsed, RegistryAddress):
        return parsed
    plugin, mark, _ = text.partition("://")
    subject = f"registry '{plugin}://{HIDDEN}'" if mark and _PLUGIN.fullmatch(plugin) else "registry"
    meant = _meant(text)
    hint = "" if meant is None else f"; did you mean {meant!r}?"
    raise RegistryAddressError(f"{subject} ({source}) {parsed}{hint}")


def redact(text: str) -> str:
    """`text`, a registry's name or URL, without credentials; only ``***`` if it does not follow the grammar.

    >>> redact("redis://shop:hunter2@127.0.0.1/0?token=abc&prefix=app"), redact("redis://:hunter2")
    ('redis://shop:***@127.0.0.1/0?token=***&prefix=app', '***')
    """
    parsed = _parsed(text)
    return HIDDEN if isinstance(parsed, str) else parsed.shown


def _parsed(text: str) -> RegistryAddress | str:
    """The address, or the words for the mistake in it, which show nothing of it."""
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        return (
            f"contains the character {forbidden[0]!r}, which is allowed neither in a name nor in a URL; percent-encode"
            " it (a space is %20) or remove it"
        )
    plugin, mark, rest = text.partition("://")
    named = _PLUGIN.fullmatch(plugin)
    if named is None:
        return _not_a_plugin(text)
    if "#" in rest:
        return "contains a '#', and a registry's URL has no fragment; if it is part of a value, write %23"
    hierarchy, _, query = rest.partition("?")
    authority, slash, written_path = hierarchy.partition("/")
    parts = re.fullmatch(_AUTHORITY, authority, re.ASCII) if authority else None
    if authority and (parts is None or int(parts["port"] or 0) > 65535):
        return (
            "does not write its host as [USER[:PASSWORD]@]HOST[:PORT] with a port from 0 to 65535; in a user name or"
            " password, percent-encode everything but letters and digits ('/' is %2F, '@' is %40), and put an IPv6"
            " address in brackets"
        )
    host, port = (None, None) if parts is None else (parts["host"], parts["port"])
    try:
        path = _decoded(slash + written_path, "path") if written_path else None
        username = _decoded(parts["username"] or "", "user name") if parts is not None else ""
        password = None if parts is None or parts["password"] is None else _decoded(parts["password"], "password")
        pairs = _pairs(query) if query else ()
    except _MistakeError as mistake:
        return str(mistake)
    shown = plugin + mark
    if parts is not None:
        shown += _shown_user(username, parts["username"], password) + parts["host"] + (f":{port}" if port else "")
    if mark:
        shown += f"/{HIDDEN}" if path is not None and not is_plain_path(path) else slash + written_path
        shown += f"?{shown_query(pairs)}" if pairs else ""
    return RegistryAddress(
        named["name"],
        named["distribution"],
        host,
        int(port) if port else None,
        path,
        username or None,
        password,
        tuple((key, _decoded(value, "")) for key, _, value in pairs),
        shown,
    )


def _shown_user(username: str, written: str | None, password: str | None) -> str:
    if written is None:
        return ""
    if not password:
        return f"{HIDDEN}@"
    return f"{written if is_plain(username) and ':' not in username else HIDDEN}:{HIDDEN}@"


def with_path(text: str, path: str) -> str:
    """`text`, a registry's name or URL, with `path` instead of its own."""
    from urllib.parse import quote

    plugin, _, rest = text.partition("://")
    hierarchy, mark, query = rest.partition("?")
    authority = hierarchy.partition("/")[0]
    return f"{plugin}://{authority}{quote(path)}{mark}{query}"


def without_host(address: RegistryAddress) -> str:
    """`address` as it may be shown, with its host as the beginning of its path: ``x:///run/shop``."""
    plugin, _, rest = address.shown.partition("://")
    return f"{plugin}:///{rest}"


class _MistakeError(Exception):
    """The words for a mistake in an address. It never leaves this module."""


def _not_a_plugin(text: str) -> str:
    if not text:
        return "is empty; name a registry, such as 'default', or remove the setting"
    if re.fullmatch(_ATTRIBUTE, text) is not None:
        return (
            "looks like MODULE:ATTRIBUTE, but a setting can only name an installed plugin, because otherwise anyone who"
            " can set a variable could import any code; in Python code, import the object and pass it to"
            " REGISTRY.set_registry(the_object)"
        )
    if "?" in text and "://" not in text:
        return "has options but is not a URL; write NAME://?KEY=VALUE"
    return (
        "is neither a plugin's name, NAME or NAME@DISTRIBUTION, nor a URL that begins with one; a name consists of"
        " letters, digits, '_', '.', '-' and '+'"
    )


def _pairs(query: str) -> tuple[tuple[str, str, str], ...]:
    """The decoded key of each option, with its key and value as they were written."""
    pairs: dict[str, tuple[str, str, str]] = {}
    for pair in query.split("&"):
        written, equals, value = pair.partition("=")
        key = _decoded(written, "option name")
        # Only a common name is shown: anything else may be part of a password with an "&" or "=".
        named = f"the option {key!r}" if is_harmless(key) or is_secret(key) else "an option"
        if not key or not equals:
            raise _MistakeError(
                f"has {'an option without a name' if not key else f'no value for {named}'}; options are written"
                " KEY=VALUE and separated by '&' (%26 in a value)"
            )
        if re.fullmatch(_KEY, key, re.ASCII) is None:
            raise _MistakeError(
                "has an option whose name does not consist of letters, digits, '_', '.' and '-'; in a value,"
                " percent-encode everything but letters and digits ('&' is %26, '=' is %3D)"
            )
        if key in pairs:
            raise _MistakeError(f"gives {named} twice; give it once, several values separated by commas")
        _decoded(value, f"value of {named}")
        pairs[key] = (key, written, value)
    return tuple(pairs.values())


def _decoded(text: str, part: str) -> str:
    if "%" not in text:
        return text
    if re.search(_BROKEN_ESCAPE, text) is not None:
        raise _MistakeError(
            f"has a '%' in its {part} that is not followed by two hexadecimal digits; a percent sign is %25"
        )
    raw = re.sub(_ESCAPE.encode(), lambda escape: bytes((int(escape[1], 16),)), text.encode("utf-8", "surrogatepass"))
    decoded = raw.decode("utf-8", "replace")
    if decoded.encode("utf-8") != raw:
        raise _MistakeError(f"has escapes in its {part} that are not UTF-8")
    return decoded


# Suggestions --------------------------------------------------------------------------------------------------------


def _meant(text: str) -> str | None:
    """The address that was meant by `text`, as it may be shown, or None."""
    start = re.match(_START, text, re.ASCII)
    if start is None or re.fullmatch(_ATTRIBUTE, text) is not None:
        return None
    plugin, rest = start[0], text[start.end() :]
    body = rest.lstrip(":/")
    if not body or "://" in body:
        return None
    is_query = "=" in body and "?" not in body and not set(body.partition("=")[0]) & set("/:@")
    if is_query or (body[0] == "?" and rest != f"://{body}"):
        meant = f"{plugin}://?{body.lstrip('?')}"
    elif (rest.startswith("/") and not rest.startswith("//")) or re.match(r":/(?!/)", rest):
        meant = f"{plugin}:///{body}"
    elif rest.startswith("//"):
        meant = f"{plugin}:{rest}"
    else:
        return None
    parsed = _parsed(meant)
    # An option of an unknown name, or a path of one segment, may be a part of a password.
    if (
        isinstance(parsed, str)
        or (parsed.path or "//").count("/") == 1
        or not all(is_harmless(key) or is_secret(key) for key, _ in parsed.query)
    ):
        return None
    return parsed.shown


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that is spelled most like `word`, in any case, or None if none is similar."""
    import difflib

    by_lowercase = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word.lower(), by_lowercase, n=1)
    return by_lowercase[matches[0]] if matches else None


def suggestion(word: str, candidates: Iterable[str]) -> str:
    """A question for an error message, "did you mean 'x'? " with a space after it, or "" if no candidate is similar."""
    meant = closest(word, candidates)
    return "" if meant is None else f"did you mean {meant!r}? "
