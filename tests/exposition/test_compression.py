"""The codings of responses, and the libraries that compress."""

from __future__ import annotations

import gzip
import importlib
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from pytheus.exposition import compression
from pytheus.exposition.compression import (
    DecompressionError,
    accepted_codings,
    best_coding,
    compressed,
    decompressed,
)
from pytheus.exposition.respond import answer_scrape
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import add_queues

_GZIP = ["isal.isal_zlib", "zlib_ng.zlib_ng", "zlib"]
_ZSTD = ["compression.zstd", "backports.zstd", "zstandard"]
_BODY = [b"orders_total 1.0\n" * 1000, b"", b"carts 2.0\n" * 1000]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The libraries are looked for again."""
    compression._gzip.cache_clear()
    compression._zstd.cache_clear()
    yield
    compression._gzip.cache_clear()
    compression._zstd.cache_clear()


def only(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the library `name` be the only one; skip the test if it is not installed."""
    library = pytest.importorskip(name)
    for other in _GZIP + _ZSTD:
        if other != name and (name in _ZSTD or other in _GZIP[:2]):
            monkeypatch.setitem(sys.modules, other, None)
    return library


@pytest.mark.parametrize("name", _GZIP)
def test_each_library_makes_gzip(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = only(name, monkeypatch)
    used = []
    compressobj = library.compressobj

    def watched(*args: Any, **options: Any) -> Any:
        used.append(args)
        return compressobj(*args, **options)

    monkeypatch.setattr(library, "compressobj", watched)

    packed = b"".join(compressed(_BODY, "gzip"))

    assert used == [(1,)]
    assert gzip.decompress(packed) == b"".join(_BODY)
    assert len(packed) < len(b"".join(_BODY)) / 10


@pytest.mark.parametrize("name", _ZSTD)
def test_each_library_makes_zstd(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = only(name, monkeypatch)
    assert best_coding("gzip;q=0.5, zstd") == "zstd"

    packed = b"".join(compressed(_BODY, "zstd"))

    if name == "zstandard":
        plain = library.ZstdDecompressor().decompressobj().decompress(packed)
    else:
        plain = library.decompress(packed)
    assert plain == b"".join(_BODY)


def test_without_a_library_no_client_gets_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _ZSTD:
        monkeypatch.setitem(sys.modules, name, None)
    assert best_coding("zstd") == ""
    assert best_coding("zstd, gzip;q=0.1") == "gzip"


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("zstd, gzip", "gzip"),
        ("zstd", "zstd"),
        ("ZSTD;q=0.2, gzip;q=0.1", "zstd"),
        ("zstd;q=0.2, *;q=0.1", "zstd"),
        ("zstd;q=0.5, gzip;q=0.6", "gzip"),
        ("zstd;q=0.5, identity", ""),
        ("zstd;q=0", ""),
        ("*", "gzip"),
        ("deflate", ""),
    ],
)
def test_the_coding_that_a_client_prefers(accept_encoding: str, coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_zstd", lambda: zlib.compressobj)
    assert best_coding(accept_encoding) == coding


def test_a_client_gets_zstd() -> None:
    library = next((name for name in _ZSTD[:2] if _is_installed(name)), None)
    if library is None:
        pytest.skip("no library has zstd")
    registry = CollectorRegistry()
    add_queues(registry)

    response = answer_scrape(registry, "GET", accept_encoding="gzip;q=0.5, zstd;q=1.0")

    assert ("Content-Encoding", "zstd") in response.headers
    assert ("Content-Length", str(len(response.body))) in response.headers
    plain = answer_scrape(registry, "GET").body
    assert importlib.import_module(library).decompress(response.body) == plain


def _is_installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


# The client's side ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zlib", *_ZSTD])
def test_each_library_undoes_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(name, monkeypatch)
    coding = "gzip" if name == "zlib" else "zstd"
    body, packed = b"".join(_BODY), b"".join(compressed(_BODY, coding))

    assert coding in accepted_codings()
    assert decompressed(packed, coding, len(body)) == body
    assert decompressed(packed * 2, coding.upper(), 2 * len(body)) == body * 2
    for damaged, limit, message in (
        (packed, len(body) - 1, f"more than {len(body) - 1} bytes"),
        (packed[:-3], len(body), "ends too early"),
        (packed + b"other", 2 * len(body), "is not in the coding|ends too early"),
        (b"other" * 9, len(body), "is not in the coding"),
    ):
        with pytest.raises(DecompressionError, match=message):
            decompressed(damaged, coding, limit)


def test_zlib_is_read_and_other_codings_are_refused() -> None:
    assert decompressed(zlib.compress(b"a 1\n"), "deflate", 100) == b"a 1\n"
    assert decompressed(b"a 1\n", "identity", 100) == decompressed(b"a 1\n", "", 100) == b"a 1\n"
    with pytest.raises(DecompressionError, match="the coding 'br' is not supported"):
        decompressed(b"", "br", 100)


def test_without_zstd_it_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _ZSTD:
        monkeypatch.setitem(sys.modules, name, None)
    assert accepted_codings() == "gzip"
    with pytest.raises(DecompressionError, match="not supported; expected gzip"):
        decompressed(b"", "zstd", 100)
