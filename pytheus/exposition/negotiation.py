"""Content negotiation: which of several formats a client prefers, and how it wants names written.

Rules:

- The first format is used for a client that sends no ``Accept``, accepts none of the formats, or prefers no other one.
- ``Accept`` is parsed by RFC 9110 section 12.5.1, with one exception: a parameter that a media range has and the format
  lacks does not exclude the format, because Prometheus adds hints such as ``escaping=allow-utf-8``. A parameter that
  both have must be equal. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
- The escaping is that of the range that the format was chosen by, or "underscores" if it has none or an unknown one.
- The page and its overview are offered only to a client that names them: a browser, or the page itself. Java sends
  ``text/html`` by default as well, with types of images, and serves programs that scrape. A browser that names images
  also names ``application/xhtml+xml``.
- Prometheus sends no ``escaping`` with protobuf. There the escaping is "allow-utf-8" if some range asks for that.
  client_golang takes it from the last range, and so writes underscores. That deviation loses no name: a client that can
  read UTF-8 names in one format can read them in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from pytheus.escaping import ESCAPINGS, Escaping
from pytheus.exposition.formats import AnyFormat

__all__ = [
    "MAX_ACCEPT_CHARACTERS",
    "OVERVIEW_TYPE",
    "MediaType",
    "Negotiated",
    "negotiate",
    "parse_media_type",
    "wants_page",
    "weight",
]

MAX_ACCEPT_CHARACTERS: Final = 2048
"""The longest ``Accept`` that is parsed, because parsing takes time. Prometheus sends about 300 characters."""

OVERVIEW_TYPE: Final = "application/vnd.pytheus.overview+json"
"""The media type of the overview that the page for browsers reads."""

# https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2
#   weight = OWS ";" OWS "q=" qvalue
#   qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
_QVALUE: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2, section-5.6.4 and section-5.6.6
#   parameter = token "=" ( token / quoted-string )
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\.)*"'
_TYPE: Final = re.compile(rf"[ \t]*({_TOKEN})/({_TOKEN})[ \t]*", re.ASCII)
_PARAMETER: Final = re.compile(rf"[ \t]*;[ \t]*(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?[ \t]*", re.ASCII)
_ITEM: Final = re.compile(rf'(?:{_QUOTED}|[^,"])+', re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")

_DEFAULT_ESCAPING: Final[Escaping] = "underscores"
_WITHOUT_ESCAPING: Final = ("application", "vnd.google.protobuf")


class MediaType(NamedTuple):
    """A media type or range; all but the values of its parameters is in lower case.

    >>> parse_media_type("Text/Plain; version=0.0.4")
    MediaType(type='text', subtype='plain', parameters={'version': '0.0.4'})
    """

    type: str
    subtype: str
    parameters: Mapping[str, str]

    def covers(self, other: MediaType) -> tuple[int, int] | None:
        """Return how specific this range is for `other`; None if it excludes it."""
        if self.type == "*":
            exact = 0
        elif self.type != other.type:
            return None
        elif self.subtype == "*":
            exact = 1
        elif self.subtype != other.subtype:
            return None
        else:
            exact = 2
        same = 0
        for name, value in self.parameters.items():
            theirs = other.parameters.get(name)
            if theirs is not None:
                if theirs.lower() != value.lower():
                    return None
                same += 1
        return exact, same


class Negotiated(NamedTuple):
    """The format that a client prefers, and how it wants names written."""

    format: AnyFormat
    escaping: Escaping


class _Range(NamedTuple):
    media_range: MediaType
    quality: float
    escaping: Escaping | None


def parse_media_type(text: str) -> MediaType | None:
    """Return the parsed media type, or None if `text` is not one."""
    head = _TYPE.match(text)
    if head is None:
        return None
    parameters: dict[str, str] = {}
    position = head.end()
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is None:
            return None
        name, value = parameter[1], parameter[2]
        if name is not None:
            parameters[name.lower()] = _ESCAPED.sub(r"\1", value[1:-1]) if value[0] == '"' else value
        position = parameter.end()
    return MediaType(head[1].lower(), head[2].lower(), parameters)


_offered: Final = lru_cache(32)(parse_media_type)


def weight(text: str) -> float:
    """Return a ``q`` value as a number; 0, "not acceptable", if it is invalid."""
    return float(text) if _QVALUE.fullmatch(text) is not None else 0.0


@lru_cache(32)  # as `_ranges`; for a scrape it is all that the page costs
def wants_page(accept: str) -> bool:
    """Return whether a client that sends `accept` is offered the page for browsers and its overview.

    >>> wants_page("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), wants_page("*/*")
    (True, False)
    """
    named = {
        f"{each.media_range.type}/{each.media_range.subtype}"
        for each in (_ranges(accept) if len(accept) <= MAX_ACCEPT_CHARACTERS else ())
        if each.quality
    }
    if OVERVIEW_TYPE in named:
        return True
    has_images = any(each.startswith("image/") for each in named)
    return "text/html" in named and (not has_images or "application/xhtml+xml" in named)


def negotiate(accept: str, formats: Iterable[AnyFormat]) -> Negotiated:
    """Return which of `formats`, of which there is at least one, a client prefers that sends `accept`.

    Of several with equal preference, the first. The first also for an ``Accept`` that is too long.
    """
    if len(accept) > MAX_ACCEPT_CHARACTERS:
        accept = ""
    best: AnyFormat | None = None
    best_quality = 0.0
    best_range: _Range | None = None
    for candidate in formats:
        found = _most_specific(candidate.media_type, accept)
        quality = 0.0 if found is None else found.quality
        if best is None or quality > best_quality:
            best, best_quality, best_range = candidate, quality, found
    assert best is not None
    return Negotiated(best, _escaping(best, best_range, accept))


def _escaping(chosen: AnyFormat, found: _Range | None, accept: str) -> Escaping:
    if found is None or not found.quality:
        return _DEFAULT_ESCAPING
    if found.escaping is not None:
        return found.escaping
    media_type = _offered(chosen.media_type)
    if media_type is not None and media_type[:2] == _WITHOUT_ESCAPING:
        for each in _ranges(accept):
            if each.escaping == "allow-utf-8" and each.quality:
                return "allow-utf-8"
    return _DEFAULT_ESCAPING


@lru_cache(32)  # a Prometheus sends the same text each time
def _ranges(accept: str) -> tuple[_Range, ...]:
    ranges: list[_Range] = []
    for item in _ITEM.findall(accept):
        media_range = parse_media_type(item)
        if media_range is not None:
            parameters = dict(media_range.parameters)
            quality = weight(parameters.pop("q", "1"))
            named = parameters.get("escaping", "").lower()
            escaping: Escaping | None = None
            if named in ESCAPINGS:
                escaping = named
            else:
                parameters.pop("escaping", None)
            ranges.append(_Range(media_range._replace(parameters=parameters), quality, escaping))
    return tuple(ranges)


@lru_cache(256)  # for each format, as `_ranges`
def _most_specific(text: str, accept: str) -> _Range | None:
    """Return the range that decides about the media type `text`, or None."""
    media_type = _offered(text)
    found: tuple[int, int] | None = None
    decisive: _Range | None = None
    if media_type is not None:
        for each in _ranges(accept):
            exactness = each.media_range.covers(media_type)
            if exactness is not None and (found is None or exactness > found):
                found, decisive = exactness, each
    return decisive
