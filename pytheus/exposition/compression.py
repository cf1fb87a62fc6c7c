"""The compression of responses: which coding a client prefers, the libraries that do it, and how a client undoes it.

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

__all__ = ["DecompressionError", "accepted_codings", "best_coding", "compressed", "decompressed"]


class DecompressionError(ValueError):
    """A body is not in the coding that it claims, ends too early, or is too large."""


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


# https://docs.python.org/3/library/zlib.html#zlib.compressobj: with a gzip header and trailer
_GZIP_WBITS: Final = 31

# Of one body; each costs a copy of those after it.
_MEMBERS_AT_MOST: Final = 1000

# Of which zstd makes some megabytes at most.
_ZSTANDARD_BYTES: Final = 256

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


def accepted_codings() -> str:
    """Return the value of ``Accept-Encoding`` for a client that reads a body by `decompressed`."""
    return "gzip" if _zstd() is None else "zstd, gzip"


def decompressed(body: bytes, coding: str, max_bytes: int) -> bytes:
    """Return `body` without its `coding`, the value of ``Content-Encoding``, if that gives at most `max_bytes`.

    Not more than that is ever in memory. Raises `DecompressionError`.

    >>> decompressed(compressed([b"a 1\\n" * 9], "gzip")[0], "gzip", 100) == b"a 1\\n" * 9
    True
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return body
    if name in ("gzip", "x-gzip", "deflate"):
        import zlib

        # 32: with the header of gzip or zlib
        start: Callable[[], Any] = lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # noqa: E731
        errors: type[Exception] = zlib.error
    elif name == "zstd" and _zstd() is not None:
        library: Any = _first(_ZSTD_LIBRARIES)
        if library.__name__ == "zstandard":
            return _read_zstandard(library, body, max_bytes)
        start, errors = library.ZstdDecompressor, library.ZstdError
    else:
        raise DecompressionError(f"the coding {coding!r:.80} is not supported; expected {accepted_codings()}")
    pieces: list[bytes] = []
    left = max_bytes + 1
    for _ in range(_MEMBERS_AT_MOST):
        if not body or left <= 0:
            break
        decompressor = start()
        try:
            piece = decompressor.decompress(body, left)
        except errors as error:
            raise DecompressionError(f"the body is not in the coding {name}: {error}") from error
        pieces.append(piece)
        left -= len(piece)
        if not decompressor.eof and left > 0:
            raise DecompressionError(f"the body in the coding {name} ends too early")
        body = decompressor.unused_data
    else:
        raise DecompressionError(f"the body consists of more than {_MEMBERS_AT_MOST} members in the coding {name}")
    return _bounded(b"".join(pieces), max_bytes)


def _read_zstandard(library: Any, body: bytes, max_bytes: int) -> bytes:
    # Its decompressors have no limit, and its reader does not tell a body that ends too early.
    pieces: list[bytes] = []
    size = 0
    decompressor = library.ZstdDecompressor().decompressobj()
    try:
        for place in range(0, len(body), _ZSTANDARD_BYTES):
            rest = body[place : place + _ZSTANDARD_BYTES]
            while rest and size <= max_bytes:
                if decompressor.eof:
                    decompressor = library.ZstdDecompressor().decompressobj()
                piece = decompressor.decompress(rest)
                rest = decompressor.unused_data
                pieces.append(piece)
                size += len(piece)
    except library.ZstdError as error:
        raise DecompressionError(f"the body is not in the coding zstd: {error}") from error
    if size <= max_bytes and not decompressor.eof:
        raise DecompressionError("the body in the coding zstd ends too early")
    return _bounded(b"".join(pieces), max_bytes)


def _bounded(content: bytes, max_bytes: int) -> bytes:
    if len(content) > max_bytes:
        raise DecompressionError(f"the body has more than {max_bytes} bytes without its compression")
    return content


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
