"""Names and URLs of registries: the grammar of ``PYTHEUS_REGISTRY`` and other settings, and redaction of credentials.

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

Redaction follows these rules:

- A URL is shown without its password, and without the values of query keys that are named like a credential.
- Redaction works on the text, not on its parts, so that it covers a URL that does not even parse. Where the text is
  ambiguous, as with an ``@`` or ``/`` in a password that was not percent-encoded, it hides more, not less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from pytheus.exceptions import RegistryAddressError

__all__ = [
    "BUILTIN_REGISTRIES",
    "HIDDEN",
    "MAX_ADDRESS_CHARACTERS",
    "RegistryAddress",
    "closest",
    "hide",
    "is_plugin_name",
    "is_secret",
    "normalized_distribution",
    "parse_address",
    "parse_plugin",
    "redact",
    "suggestion",
    "with_path",
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

HIDDEN: Final = "***"

_SECRET_PARTS: Final = ("password", "passwd", "passphrase", "secret", "token", "credential", "apikey")
_SECRET_WORDS: Final = frozenset({"auth", "key", "pass", "pwd", "sig", "signature"})
_WORD_BREAK: Final = r"[^a-z0-9]+"
_PAIR: Final = re.compile(r"(?P<key>[^?&;=#]*)=(?P<value>[^&;#]*)")


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

    Raises `RegistryAddressError`, which names `source` and the mistake and shows no credential.
    """
    if len(text) > MAX_ADDRESS_CHARACTERS:
        raise RegistryAddressError(
            f"registry ({source}) is {len(text)} characters long, but at most {MAX_ADDRESS_CHARACTERS} are allowed"
        )
    shown = redact(text)
    subject = f"registry {shown!r} ({source})"
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        raise RegistryAddressError(
            f"{subject} contains the character {forbidden[0]!r}, which is allowed neither in a name nor in a URL;"
            " percent-encode it (a space is %20) or remove it"
        )
    plugin, mark, rest = text.partition("://")
    named = _PLUGIN.fullmatch(plugin)
    if named is None:
        raise _not_a_plugin(text, redact(plugin), subject)
    name, distribution = named["name"], named["distribution"]
    if not mark:
        return RegistryAddress(name, distribution, None, None, None, None, None, (), shown)
    if "#" in rest:
        raise RegistryAddressError(
            f"{subject} contains a '#', and a registry's URL has no fragment; if it is part of a value, write %23"
        )
    hierarchy, _, query = rest.partition("?")
    authority, slash, path = hierarchy.partition("/")
    if not authority:
        username = password = host = port = None
    else:
        parts = re.fullmatch(_AUTHORITY, authority, re.ASCII)
        if parts is None or (parts["port"] is not None and int(parts["port"]) > 65535):
            raise RegistryAddressError(
                f"{subject} does not write its host as [USER[:PASSWORD]@]HOST[:PORT] with a port from 0 to 65535;"
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
        _decoded(slash + path, "path", subject) if path else None,
        _decoded(username, "user name", subject) if username else None,
        None if password is None else _decoded(password, "password", subject),
        _pairs(query, subject) if query else (),
        shown,
    )


def with_path(text: str, path: str) -> str:
    """`text`, a registry's name or URL, with `path` instead of its own."""
    from urllib.parse import quote

    plugin, _, rest = text.partition("://")
    hierarchy, mark, query = rest.partition("?")
    authority = hierarchy.partition("/")[0]
    return f"{plugin}://{authority}{quote(path)}{mark}{query}"


def _not_a_plugin(text: str, plugin: str, subject: str) -> RegistryAddressError:
    if not text:
        return RegistryAddressError(f"{subject} is empty; name a registry, such as 'default', or remove the setting")
    if re.fullmatch(_ATTRIBUTE, text) is not None:
        return RegistryAddressError(
            f"{subject} looks like MODULE:ATTRIBUTE, but a setting can only name an installed plugin, because otherwise"
            " anyone who can set a variable could import any code; in Python code, import the object and pass it to"
            " REGISTRY.set_registry(the_object)"
        )
    if "?" in text and "://" not in text:
        return RegistryAddressError(f"{subject} has options but is not a URL; write NAME://?KEY=VALUE")
    return RegistryAddressError(
        f"{subject} is neither a plugin's name, NAME or NAME@DISTRIBUTION, nor a URL that begins with one:"
        f" {plugin!r} cannot be a name; a name consists of letters, digits, '_', '.', '-' and '+'"
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
    if re.search(_BROKEN_ESCAPE, text) is not None:
        raise RegistryAddressError(
            f"{subject} has a '%' in its {part} that is not followed by two hexadecimal digits; a percent sign is %25"
        )
    raw = re.sub(_ESCAPE.encode(), lambda escape: bytes((int(escape[1], 16),)), text.encode("utf-8", "surrogatepass"))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # Not chained: the original shows the bytes, which may be a password's.
        raise RegistryAddressError(f"{subject} has escapes in its {part} that are not UTF-8") from None


# Redaction -----------------------------------------------------------------------------------------------------------


def is_secret(key: str) -> bool:
    """Whether an option of this name is a credential: password, token, secret, key, or a name that contains these.

    >>> is_secret("api_key"), is_secret("namespace")
    (True, False)
    """
    lowered = key.lower()
    return any(part in lowered for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(
        re.split(_WORD_BREAK, lowered)
    )


def redact(text: str) -> str:
    """`text`, a registry's name or URL, with ``***`` in place of every credential.

    >>> redact("redis://shop:hunter2@127.0.0.1/0?token=abc&prefix=app")
    'redis://shop:***@127.0.0.1/0?token=***&prefix=app'
    """
    head, mark, query = _without_password(text).partition("?")
    return head + mark + _PAIR.sub(_redacted_pair, query)


def _without_password(text: str) -> str:
    mark = text.find("://")
    # A colon before the mark is not part of a plugin's name, and may begin a misplaced password.
    start = mark + 3 if mark >= 0 and ":" not in text[:mark] else 0
    # The colons of an IPv6 host come after the user information, so the first colon before an @ is not one of them.
    colon = text.find(":", start)
    at = text.rfind("@")
    if start <= colon < at:
        return f"{text[: colon + 1]}{HIDDEN}{text[at:]}"
    return text


def _redacted_pair(pair: re.Match[str]) -> str:
    key = re.sub(_ESCAPE, lambda escape: chr(int(escape[1], 16)), pair["key"])
    return f"{pair['key']}={HIDDEN}" if pair["value"] and is_secret(key) else pair[0]


def hide(secrets: Iterable[str], text: str) -> str:
    """`text`, such as another library's error message, with ``***`` in place of each of `secrets`."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    return text


# Suggestions --------------------------------------------------------------------------------------------------------


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
