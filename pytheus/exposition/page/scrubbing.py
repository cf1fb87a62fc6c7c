"""Texts of errors without possible credentials, because their readers may not see the log.

Rules:

- The credentials of the registry's options are known, and go first (`pytheus.registry.origin`).
- Of the rest, whatever looks like one goes: the user and the query of an address, the value of a name such as
  ``password``, a bearer token, a long run of letters and digits. A text may lose a harmless part.
- Directories go, too, because they name users and machines.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pytheus.registry.origin import Origin

__all__ = ["HIDDEN", "scrubbed"]

HIDDEN: Final = "***"

_CHARACTERS_AT_MOST: Final = 300

_NAMES: Final = (
    "passw|passphrase|(?<![a-z])pass(?![a-z])|pwd|secret|token|credential|cookie|api.?key|access.?key|private.?key"
    "|signature|auth"
)
# In a text that is itself quoted, a backslash precedes each quote.
_OPENING: Final = r"\\{0,3}[bru]{0,2}"
# A quote in the value is doubled, after a backslash, or before a letter.
_QUOTED: Final = r"(?:\"(?:[^\"\\]|\\[\s\S]|\"\"|\"(?=\w))*\"?|'(?:[^'\\]|\\[\s\S]|''|'(?=\w))*'?)"
# Up to white space and the marks before it, or up to another name and its value.
_UNQUOTED: Final = r"\S+?(?=[,;)}\]]{0,3}(?:\s|\Z)|[&;][\w.-]{1,40}=)"
# Each repetition has an end, or a beginning that few places have, so that no text takes long.
_PATTERNS: Final = (
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",;]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # A name and its value, as in password=x, "api_key": "x" and token 'x'.
    (
        re.compile(
            rf"((?:{_NAMES})[\w.-]{{0,40}}(?:\\{{0,3}}['\"])?"
            rf"(?:\s{{0,9}}[=:]\s{{0,9}}|\sis\s|\s(?={_OPENING}['\"])))"
            rf"(?:{_OPENING}{_QUOTED}|{_UNQUOTED})",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # The user of an address, whose password may have signs that would end it.
    (re.compile(r"(://)[^\s'\"]*@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(://[^\s?'\"]*\?)[^\s'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?<![\w.-])[\w.-]{1,64}:(?!//)[^\s@'\"]{1,256}@(?=[\w.\[-])"), f"{HIDDEN}@"),
    # Base64, hexadecimal digits, and the like; not a long word, and no name of a metric.
    (re.compile(r"(?<![\w+/=-])(?=[\w+/=-]*[0-9])(?=[\w+/=-]*[A-Za-z])[\w+/=-]{24,}"), HIDDEN),
    # The directories of a path.
    (re.compile(r"(?<![\w/:.*\\])(?:~?/|[A-Za-z]:[\\/])(?:[^\s/\\'\":]+[\\/])+"), "..."),
)


def scrubbed(text: str, origin: Origin | None) -> str:
    """Return `text` without possible credentials, in at most 300 characters.

    >>> scrubbed("cannot reach redis://:hunter2@db.example/0: /srv/shop/app.sock is missing", None)
    'cannot reach redis://***@db.example/0: ...app.sock is missing'
    """
    if origin is not None:
        text = origin.scrub(text)
    text = _without_look_alikes(text)
    return text if len(text) <= _CHARACTERS_AT_MOST else f"{text[: _CHARACTERS_AT_MOST - 3]}..."


@lru_cache(512)  # the same errors, overview after overview
def _without_look_alikes(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
