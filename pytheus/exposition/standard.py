"""The formats that every scrape can use, whatever the registry.

Each is a `NegotiatedFormat`, as that of a plugin is. In addition a collection can carry it out in several threads, one
collector after the other, because it is an encoder of `pytheus.exposition.walk`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Never, TypeAlias

from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.text import CONTENT_TYPE, begin_walk
from pytheus.exposition.walk import Walk, keep_memory
from pytheus.registry.contract import Registry
from pytheus.registry.traversal import FailedSeries

__all__ = ["PROTOBUF", "STANDARD_FORMATS", "TEXT", "AnyWalk", "StandardFormat", "encoded"]

# Large enough for a send of its own.
_PART_SIZE: Final = 256 * 1024

# Any: str or bytes, by the format; no part of one format reaches another one.
AnyWalk: TypeAlias = Walk[Never, Any]


class StandardFormat:
    """A format of pytheus. `media_type` is compared with ``Accept``, and `answer` begins ``Content-Type``."""

    __slots__ = ("__weakref__", "_answer", "_begin", "media_type")

    def __init__(self, media_type: str, answer: str, begin: Callable[[Registry, RenderRequest], AnyWalk]) -> None:
        self.media_type: Final = media_type
        self._answer: Final = answer
        self._begin: Final = begin

    def content_type(self, request: RenderRequest, /) -> str:
        """Return the value of ``Content-Type``, which names the escaping unless it is "underscores"."""
        return self._answer if request.escaping == "underscores" else f"{self._answer}; escaping={request.escaping}"

    def begin(self, registry: Registry, request: RenderRequest) -> AnyWalk:
        """Return a scrape that several threads can encode; see `Walk`."""
        return self._begin(registry, request)

    def joined(self, parts: Iterable[Any]) -> list[bytes]:
        """Return the parts of all collectors, in the order of the registry, as the body, in parts."""
        return encoded(parts)

    def render(self, registry: Registry, request: RenderRequest, /) -> list[bytes]:
        """Return the exposition of `registry`, in parts. Raises the errors of `Walk`."""
        parts: list[Any] = []
        with FailedSeries() as failed:
            walk = self.begin(registry, request)
            walk.encode(zip(walk.collectors, walk.definitions, strict=True), parts, failed)
        parts += walk.encode_end()
        return self.joined(parts)

    def __repr__(self) -> str:
        return f"<{self.media_type}>"


def encoded(parts: Iterable[str | bytes]) -> list[bytes]:
    """Return `parts`, all str or all bytes, as bytes, with several short ones in one part; text as UTF-8."""
    merged: list[bytes] = []
    gathered: list[Any] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= _PART_SIZE:
            merged.append(_joined(gathered))
            gathered = []
            size = 0
    merged.append(_joined(gathered))
    keep_memory(sum(map(len, merged)))
    return merged


def _joined(parts: list[Any]) -> bytes:
    if parts and isinstance(parts[0], bytes):
        return b"".join(parts)
    return "".join(parts).encode("utf-8")


TEXT: Final = StandardFormat(CONTENT_TYPE, CONTENT_TYPE, begin_walk)
"""The text format, version 0.0.4, which is the default."""

# Version 1.0.0 has the same grammar and adds quoted names; no client rejects them under the older version.
_TEXT_1: Final = StandardFormat("text/plain; version=1.0.0; charset=utf-8", CONTENT_TYPE, begin_walk)


def _begin_openmetrics(registry: Registry, request: RenderRequest) -> AnyWalk:
    from pytheus.exposition.openmetrics import begin_walk

    return begin_walk(registry, request)


def _begin_protobuf(registry: Registry, request: RenderRequest) -> AnyWalk:
    from pytheus.exposition.protobuf import begin_walk

    return begin_walk(registry, request)


_OPENMETRICS: Final = "application/openmetrics-text; version={}; charset=utf-8"
_PROTOBUF: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

PROTOBUF: Final = StandardFormat(_PROTOBUF, _PROTOBUF, _begin_protobuf)
"""The protobuf format, which alone has native histograms."""

STANDARD_FORMATS: Final = (
    TEXT,
    _TEXT_1,
    StandardFormat(_OPENMETRICS.format("1.0.0"), _OPENMETRICS.format("1.0.0"), _begin_openmetrics),
    # The draft before 1.0.0, which all versions of Prometheus name as well. Their parser is the same for both.
    StandardFormat(_OPENMETRICS.format("0.0.1"), _OPENMETRICS.format("0.0.1"), _begin_openmetrics),
    PROTOBUF,
)
"""All of them; of several that a client prefers equally, the first is used."""
