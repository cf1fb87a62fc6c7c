"""The compression of responses: which coding a client prefers, and the libraries that do it.

Rules:

- gzip is always available. isal and zlib-ng take a fraction of zlib's time, and are used where they are installed
  (`pip install pytheus[gzip]`). The level is the lowest, because metrics are nearly as small as at higher ones.
- zstd needs Python 3.14, or the library backports.zstd or zstandard (`pip install pytheus[zstd]`). It is used for
  clients that prefer it to gzip.
- A library is imported when a body is compressed with it for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, Protocol

__all__ = ["best_coding", "compressed"]


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


# https://docs.python.org/3/library/zlib.html#zlib.compressobj: with a gzip header and trailer
_GZIP_WBITS: Final = 31

_GZIP_LIBRARIES: Final = ("isal.isal_zlib", "zlib_ng.zlib_ng", "zlib")
_ZSTD_LIBRARIES: Final = ("compression.zstd", "backports.zstd", "zstandard")


def best_coding(accept_encoding: str) -> str:
    """Return the coding that a client prefers: "gzip", "zstd", or "" for none.

    `accept_encoding` is the client's header ``Accept-Encoding``, read by RFC 9110 section 12.5.3. Of two that it
    prefers equally, gzip, which every client supports that asks for it.
    """
    if not accept_encoding:
        return ""
    weights: dict[str, float] = {}
    for item in accept_encoding.split(","):
        coding, semicolon, parameter = item.partition(";")
        weights[coding.strip().lower()] = _weight(parameter) if semicolon else 1.0
    # "x-gzip" is the same coding under an older name (RFC 9110 section 8.4.1.3).
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    zstd = weights.get("zstd", 0.0)
    identity = weights.get("identity", 0.0)
    if zstd > gzip and zstd >= identity and _zstd() is not None:
        return "zstd"
    return "gzip" if gzip > 0 and gzip >= identity else ""


def compressed(parts: Iterable[bytes], coding: str) -> list[bytes]:
    """Return `parts` in the `coding` that `best_coding` chose, in one part."""
    make = _zstd() if coding == "zstd" else _gzip()
    assert make is not None  # because `best_coding` found it
    compressor = make()
    return [b"".join([*map(compressor.compress, parts), compressor.flush()])]


def _weight(parameter: str) -> float:
    # An invalid weight counts as "not acceptable", because every client can read an uncompressed body.
    from pytheus.exposition.negotiation import weight

    name, _, value = parameter.strip(" \t").partition("=")
    return weight(value) if name.lower() == "q" else 0.0


@lru_cache(None)
def _gzip() -> Callable[[], _Compressor]:
    library: Any = _first(_GZIP_LIBRARIES)  # Any, because two of the three are optional
    return lambda: library.compressobj(1, wbits=_GZIP_WBITS)


@lru_cache(None)
def _zstd() -> Callable[[], _Compressor] | None:
    library: Any = _first(_ZSTD_LIBRARIES)
    if library is None:
        return None
    if library.__name__ == "zstandard":
        return lambda: library.ZstdCompressor(level=1).compressobj()
    return lambda: library.ZstdCompressor(level=1)


def _first(names: tuple[str, ...]) -> object:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            pass  # not installed, or not for this interpreter
    return None
