"""The parser of request heads beside h11's, on generated and mutated heads.

Where ours accepts a head, h11 accepts it with the same method, target and headers. Where h11 accepts one that ours
refuses, the reason is in `refusal_is_stated`: ours is stricter there on purpose.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytheus.exposition.http1 import HEAD_END, BadRequestError, HeadReader, Request, parse_head

pytestmark = pytest.mark.property

_TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
_UNRESERVED = string.ascii_letters + string.digits + "-._~"
_REG_NAME = _UNRESERVED + "!$&'()*+,;="
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_VALUE = _VISIBLE + " \t" + "".join(map(chr, range(0x80, 0x100)))

tokens = st.text(_TOKEN, min_size=1, max_size=8)
# Signs that browsers and curl encode in a target, and ours refuses.
_ENCODED = '"#<>'
_TARGET = "".join(sorted(set(_VISIBLE) - set(_ENCODED)))

targets = st.sampled_from(["/metrics", "/", "*", "http://shop:80/m?x", "shop:443", "[::1]:80", "urn:shop"]) | st.builds(
    "{}{}".format, st.sampled_from(["/", "http://", "http://shop?"]), st.text(_TARGET)
)
hosts = st.builds(
    "{}{}".format,
    st.sampled_from(["", "shop", "10.0.0.1", "[::1]", "[fe80::1%25eth0]", "a%2Db"]) | st.text(_REG_NAME, max_size=8),
    st.sampled_from(["", ":", ":80"]),
)
names = st.sampled_from(["Accept", "accept-encoding", "X-Scrape", "Connection", "Expect", "Upgrade"]) | tokens
values = st.text(_VALUE, max_size=20)
framing = st.sampled_from(
    ["Content-Length: 0", "content-length: 12", "Content-Length: 7, 7", "Transfer-Encoding: Chunked", "TE: trailers"]
)


@st.composite
def well_formed(draw: st.DrawFn) -> bytes:
    """A head that follows RFC 9112, with the empty line after it."""
    lines = [f"{draw(tokens)} {draw(targets)} HTTP/1.{draw(st.sampled_from('01'))}"]
    given_names = [name for name in draw(st.lists(names, max_size=4)) if name.lower() not in _FRAMING_NAMES]
    fields = [f"{name}:{draw(st.sampled_from(['', ' ', chr(9)]))}{draw(values)}" for name in given_names]
    fields.append(f"Host: {draw(hosts)}")
    fields += draw(st.lists(framing, max_size=1))
    lines += draw(st.permutations(fields))
    end = draw(st.sampled_from(["\r\n", "\n"]))
    return (end.join(lines) + end + end).encode("latin-1")


_FRAMING_NAMES = ("host", "content-length", "transfer-encoding")

# Bytes and lines on which parsers disagree.
_PIECES = (
    [bytes([byte]) for byte in b'\x00\x01\t\n\x0b\r !",:/\x7f\x80\xff09Hh']
    + [b"#", b"<", b"?", b"@", b"[", b"]", b"%", b"\\", b"|"]
    + [b"\r\n", b"\r\n ", b"\n\t", b"\r\r\n", b"Host: b\r\n", b"host:\n", b" HTTP/1.1", b"HTTP/2.0", b"HTTP/1.2"]
    + [b"Content-Length: 1\r\n", b"Content-Length: +1\r\n", b"Content-Length: 1,2\r\n", b"Content-Length: 0x1\r\n"]
    + [b"Content-Length: " + b"1" * 21 + b"\r\n", b"Content-Length:\r\n", b"Content-Length: 1,\r\n"]
    + [b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: chunked, chunked\n"]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A well-formed head with up to four pieces put in, taken out or replaced."""
    head = draw(well_formed())
    for _ in range(draw(st.integers(0, 4))):
        # Half of the pieces go to the beginning of a line.
        starts = [0, *(index + 1 for index, byte in enumerate(head) if byte == 0x0A)]
        at = draw(st.integers(0, len(head)) | st.sampled_from(starts))
        removed = draw(st.integers(0, 3))
        head = head[:at] + draw(st.sampled_from(_PIECES) | st.just(b"")) + head[at + removed :]
    # An empty line before the request is not part of the head: RFC 9112 section 2.2 has a server ignore it.
    return head.lstrip(b"\r\n") + b"\r\n\r\n"


def ours(data: bytes) -> Request:
    end = HEAD_END.search(data)
    assert end is not None
    return parse_head(data[: end.start()])


def theirs(data: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event


def joined(request: h11.Request) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def normal(fields: Mapping[str, str]) -> Mapping[str, str]:
    """Headers as h11 has them: equal lengths are one, and the coding is in lower case."""
    normalized = dict(fields)
    if "content-length" in normalized:
        normalized["content-length"] = normalized["content-length"].partition(",")[0].strip(" \t")
    if "transfer-encoding" in normalized:
        normalized["transfer-encoding"] = normalized["transfer-encoding"].lower()
    return normalized


def assert_same(request: Request, oracle: h11.Request) -> None:
    assert request.method.encode("latin-1") == oracle.method
    assert request.target.encode("latin-1") == oracle.target
    assert normal(request.fields) == joined(oracle)


def refusal_is_stated(data: bytes, oracle: h11.Request, error: BadRequestError) -> bool:
    end = HEAD_END.search(data)
    assert end is not None
    head = data[: end.start()]
    if not oracle.http_version.startswith(b"1."):
        return error.status == 505  # only HTTP/1.x is supported
    if b"\n " in head or b"\n\t" in head:
        return True  # RFC 9112 section 5.2: a folded line is refused, or joined as h11 does
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for _, value in oracle.headers for byte in value):
        return True  # RFC 9110 section 5.5: control characters are invalid in values
    if not is_target(oracle.target.decode("ascii")) or not is_host(joined(oracle).get("host", "")):
        return error.status == 400  # RFC 9112 section 3.2
    # RFC 9110 section 2.5: a later minor version is handled like HTTP/1.1, which requires Host
    return oracle.http_version > b"1.1" and "host" not in joined(oracle)


def is_target(target: str) -> bool:
    """Whether it has one of the four forms, apart from signs that browsers and curl do not encode."""
    if any(sign in target for sign in _ENCODED):
        return False
    scheme, colon, rest = target.partition(":")
    is_absolute = bool(colon and rest) and scheme[:1].isalpha() and all(c.isalnum() or c in "+.-" for c in scheme)
    has_port = target.rpartition(":")[2].isdigit() and ":" in target
    return target.startswith("/") or target == "*" or is_absolute or (is_host(target) and has_port)


def is_host(value: str) -> bool:
    """Whether it is a host, optionally with a port, read from the left."""
    if value.startswith("["):
        inside, bracket, rest = value[1:].partition("]")
        address, percent, zone = inside.partition("%")
        if inside[:1] in "vV" and inside:
            version, dot, name = inside[1:].partition(".")
            is_literal = bool(dot and name) and set(version) <= set(string.hexdigits) and bool(version)
            is_literal = is_literal and set(name) <= set(_REG_NAME + ":")
        else:
            is_literal = bool(address) and set(address) <= set(string.hexdigits + ":.")
            is_literal = is_literal and bool(zone) is bool(percent) and set(zone) <= set(_UNRESERVED + "%")
        return bool(bracket) and is_literal and (not rest or (rest[0] == ":" and set(rest[1:]) <= set(string.digits)))
    name, _, port = value.partition(":")
    first, *encoded = name.split("%")
    is_name = set(first) <= set(_REG_NAME) and all(
        len(each) >= 2 and set(each[:2]) <= set(string.hexdigits) and set(each[2:]) <= set(_REG_NAME)
        for each in encoded
    )
    return is_name and set(port) <= set(string.digits)


@given(well_formed())
def test_both_accept_a_well_formed_head_with_the_same_result(data: bytes) -> None:
    assert_same(ours(data), theirs(data))


@given(mutated())
@example(b"GET / HTTP/1.1\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n")
@example(b"GET / HTTP/3.0\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.2\r\n\r\n")
@example(b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")
@example(b"GET /metrics#x HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"GET metrics HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n")
def test_neither_accepts_a_head_that_the_other_refuses_without_a_stated_reason(data: bytes) -> None:
    assert_agreement(data)


@pytest.mark.once  # the tests around it try some of the same, with every interpreter and build
@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=10_000)
@given(mutated())
def test_neither_does_in_a_long_sweep(data: bytes) -> None:
    assert_agreement(data)


def assert_agreement(data: bytes) -> None:
    """Both give the same request, or both refuse it, or the reason why only ours does is a stated one."""
    try:
        request = ours(data)
    except BadRequestError as error:
        try:
            oracle = theirs(data)
        except h11.RemoteProtocolError:
            return
        assert refusal_is_stated(data, oracle, error), str(error)
    else:
        assert_same(request, theirs(data))


@given(st.sampled_from([b"", b"\r\n", b"\n\r\n"]), mutated(), st.binary(max_size=5), st.lists(st.integers(1, 40)))
@example(b"\r\n", b"GET / HTTP/1.0\r\n\r\n", b"", [1] * 20)
@example(b"", b"GET / HTTP/1.0\r\n" + b"A: b\r\n" * 4000 + b"\r\n", b"", [16_384, 1, 1, 1])
def test_it_makes_no_difference_in_which_pieces_a_head_arrives(
    before: bytes, data: bytes, after: bytes, sizes: list[int]
) -> None:
    arriving = before + data + after
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(arriving[:size])
        arriving = arriving[size:]

    assert _read([*pieces, arriving]) == _read([before + data + after])


def _read(pieces: list[bytes]) -> Request | str:
    reader = HeadReader()
    for piece in pieces:
        try:
            request = reader.feed(piece)
        except BadRequestError as error:
            return str(error)
        if request is not None:
            return request
    raise AssertionError("no empty line was found")
