"""Content negotiation: which of several formats a client prefers.

Rules:

- The text format is always available. It is used for a client that sends no ``Accept``, accepts none of the formats, or
  does not prefer another one.
- ``Accept`` is parsed by RFC 9110 section 12.5.1, with one exception: a parameter that a media range has and the format
  lacks does not exclude the format, because Prometheus adds hints such as ``escaping=allow-utf-8``. A parameter that
  both have must be equal. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from pytheus.exposition.formats import ExpositionFormat

__all__ = ["MAX_ACCEPT_CHARACTERS", "MediaType", "best_format", "parse_media_type", "weight"]

MAX_ACCEPT_CHARACTERS: Final = 2048
"""The longest ``Accept`` that is parsed, because parsing takes time. Prometheus sends about 300 characters."""

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


def weight(text: str) -> float:
    """Return a ``q`` value as a number; 0, "not acceptable", if it is invalid."""
    return float(text) if _QVALUE.fullmatch(text) is not None else 0.0


def best_format(accept: str, formats: Iterable[ExpositionFormat], default: str) -> ExpositionFormat | None:
    """Return the format that a client prefers to the media type `default`, or None.

    `accept` is the client's header ``Accept``. Of several with equal preference, the first. None also for an ``Accept``
    that is too long.
    """
    if len(accept) > MAX_ACCEPT_CHARACTERS:
        return None
    ranges: list[tuple[MediaType, float]] = []
    for item in _ITEM.findall(accept):
        media_range = parse_media_type(item)
        if media_range is not None:
            parameters = dict(media_range.parameters)
            quality = weight(parameters.pop("q", "1"))
            ranges.append((media_range._replace(parameters=parameters), quality))
    best: ExpositionFormat | None = None
    best_quality = _quality(default, ranges)
    for candidate in formats:
        quality = _quality(candidate.media_type, ranges)
        if quality > best_quality:
            best, best_quality = candidate, quality
    return best


def _quality(text: str, ranges: list[tuple[MediaType, float]]) -> float:
    media_type = parse_media_type(text)
    found: tuple[int, int] | None = None
    quality = 0.0
    if media_type is not None:
        for media_range, its_quality in ranges:
            exactness = media_range.covers(media_type)
            if exactness is not None and (found is None or exactness > found):
                found, quality = exactness, its_quality
    return quality
