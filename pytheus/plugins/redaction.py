"""Display of addresses and options without credentials.

Rules:

- Only parts that are known to be harmless are shown. A part of an address is shown if its place says so (name, host,
  port, a plain path), an option if its name says so (``namespace``, ``interval_seconds``) or the plugin declares it.
- An address that does not follow the grammar is not shown, because a password may be anywhere in it.
- A user name is shown only beside a password. Alone, it is most often a token.
- An unescaped "&" ends a password in a query. An option that follows a credential is shown only if its name is a
  harmless one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = [
    "HIDDEN",
    "hide",
    "is_harmless",
    "is_plain",
    "is_plain_path",
    "is_secret",
    "quoted",
    "shown_query",
    "shown_value",
]

HIDDEN: Final = "***"

_MAX_SHOWN_CHARACTERS: Final = 80

_SECRET_PARTS: Final = ("passw", "passphrase", "secret", "token", "credential", "apikey", "accesskey", "privatekey")
_SECRET_WORD: Final = "auth|authorization|bearer|creds?|dsn|jwt|key|login|pass|pin|psk|pw|pwd|salt|sig|signature"
_HARMLESS: Final = (
    "database|db|directory|env|environment|host|interval|mode|name|namespace|on_conflict|path|port|prefix|region"
    "|scheme|service|size|tags|timeout|tls|verify|zone"
    r"|(?:max|min)_\w+|\w+_(?:bytes|count|directory|file|ms|path|seconds|size)"
)
_WORD_BREAK: Final = r"[^a-z0-9]+"
_CAMEL_BREAK: Final = r"(?<=[a-z0-9])(?=[A-Z])"
# Text in which no "user:password@host", "key=value" or escape is hidden.
_PLAIN: Final = r"(?!.*//)[^@?&;=#%\x00-\x1f\x7f]*"
_PLAIN_PATH: Final = r"(?:/[A-Za-z]:(?=/))?[\w /.,+~-]*"
# A shorter beginning of a secret is an accident.
_MIN_PART: Final = 8


def is_secret(key: str) -> bool:
    """Whether an option of this name is a credential: password, token, secret, key, or a name that contains these.

    >>> is_secret("api_key"), is_secret("namespace")
    (True, False)
    """
    lowered = re.sub(_CAMEL_BREAK, "_", key).lower()
    joined = re.sub(_WORD_BREAK, "", lowered.replace("_", ""))
    words = re.split(_WORD_BREAK, lowered.replace("_", " "))
    return any(part in joined for part in _SECRET_PARTS) or any(re.fullmatch(_SECRET_WORD, word) for word in words)


def is_harmless(key: str) -> bool:
    """Whether an option of this name is never a credential, whatever plugin it belongs to.

    >>> is_harmless("interval_seconds"), is_harmless("key_file"), is_harmless("foo")
    (True, False, False)
    """
    return not is_secret(key) and re.fullmatch(_HARMLESS, key, re.ASCII | re.IGNORECASE) is not None


def is_plain(text: str) -> bool:
    """Whether no credential can be inside `text`, as there could be in an address or in several options."""
    return re.fullmatch(_PLAIN, text) is not None


def is_plain_path(path: str) -> bool:
    """Whether a percent-decoded path consists of characters that directories usually have."""
    return re.fullmatch(_PLAIN_PATH, path) is not None


def shown_query(pairs: Iterable[tuple[str, str, str]]) -> str:
    """The query of an address as it may be shown; a pair is a decoded key, and key and value as they were written."""
    shown: list[str] = []
    hiding = False
    for key, written, value in pairs:
        if is_harmless(key):
            shown.append(f"{written}={value if is_plain(value) else HIDDEN}")
        elif not hiding:
            shown.append(f"{written}={HIDDEN if value else ''}")
        hiding = hiding or is_secret(key)
    return "&".join(shown)


def shown_value(key: str, value: object, *, is_known: bool = False) -> object:
    """`value` of the option `key` as it may be shown, with types that JSON has; `is_known` says that it is declared.

    >>> shown_value("foo", "hunter2"), shown_value("foo", 5), shown_value("foo", "hunter2", is_known=True)
    ('***', 5, 'hunter2')
    """
    if value is None or value == "":
        return value
    if is_secret(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {inner: shown_value(inner, held, is_known=is_known) for inner, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown_value(key, held, is_known=is_known) for held in value]
    if isinstance(value, str):
        return value if (is_known or is_harmless(key)) and is_plain(value) else HIDDEN
    is_json = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_json else str(value)  # TOML's dates among others


def quoted(shown: object) -> str:
    """A value that may be shown, as text for a message: short, and in quotes if it is text."""
    if shown == HIDDEN:
        return HIDDEN
    try:
        text = repr(shown)
    except ValueError:
        text = "a number that is too long to be shown"  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[: _MAX_SHOWN_CHARACTERS - 3]}..."


def hide(secrets: Iterable[str], text: str) -> str:
    """`text`, such as another library's error message, with ``***`` in place of each of `secrets`.

    Also in place of a secret that is percent-encoded or escaped as in a repr, and of the beginning of a long one, which
    the library may have cut.

        >>> hide(["p@ss"], "cannot connect to redis://:p%40ss@db.example")
        'cannot connect to redis://:***@db.example'

    Any thread may call it.
    """
    by_length = sorted(set(filter(None, secrets)), key=len, reverse=True)
    for secret in by_length:
        for spelling in (secret, repr(secret)[1:-1]):
            text = text.replace(spelling, HIDDEN)
        if "%" in text or "+" in text:
            text = re.sub(_percent_encoded(secret), HIDDEN, text)
    for secret in by_length:
        length = len(secret) - 1
        while length >= _MIN_PART and secret[:_MIN_PART] in text:
            text = text.replace(secret[:length], HIDDEN)
            length -= 1
    return text


def _percent_encoded(secret: str) -> str:
    """A pattern for `secret` with any of its characters percent-encoded."""
    pieces: list[str] = []
    for character in secret:
        encoded = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))
        either = {character, encoded, encoded.upper(), *("+" if character == " " else "")}
        pieces.append(f"(?:{'|'.join(sorted(map(re.escape, either)))})")
    return "".join(pieces)
