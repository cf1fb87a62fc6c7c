"""The metrics of a registry as bytes, within a limit of time.

Rules:

- Collectors run as in a scrape over HTTP: one that hangs is left out at the deadline, and counted as failed.
- The times of samples are left out for a Pushgateway and node_exporter, because both refuse everything for one of them.
- Text, because every receiver reads it, unless there are native histograms, which only protobuf has.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.formats import RenderRequest, render
from pytheus.exposition.respond import collect_within
from pytheus.exposition.response import Choice, servable
from pytheus.exposition.standard import PROTOBUF, TEXT, AnyWalk, StandardFormat
from pytheus.exposition.text import TextEncoder, begin_walk
from pytheus.exposition.walk import Walk
from pytheus.names import shown
from pytheus.registry.contract import Registry

__all__ = ["PushFormat", "Rendered", "rendered"]

PushFormat: TypeAlias = Literal["auto", "text", "protobuf"]
"""The format to push: "auto" is text, or protobuf if there are native histograms."""


class Rendered(NamedTuple):
    """An exposition, and its media type."""

    body: bytes
    content_type: str


def rendered(
    registry: Registry,
    seconds: float,
    format: PushFormat = "auto",
    also: Registry | None = None,
    *,
    times: bool = False,
) -> Rendered:
    """Return the metrics of `registry` after at most `seconds`; those of `also`, which has no foreign code, come first.

    With `times`, samples have the times that their collectors give them. Raises `PushError` if they cannot be
    collected, and `NotARegistryError`. The error of the registry is logged.
    """
    if format not in get_args(PushFormat):
        raise InvalidReceiverError(f"format is auto, text or protobuf but got {shown(format)}")
    chosen = _Chosen(format, times)
    itself = StandardFormat("x-pytheus/push", "x-pytheus/push", chosen.begin)  # never sent
    response = collect_within(servable(registry), Choice(itself), seconds)
    if response.status != 200:
        reason = response.body.decode().strip()
        raise PushError(f"nothing was sent, because {reason}", reason="collection")
    body = response.body
    if also is not None:
        body = b"".join([*render(chosen.format, also, RenderRequest()), body])
    return Rendered(body, chosen.format.media_type)


class _Chosen:
    """The format of one collection, which is chosen when the definitions are known."""

    def __init__(self, format: PushFormat, times: bool) -> None:
        self._wanted: Final = format
        self._has_times: Final = times
        self.format = TEXT

    def begin(self, registry: Registry, request: RenderRequest) -> AnyWalk:
        if self._wanted != "protobuf":
            encoder = TextEncoder(request) if self._has_times else _TimelessText(request)
            walk = begin_walk(registry, request, encoder)
            definitions = walk.definitions
            if self._wanted == "text" or all(each is None or each.native is None for each in definitions):
                return walk
        self.format = PROTOBUF
        if self._has_times:
            return PROTOBUF.begin(registry, request)
        return _timeless_protobuf(registry, request)


class _TimelessText(TextEncoder):
    """Encodes samples without their times."""

    __slots__ = ()

    def encode_family(self, family: CheckedFamily, /) -> str:
        return super().encode_family(_timeless(family))


def _timeless_protobuf(registry: Registry, request: RenderRequest) -> AnyWalk:
    from pytheus.exposition.protobuf import ProtobufEncoder

    class Timeless(ProtobufEncoder):
        __slots__ = ()

        def encode_family(self, family: CheckedFamily, /) -> bytes:
            return super().encode_family(_timeless(family))

    return Walk(registry, Timeless(request), request)


def _timeless(family: CheckedFamily) -> CheckedFamily:
    if all(sample.timestamp is None for sample in family.samples):
        return family
    return family._replace(samples=[sample._replace(timestamp=None) for sample in family.samples])
