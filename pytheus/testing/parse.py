"""The parser of every format that pytheus exposes, for tests and tools.

It shares no code with the encoders of the formats, so that it can serve as an independent check.
"""

from __future__ import annotations

from pytheus.testing.parsed import ParsedFamily, ParsedSample

__all__ = ["ParsedFamily", "ParsedSample", "parse_exposition"]

_TEXT = ("text/plain", "")
_OPENMETRICS = "application/openmetrics-text"
_PROTOBUF = "application/vnd.google.protobuf"


def parse_exposition(
    text: str | bytes, content_type: str = "text/plain", *, strict: bool = True
) -> dict[str, ParsedFamily]:
    """Return the families of an exposition, by name, in order; bytes of a text are UTF-8.

        >>> families = parse_exposition('# TYPE hits_total counter\\nhits_total{path="/"} 3.0\\n')
        >>> print(families["hits_total"].samples[0])
        hits_total{path='/'} 3

    `content_type` is that of the response: ``text/plain``, ``application/openmetrics-text``, whose families have units
    and whose samples have exemplars, or ``application/vnd.google.protobuf``, which has native histograms, too:

        >>> text = '# TYPE hits counter\\nhits_total 3.0 # {trace_id="4bf92f35"} 1.0\\n# EOF\\n'
        >>> parse_exposition(text, "application/openmetrics-text; version=1.0.0")["hits"].samples[0].exemplar
        Exemplar(labels={'trace_id': '4bf92f35'}, value=1.0, timestamp=None)

    Raises `ValueError` for an exposition that the format does not allow, with the number of the line or the byte, and
    for errors of a registry: a family or a series that occurs twice, a sample outside of its family, and in
    OpenMetrics a histogram whose buckets do not add up. Also for another `content_type`.

    With ``strict=False`` it reads all that Prometheus reads, as other programs expose it: samples without a type, whose
    type is then "untyped", families in several places, additional white space, and errors of a registry.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == _PROTOBUF:
        from pytheus.testing.parse_protobuf import parse_protobuf

        if isinstance(text, str):
            raise ValueError("an exposition in protobuf is bytes, but parse_exposition got text")
        return parse_protobuf(text, strict=strict)
    if media_type not in (*_TEXT, _OPENMETRICS):
        raise ValueError(
            f"parse_exposition reads text/plain, {_OPENMETRICS} and {_PROTOBUF} but got {content_type!r:.200}"
        )
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if not strict:
        from pytheus.testing.parse_leniently import parse_leniently

        return parse_leniently(text, is_openmetrics=media_type == _OPENMETRICS)
    from pytheus.testing.parse_text import OpenMetricsParser, TextParser

    return (OpenMetricsParser() if media_type == _OPENMETRICS else TextParser()).parse(text)
