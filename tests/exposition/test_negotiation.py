"""Which format a client would like best."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.escaping import ESCAPINGS
from pytheus.exposition.negotiation import MAX_ACCEPT_CHARACTERS, negotiate, parse_media_type
from pytheus.exposition.text import CONTENT_TYPE
from pytheus.registry import Registry

# What Prometheus 3 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


class Format:
    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    def render(self, registry: Registry, /) -> Iterable[bytes]:
        return ()


def chosen(accept: str, *media_types: str) -> str | None:
    media_type = negotiate(accept, map(Format, (CONTENT_TYPE, *media_types))).format.media_type
    return None if media_type == CONTENT_TYPE else media_type


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "text/*",
        "image/png",
        "application/openmetrics-text; version=0.0.1",  # another version than is offered
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.5, text/plain;q=0.5",
        "application/openmetrics-text;q=0.5, */*;q=0.8",
        "application/*;q=0.3, text/plain;version=0.0.4;q=0.4",
        "application/openmetrics-text;q=1.5",  # an invalid weight
        "application/openmetrics-text;q=",
        "application openmetrics-text",
        '"application/openmetrics-text"',
    ],
)
def test_text_it_is(accept: str) -> None:
    assert chosen(accept, OPENMETRICS) is None


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS,
        "application/openmetrics-text",
        "APPLICATION/OpenMetrics-Text; Version=1.0.0",
        'application/openmetrics-text; version="1.0.0"',
        "application/openmetrics-text;charset=UTF-8",
        "application/*",
        "application/openmetrics-text;q=0.5, text/plain;q=0.4",
        "text/plain;q=0.9, application/openmetrics-text",
        "*/*, text/plain;q=0.9",
        "*/*;q=0.5, text/*;q=0.1",
        "text/plain;version=1.0.0, application/openmetrics-text;q=0.1",
        "application/openmetrics-text;q=0.001",
        'image/x; a="b, application/*;q=0", application/openmetrics-text',
    ],
)
def test_the_other_format_it_is(accept: str) -> None:
    assert chosen(accept, OPENMETRICS) == OPENMETRICS


@pytest.mark.parametrize(
    ("accept", "offered", "best"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.1, */*;q=0.9", [OPENMETRICS], None),
        ("*/*;q=0.9, application/openmetrics-text;q=1, text/*;q=0.95", [OPENMETRICS], OPENMETRICS),
        (f"{PROTOBUF.replace(' ', '')};q=0.7,{PROMETHEUS}", [OPENMETRICS, PROTOBUF], PROTOBUF),
        ("application/*", [OPENMETRICS, PROTOBUF], OPENMETRICS),
        ("application/*", [PROTOBUF, OPENMETRICS], PROTOBUF),
    ],
    ids=["exact range first", "exact range later", "most weight", "first of equals", "first of equals, other order"],
)
def test_the_most_exact_range_then_the_weight_then_the_order_decide(
    accept: str, offered: list[str], best: str | None
) -> None:
    assert chosen(accept, *offered) == best


TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
OPENMETRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"
STANDARD = [CONTENT_TYPE, TEXT_1, OPENMETRICS, OPENMETRICS_0, PROTOBUF]

_PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
_OM = "application/openmetrics-text;version="

# What servers send, recorded from real scrapes.
SERVERS = {
    "Prometheus 3": (PROMETHEUS, OPENMETRICS, "allow-utf-8"),
    "Prometheus 3, protobuf first": (
        f"{_PROTO};q=0.6,{_OM}1.0.0;escaping=allow-utf-8;q=0.5,{_OM}0.0.1;q=0.4,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        PROTOBUF,
        "allow-utf-8",
    ),
    "Prometheus 3, legacy names, protobuf first": (
        f"{_PROTO};q=0.6,{_OM}1.0.0;escaping=underscores;q=0.5,{_OM}0.0.1;q=0.4,"
        "text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        PROTOBUF,
        "underscores",
    ),
    "Prometheus 3, text 0.0.4": ("text/plain;version=0.0.4;q=0.6,*/*;q=0.5", CONTENT_TYPE, "underscores"),
    "Prometheus 3, text 1.0.0": (
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5",
        TEXT_1,
        "allow-utf-8",
    ),
    "Prometheus 3, text 1.0.0, dots": ("text/plain;version=1.0.0;escaping=dots;q=0.6,*/*;q=0.5", TEXT_1, "dots"),
    "Prometheus 3, OpenMetrics 0.0.1": (f"{_OM}0.0.1;q=0.6,*/*;q=0.5", OPENMETRICS_0, "underscores"),
    "Prometheus 2.53, protobuf first": (
        f"{_PROTO};q=0.5,{_OM}1.0.0;q=0.4,{_OM}0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        PROTOBUF,
        "underscores",
    ),
    "Prometheus 2.53": (
        f"{_OM}1.0.0;q=0.5,{_OM}0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPENMETRICS,
        "underscores",
    ),
    "Prometheus 2.42, protobuf first": (
        f"{_PROTO},{_OM}1.0.0;q=0.8,{_OM}0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        PROTOBUF,
        "underscores",
    ),
    "Prometheus 2.42": (
        f"{_OM}1.0.0,{_OM}0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPENMETRICS,
        "underscores",
    ),
    "Firefox": (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        CONTENT_TYPE,
        "underscores",
    ),
    "curl": ("*/*", CONTENT_TYPE, "underscores"),
    "nothing": ("", CONTENT_TYPE, "underscores"),
}


@pytest.mark.parametrize(("accept", "media_type", "escaping"), SERVERS.values(), ids=SERVERS)
def test_each_client_gets_what_it_asks_for_first(accept: str, media_type: str, escaping: str) -> None:
    negotiated = negotiate(accept, map(Format, STANDARD))
    assert (negotiated.format.media_type, negotiated.escaping) == (media_type, escaping)


@pytest.mark.parametrize(
    ("accept", "media_type", "escaping"),
    [
        ("application/openmetrics-text", OPENMETRICS, "underscores"),
        ("application/openmetrics-text;escaping=values", OPENMETRICS, "values"),
        ("application/openmetrics-text;escaping=ALLOW-UTF-8", OPENMETRICS, "allow-utf-8"),
        ("application/openmetrics-text;escaping=wat", OPENMETRICS, "underscores"),
        ("application/openmetrics-text;version=2.0.0", CONTENT_TYPE, "underscores"),
        (f"{_OM}2.0.0;escaping=allow-utf-8;q=0.9,{_OM}1.0.0;q=0.5", OPENMETRICS, "underscores"),
        ("application/openmetrics-text;proto=x;anything=else", OPENMETRICS, "underscores"),
        ("text/plain;version=1.0.0", TEXT_1, "underscores"),
        ("text/plain;escaping=allow-utf-8", CONTENT_TYPE, "allow-utf-8"),
        ("text/*;q=0.5;escaping=dots", CONTENT_TYPE, "dots"),
        (_PROTO + ";escaping=dots, */*;q=0.1;escaping=allow-utf-8", PROTOBUF, "dots"),
        (_PROTO + ", text/plain;q=0;escaping=allow-utf-8", PROTOBUF, "underscores"),
        (_PROTO.replace("delimited", "text"), CONTENT_TYPE, "underscores"),
        ("image/png;escaping=allow-utf-8", CONTENT_TYPE, "underscores"),
        ("text/plain;q=0, */*", OPENMETRICS, "underscores"),
    ],
)
def test_the_range_that_decides_has_the_escaping(accept: str, media_type: str, escaping: str) -> None:
    negotiated = negotiate(accept, map(Format, STANDARD))
    assert (negotiated.format.media_type, negotiated.escaping) == (media_type, escaping)


@pytest.mark.parametrize(
    "text",
    ["", "text", "text/", "/plain", "text/plain; version", "text/plain, x", "text/plain;=1", 'text/plain; a="\n"'],
)
def test_what_is_no_media_type_is_none(text: str) -> None:
    assert parse_media_type(text) is None


def test_an_endless_accept_is_not_taken_apart() -> None:
    wanted = "application/openmetrics-text"
    assert chosen(wanted + " " * (MAX_ACCEPT_CHARACTERS - len(wanted)), OPENMETRICS) == OPENMETRICS
    assert chosen(wanted + " " * MAX_ACCEPT_CHARACTERS, OPENMETRICS) is None


def test_a_quoted_parameter_is_unquoted() -> None:
    parsed = parse_media_type(r'text/plain; a="x\"y"; ; b=1')
    assert parsed is not None
    assert parsed.parameters == {"a": 'x"y', "b": "1"}


_RANGES = st.sampled_from(
    ["text/plain", "text/*", "*/*", "application/openmetrics-text", _PROTO, "image/png", "application/*", '"x"', ""]
)
_PARAMETERS = st.sampled_from(
    [
        "q=0",
        "q=0.5",
        "q=1",
        "q=2",
        "version=1.0.0",
        "version=0.0.4",
        "escaping=dots",
        "escaping=allow-utf-8",
        "escaping=x",
    ]
)
_ITEMS = st.builds(lambda media_range, parameters: ";".join([media_range, *parameters]), _RANGES, st.lists(_PARAMETERS))


@pytest.mark.property
@given(accept=st.one_of(st.text(), st.lists(_ITEMS).map(",".join)))
def test_any_accept_gets_one_of_the_formats(accept: str) -> None:
    formats = list(map(Format, STANDARD))
    chosen, escaping = negotiate(accept, formats)
    assert chosen in formats
    assert escaping in ESCAPINGS
    assert escaping == "underscores" or escaping in accept
