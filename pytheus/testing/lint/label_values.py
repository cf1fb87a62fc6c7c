"""Values of labels that are ids: every request, user or day makes a new series.

Rules:

- One value proves nothing: a build has a hash, a host an address. Several distinct ones of a form are needed, and they
  must be at least half of the values. More are needed for forms that a fixed set may have, too: addresses, numbers.
- Numbers that count from 0 or 1 are indexes, such as those of processors; those from 100 to 599 are status codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from pytheus.testing.lint.finding import shown_text

__all__ = ["form_of", "id_findings"]

_HEX: Final = r"[0-9a-fA-F]"
_UUID: Final = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
# Hexadecimal digits with a letter and a number, or a ULID.
_HASH: Final = rf"(?=[a-fA-F]*[0-9])(?=[0-9]*[a-fA-F])(?:0x)?{_HEX}{{12,}}|[0-7][0-9A-HJKMNP-TV-Z]{{25}}"
_ADDRESS: Final = (
    r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?::[0-9]+)?"
    rf"|\[?(?=[^:\]]*:[^:\]]*:)(?:{_HEX}{{0,4}}:){{2,7}}{_HEX}{{0,4}}\]?(?::[0-9]+)?"
)
_TIME: Final = r"[12][0-9]{3}-[01][0-9]-[0-3][0-9](?:[T ][0-2][0-9]:.{1,30})?|1[0-9]{9}(?:[0-9]{3}|\.[0-9]+)?"
_SEGMENT: Final = re.compile(rf"(?<=/)(?:[0-9]+|{_UUID}|{_HASH})(?=/|$)")
_LONG: Final = 200


class _Form(NamedTuple):
    words: str
    pattern: re.Pattern[str]
    at_least: int


_FORMS: Final = (
    _Form("UUIDs", re.compile(_UUID), 3),
    _Form("e-mail addresses", re.compile(r"[^@\s/]+@[^@\s/]+\.[A-Za-z]{2,}"), 3),
    _Form("times", re.compile(_TIME), 3),
    _Form("hashes", re.compile(_HASH), 3),
    _Form("IP addresses", re.compile(_ADDRESS), 10),
    _Form("URLs with a query", re.compile(r"(?:[a-z][a-z0-9+.-]*:/)?/[^\s?]*\?[^\s=]*=.*", re.I | re.DOTALL), 2),
)
_PATHS: Final = "paths with ids"
_NUMBERS: Final = "numbers"
_PATHS_AT_LEAST: Final = 3
_NUMBERS_AT_LEAST: Final = 20
_INDEXES_AT_MOST: Final = 1024
_SMALL_NUMBERS: Final = re.compile(r"(?:.*_)?(?:code|status|port|pid|year|le|quantile|version|priority|size)")


def form_of(value: str) -> str:
    """Return the words for the form of a value that looks like an id, or "".

    >>> form_of("9f1c7d3e-52aa-4be1-8a0d-0c5b6d1f2e3a"), form_of("/users/17"), form_of("card")
    ('UUIDs', 'paths with ids', '')
    """
    for form in _FORMS:
        if form.pattern.fullmatch(value):
            return form.words
    if value.isascii() and value.isdigit():
        return _NUMBERS
    if "/" in value and _SEGMENT.search(value):
        return _PATHS
    return ""


def id_findings(label: str, values: Mapping[str, None]) -> Iterator[tuple[str, str]]:
    """Yield a message and a rule for the distinct `values` of `label` if they look like ids, or like free text."""
    by_form: dict[str, list[str]] = {}
    text = ""
    for value in values:
        if len(value) > _LONG or "\n" in value:
            text = text or value
        else:
            form = form_of(value)
            if form:
                by_form.setdefault(form, []).append(value)
    if text:
        fault = "several lines" if "\n" in text else f"{len(text)} characters"
        yield f"has a value of {fault}: {shown_text(text)}", "label-free-text"
    for form, found in by_form.items():
        if 2 * len(found) >= len(values) and _ARE_MANY.get(form, _are_many)(form, label, found):
            shown = ", ".join(shown_text(value) for value in found[:3])
            yield f"has {len(found)} values that are {form}: {shown}", "label-ids"


def _are_many(form: str, label: str, found: list[str]) -> bool:
    return len(found) >= next(known.at_least for known in _FORMS if known.words == form)


def _are_paths(form: str, label: str, found: list[str]) -> bool:
    """Whether several paths differ in their ids alone."""
    counts: dict[str, int] = {}
    for value in found:
        template = _SEGMENT.sub("", value)
        counts[template] = counts.get(template, 0) + 1
    return max(counts.values()) >= _PATHS_AT_LEAST


def _are_growing(form: str, label: str, found: Iterable[str]) -> bool:
    numbers = sorted({int(value) for value in found if len(value) <= 18})
    if len(numbers) < _NUMBERS_AT_LEAST or _SMALL_NUMBERS.fullmatch(label.lower()):
        return False
    if numbers[0] >= 100 and numbers[-1] <= 599:
        return False
    is_index = numbers[0] <= 1 and numbers[-1] < 2 * len(numbers)
    return not is_index or len(numbers) > _INDEXES_AT_MOST


_ARE_MANY: Final[dict[str, Callable[[str, str, list[str]], bool]]] = {_PATHS: _are_paths, _NUMBERS: _are_growing}
