"""The URL of a receiver: its parts, and how it is shown.

Rules:

- ``http://`` and ``https://`` only. A user name and password in it are credentials, percent-encoded.
- An error shows neither credentials nor an invalid URL, in which a password may be anywhere.
- A query is kept. Its values are shown only if their names are harmless.
- A part that is not shown is a secret, also where a receiver repeats it in its words.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from pytheus.exceptions import InvalidReceiverError
from pytheus.plugins.redaction import HIDDEN, is_harmless, is_plain, is_plain_path, is_secret, shown_query

__all__ = ["LEAST_SECRET", "ReceiverAddress", "parse_receiver"]

_ALLOWED: Final = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")
_FORM: Final = "http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]"
_MAX_CHARACTERS: Final = 4096
# A shorter value, such as a unit of time, would be found in any words.
LEAST_SECRET: Final = 4


class ReceiverAddress(NamedTuple):
    """The parts of a receiver's URL.

    `host` is without brackets, in ASCII. `path` begins with "/" or is "", and ends without "/"; it is still
    percent-encoded, as is `query`. `shown` is the URL without credentials.
    """

    is_tls: bool
    host: str
    port: int
    path: str
    query: str
    username: str
    password: str
    shown: str

    @property
    def authority(self) -> str:
        """The value of the header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that `shown` hides, as they are written and decoded."""
        hidden: list[str] = [self.password]
        if not _is_plain_user(self.username) or (not self.password and len(self.username) >= LEAST_SECRET):
            hidden.append(self.username)
        if not is_plain_path(unquote(self.path)):
            hidden += (self.path, unquote(self.path))
        for key, _, value in _pairs(self.query):
            is_value = len(value) >= LEAST_SECRET or is_secret(key)
            if is_value and not (is_harmless(key) and is_plain(value)):
                hidden += (value, unquote(value), unquote_plus(value))
        return tuple(dict.fromkeys(filter(None, hidden)))

    def __repr__(self) -> str:
        return f"<ReceiverAddress {self.shown}>"


def parse_receiver(url: str, subject: str = "a receiver's URL") -> ReceiverAddress:
    """Return the parts of `url`; raises `InvalidReceiverError`, which begins with `subject`.

    >>> parse_receiver("https://shop:hunter2@gateway.example:9091/push/").shown
    'https://shop:***@gateway.example:9091/push'
    """
    if not isinstance(url, str):
        raise InvalidReceiverError(f"{subject} is text but got {type(url).__name__}; write {_FORM}")
    text = url.strip()
    if len(text) > _MAX_CHARACTERS:
        raise InvalidReceiverError(f"{subject} has {len(text)} characters, but at most {_MAX_CHARACTERS} are allowed")
    scheme = text.partition("://")[0].lower()
    if scheme not in ("http", "https") or "://" not in text:
        raise InvalidReceiverError(f"{subject} begins with http:// or https:// but got another text; write {_FORM}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        encoded = host.encode("idna").decode()
        if not host.isascii():
            host = encoded
    except UnicodeError:
        raise InvalidReceiverError(
            f"{subject} has a host that cannot be a name; each part between its dots has 1 to 63 characters"
        ) from None
    except ValueError:
        raise InvalidReceiverError(f"{subject} does not have the form {_FORM}") from None
    if not host or port == 0:
        raise InvalidReceiverError(f"{subject} has no host or the port 0; write {_FORM}")
    if parts.fragment or "#" in text:
        raise InvalidReceiverError(f"{subject} has a '#', which a receiver never gets; if it is part of a value: %23")
    if any(part and not _ALLOWED.fullmatch(part) for part in (host, parts.path, parts.query)):
        raise InvalidReceiverError(
            f"{subject} contains a character that a URL cannot have; percent-encode it (a space is %20)"
        )
    path = parts.path.rstrip("/")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if password and not username:
        raise InvalidReceiverError(f"{subject} has a password without a user name; write USER:PASSWORD@HOST")
    is_tls = scheme == "https"
    shown_host = f"[{host}]" if ":" in host else host
    shown = f"{scheme}://{_shown_user(username, password)}{shown_host}{'' if port is None else f':{port}'}"
    shown += path if is_plain_path(unquote(path)) else f"/{HIDDEN}"
    if parts.query:
        shown += f"?{shown_query(_pairs(parts.query))}"
    return ReceiverAddress(is_tls, host, port or (443 if is_tls else 80), path, parts.query, username, password, shown)


def _shown_user(username: str, password: str) -> str:
    if not username:
        return ""
    # Alone, it is most often a token.
    if not password:
        return f"{HIDDEN}@"
    return f"{username if _is_plain_user(username) else HIDDEN}:{HIDDEN}@"


def _is_plain_user(username: str) -> bool:
    return is_plain(username) and ":" not in username


def _pairs(query: str) -> list[tuple[str, str, str]]:
    pairs: list[tuple[str, str, str]] = []
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        pairs.append((unquote(key), key, value))
    return pairs
