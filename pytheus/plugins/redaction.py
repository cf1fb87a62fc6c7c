"""Keeping credentials out of everything that is shown.

Rules:

- A URL is shown without its password, and without the values of query keys that are named like a credential.
- What is redacted is decided on the text, not on its parts, so that a URL that does not even parse is covered. Where
  the text is ambiguous, as with an ``@`` or ``/`` in a password that was not percent-encoded, more is hidden, not less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["HIDDEN", "is_secret", "redact", "without"]

HIDDEN: Final = "***"

_SECRET_PARTS: Final = ("password", "passwd", "passphrase", "secret", "token", "credential", "apikey")
_SECRET_WORDS: Final = frozenset({"auth", "key", "pass", "pwd", "sig", "signature"})
_WORD_BREAK: Final = re.compile(r"[^a-z0-9]+")
_PAIR: Final = re.compile(r"(?P<key>[^?&;=#]*)=(?P<value>[^&;#]*)")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")


def is_secret(key: str) -> bool:
    """Whether an option of this name holds a credential: password, token, secret, key, and what contains them.

    >>> is_secret("api_key"), is_secret("namespace")
    (True, False)
    """
    lowered = key.lower()
    return any(part in lowered for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(_WORD_BREAK.split(lowered))


def redact(text: str) -> str:
    """`text`, a registry's name or URL, with ``***`` in place of every credential.

    >>> redact("redis://shop:hunter2@127.0.0.1/0?token=abc&prefix=app")
    'redis://shop:***@127.0.0.1/0?token=***&prefix=app'
    """
    head, mark, query = _without_password(text).partition("?")
    return head + mark + _PAIR.sub(_redacted_pair, query)


def _without_password(text: str) -> str:
    mark = text.find("://")
    # A colon before the mark belongs to no plugin's name, and may well be a misplaced password's.
    start = mark + 3 if mark >= 0 and ":" not in text[:mark] else 0
    # An IPv6 host has colons, but stands behind the user information: the first colon before an @ is never in it.
    colon = text.find(":", start)
    at = text.rfind("@")
    if start <= colon < at:
        return f"{text[: colon + 1]}{HIDDEN}{text[at:]}"
    return text


def _redacted_pair(pair: re.Match[str]) -> str:
    key = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), pair["key"])
    return f"{pair['key']}={HIDDEN}" if pair["value"] and is_secret(key) else pair[0]


def without(secrets: Iterable[str], text: str) -> str:
    """`text`, such as a foreign error's message, with ``***`` wherever one of `secrets` stands in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    return text
