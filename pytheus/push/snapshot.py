"""The numbers of a registry at one moment, for receivers that take series with a time.

Rules:

- The walk is that of a scrape over HTTP: the same names, prefixes, checks, failures and deadline. A collector that
  takes longer is left out, and its series end.
- The series of a family are in blocks, which never change. A block stays the same object as long as its series are the
  same, so that an encoder can keep the bytes of each series, and a queue of snapshots has little but numbers.
- An exemplar is in the first snapshot that finds it, and in no later one.
- A series that the snapshot before has and this one lacks has ended: one with a name and labels of the text format,
  whatever the family that it belongs to is now.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pytheus.definitions import Definition
from pytheus.escaping import Escaping, escape_name
from pytheus.exceptions import PushError
from pytheus.exposition.checked import CheckedFamily, checked_families
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.respond import collect_within
from pytheus.exposition.response import Choice, servable
from pytheus.exposition.standard import AnyWalk, StandardFormat
from pytheus.exposition.walk import Walk
from pytheus.metrics.metric import Metric
from pytheus.metrics.series_numbers import SeriesNumbers, series_numbers
from pytheus.native_buckets import NativeHistogram
from pytheus.push.readings import Labels, Reading, Shape, of_families, of_numbers, of_rows
from pytheus.registry.capabilities import HasRows
from pytheus.registry.contract import Collector, Registry
from pytheus.samples import Exemplar

__all__ = ["Block", "Measurement", "Snapshot", "SnapshotReader", "TextSeries", "text_series"]

_SECONDS: Final = 10.0  # as Prometheus's scrape_timeout
_NUMBERS_PER_BLOCK: Final = 2048
_LEAST_PER_BLOCK: Final = 16
# Estimates of the memory that a series, a label, an exemplar and a native bucket take, which bound a queue.
_SERIES_BYTES: Final = 160
_LABEL_BYTES: Final = 80
_EXEMPLAR_BYTES: Final = 500
_BUCKET_BYTES: Final = 100


TextSeries: TypeAlias = tuple[str, Labels]
"""The name and labels that identify a series for a receiver: sorted, and without empty ones."""


def text_series(name: str, labels: Labels) -> TextSeries:
    """Return the identity of the series `name` with `labels`."""
    return name, tuple(sorted([label for label in labels if label[1]]))


class Block:
    """Some series of one family. Immutable, and equal to no other.

    `starts` has the start time of each in seconds since the Unix epoch, or 0.0.
    """

    __slots__ = ("series", "shape", "starts")

    def __init__(self, shape: Shape, series: list[Labels], starts: list[float]) -> None:
        self.shape: Final = shape
        self.series: Final = series
        self.starts: Final = starts

    def text_series(self, place: int) -> list[TextSeries]:
        """Return the series of the text format of the one at `place`, and that of its native buckets."""
        shape, labels = self.shape, self.series[place]
        series = shape.text_series(labels)
        if shape.is_native:
            series.append((shape.stem, labels))
        return [text_series(name, labels) for name, labels in series]

    @property
    def size_bytes(self) -> int:
        """About the memory that it takes."""
        return sum([_SERIES_BYTES + _LABEL_BYTES * len(labels) for labels in self.series])


class Measurement(NamedTuple):
    """The numbers of a block at one moment: for each series those that `Shape` tells.

    `exemplars` are by the places of the series and of the number that they belong to, -1 for native buckets. `natives`
    is empty or has the native buckets of each series. `times` has that of each series, in seconds, if they differ from
    the snapshot's, as the shape says.
    """

    block: Block
    numbers: array[float]
    exemplars: tuple[tuple[int, int, Exemplar], ...] = ()
    natives: tuple[NativeHistogram | None, ...] = ()
    times: tuple[float, ...] = ()

    @property
    def samples(self) -> int:
        """The number of numbers and native histograms in it."""
        shape = self.block.shape
        natives = sum([native is not None for native in self.natives])
        return natives if shape.is_native and not shape.bounds else len(self.numbers) + natives

    @property
    def size_bytes(self) -> int:
        """About the memory that it takes without its block."""
        size = 8 * len(self.numbers) + _EXEMPLAR_BYTES * len(self.exemplars)
        for native in self.natives:
            if native is not None:
                size += _BUCKET_BYTES * (8 + len(native.positive) + len(native.negative))
        return size


class Snapshot(NamedTuple):
    """The numbers of a registry at `time`, in seconds since the Unix epoch.

    `ended` are the series that have ended: blocks, with the places of series in them, and `continued` are those of them
    that go on in another block. `size_bytes` is about the memory that it takes beside the snapshot before.
    """

    time: float
    measurements: list[Measurement]
    ended: list[tuple[Block, list[int]]]
    size_bytes: int
    continued: frozenset[TextSeries] = frozenset()

    @property
    def samples(self) -> int:
        """The number of numbers and native histograms in it."""
        return sum([one.samples for one in self.measurements])


class _Kept(NamedTuple):
    """A family in the snapshot before. The definition keeps the id of its key from being used again."""

    definition: Definition | None
    shape: Shape
    identities: Sequence[object]
    starts: list[float]
    blocks: list[Block]
    exemplars: frozenset[object]
    numbers: SeriesNumbers | None


class SnapshotReader:
    """Reads one snapshot of `registry` after the other.

    With `native`, which can be set later, a histogram with native buckets has these, and classic ones only if it has
    bounds; otherwise every histogram has classic buckets. One thread at a time may use it.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry(prefix="shop")
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc(3)
        >>> [measured] = SnapshotReader(registry).read().measurements
        >>> measured.block.shape.name, list(measured.numbers)
        ('shop_orders_total', [3.0])
    """

    def __init__(self, registry: Registry, *, escaping: Escaping = "underscores", native: bool = True) -> None:
        self._registry: Final = registry
        self._request: Final = RenderRequest(escaping)
        self.native = native
        self._numbers_per_block = _NUMBERS_PER_BLOCK
        self._kept: dict[object, _Kept] = {}
        self._former: list[Block] = []
        self._latest = 0.0

    def read(self, seconds: float = _SECONDS) -> Snapshot:
        """Return the present numbers, after at most `seconds`.

        Raises `PushError` if they cannot be read; the error of the registry is logged.
        """
        self._latest = moment = time.time()
        reading = _Reading(_Encoder(self._kept, self._request.escaping, self.native, self._numbers_per_block))
        choice = Choice(reading, self._request)
        response = collect_within(servable(self._registry), choice, seconds)
        if response.status != 200:
            raise PushError(f"no numbers were read, because {response.body.decode().strip()}", reason="collection")
        encoder, measurements = reading.encoder, reading.measurements
        self._kept = encoder.found
        blocks = [measurement.block for measurement in measurements]
        ended, continued = _ended(self._former, blocks)
        self._former = blocks
        size = sum([block.size_bytes for block in encoder.new_blocks])
        return Snapshot(moment, measurements, ended, size + sum([one.size_bytes for one in measurements]), continued)

    def end(self) -> Snapshot:
        """Return a snapshot in which all series of the one before have ended, at a later millisecond than that."""
        ended, _ = _ended(self._former, [])
        self.forget()
        return Snapshot(max(time.time(), self._latest + 0.002), [], ended, 0)

    def split_blocks(self, numbers: int) -> None:
        """Make blocks of less than `numbers` from now on, because a receiver did not take one with so many."""
        if self._numbers_per_block > _LEAST_PER_BLOCK and numbers // 2 < self._numbers_per_block:
            self._numbers_per_block = max(_LEAST_PER_BLOCK, numbers // 2)
            self._kept = {}

    def forget(self) -> None:
        """Forget all series; the next snapshot has every exemplar again."""
        self._former = []
        self._kept = {}


class _Reading(StandardFormat):
    """One reading, as a format, so that collectors have the deadline and the threads of a scrape."""

    __slots__ = ("encoder", "measurements")

    def __init__(self, encoder: _Encoder) -> None:
        super().__init__("x-pytheus/snapshot", "x-pytheus/snapshot", self._walk)  # never sent
        self.encoder: Final = encoder
        self.measurements: Final[list[Measurement]] = []

    def _walk(self, registry: Registry, request: RenderRequest) -> AnyWalk:
        return Walk(registry, self.encoder, request)

    def joined(self, parts: Iterable[Any]) -> list[bytes]:
        """Keep the measurements of the collectors that have returned; there is no body."""
        for part in parts:
            self.measurements.extend(part)
        return []


def _ended(former: list[Block], present: list[Block]) -> tuple[list[tuple[Block, list[int]]], frozenset[TextSeries]]:
    """Return `Snapshot.ended` and `Snapshot.continued`."""
    same = set(map(id, former)) & set(map(id, present))
    gone = [block for block in former if id(block) not in same]
    if not gone:
        return [], frozenset()
    new = [block for block in present if id(block) not in same]
    ended = _lacking(gone, new)
    if not ended:
        return [], frozenset()
    # Some of their series may go on in a family of another form.
    began = {series for block, places in _lacking(new, gone) for at in places for series in block.text_series(at)}
    if not began:
        return ended, frozenset()
    continued: set[TextSeries] = set()
    rest: list[tuple[Block, list[int]]] = []
    for block, places in ended:
        left: list[int] = []
        for place in places:
            series = block.text_series(place)
            living = began.intersection(series)
            continued |= living
            if len(living) < len(series):
                left.append(place)
        if left:
            rest.append((block, left))
    return rest, frozenset(continued)


def _lacking(blocks: list[Block], others: list[Block]) -> list[tuple[Block, list[int]]]:
    """Return the places of the series in `blocks` that no block of `others` has in a family of the same form."""
    present: dict[tuple[object, ...], set[Labels]] = {}
    for block in others:
        present.setdefault(block.shape.identity, set()).update(map(_sorted, block.series))
    lacking: list[tuple[Block, list[int]]] = []
    for block in blocks:
        there = present.get(block.shape.identity, set())
        places = [place for place, labels in enumerate(block.series) if _sorted(labels) not in there]
        if places:
            lacking.append((block, places))
    return lacking


def _sorted(labels: Labels) -> Labels:
    return tuple(sorted(labels))


class _Encoder:
    """Turns collectors into measurements, as an exposition format turns them into bytes."""

    def __init__(self, kept: dict[object, _Kept], escaping: Escaping, native: bool, numbers_per_block: int) -> None:
        self._kept: Final = kept
        self._numbers_per_block: Final = numbers_per_block
        self._escaping: Final = escaping
        self._native: Final = native
        self.found: Final[dict[object, _Kept]] = {}
        self.new_blocks: Final[list[Block]] = []

    def supports(self, collector: Collector, /) -> bool:
        return callable(getattr(collector, "rows", None)) and callable(getattr(collector, "refresh", None))

    def encode_collector(self, collector: HasRows, definition: Definition, lead: str, /) -> list[list[Measurement]]:
        escaping = self._escaping
        key = (id(definition), lead)
        if definition.native is not None and not self._native:
            # Every collector with rows is one.
            families = checked_families(collector, lead, escaping)  # type: ignore[arg-type]  # as said above
            readings = of_families(families, native=False)
            return [self._measure((key, at), definition, one) for at, one in enumerate(readings)]
        name = lead + definition.name
        if definition.name_rules != "legacy":
            name = escape_name(name, escaping)
        if isinstance(collector, Metric):
            kept = self._kept.get(key)
            numbers = series_numbers(collector, None if kept is None else kept.numbers)
            if numbers is not None:
                return [self._measure(key, definition, of_numbers(numbers, definition, name, escaping), numbers)]
        collector.refresh()
        return [self._measure(key, definition, of_rows(collector.rows(), definition, name, escaping))]

    def encode_family(self, family: CheckedFamily, /) -> list[Measurement]:
        measurements: list[Measurement] = []
        for place, reading in enumerate(of_families((family,), native=self._native)):
            measurements += self._measure((family.name, place), None, reading)
        return measurements

    def encode_end(self) -> Iterable[list[Measurement]]:
        return ()

    def _measure(
        self, key: object, definition: Definition | None, reading: Reading, numbers: SeriesNumbers | None = None
    ) -> list[Measurement]:
        kept = self._kept.get(key)
        if kept is not None and (kept.shape != reading.shape or kept.definition is not definition):
            kept = None
        exemplars: dict[int, list[tuple[int, int, Exemplar]]] = {}
        shown: frozenset[object] = frozenset()
        per_block = max(1, self._numbers_per_block // reading.shape.width)
        if reading.exemplars:
            shown = frozenset([_exemplar_key(*one) for one in reading.exemplars])
            former = frozenset() if kept is None else kept.exemplars
            if not shown <= former:
                place_of = {series: place for place, series in enumerate(reading.keys())}
                for series, slot, exemplar in reading.exemplars:
                    place = place_of.get(series)
                    if place is not None and _exemplar_key(series, slot, exemplar) not in former:
                        within = (place % per_block, slot, exemplar)
                        exemplars.setdefault(place // per_block, []).append(within)
        blocks = self._blocks(kept, reading, per_block)
        self.found[key] = _Kept(definition, reading.shape, reading.identities, reading.starts, blocks, shown, numbers)
        measurements: list[Measurement] = []
        width = reading.shape.width
        for number, block in enumerate(blocks):
            begin = number * per_block
            end = begin + per_block
            measurements.append(
                Measurement(
                    block,
                    array("d", reading.numbers[begin * width : end * width]),
                    tuple(exemplars.get(number, ())),
                    tuple(reading.natives[begin:end]),
                    tuple(reading.times[begin:end]),
                )
            )
        return measurements

    def _blocks(self, kept: _Kept | None, reading: Reading, per_block: int) -> list[Block]:
        identities, starts = reading.identities, reading.starts
        if kept is not None and kept.identities == identities and kept.starts == starts:
            return kept.blocks
        blocks: list[Block] = []
        for begin in range(0, len(identities), per_block):
            end = begin + per_block
            at = len(blocks)
            if (
                kept is not None
                and at < len(kept.blocks)
                and kept.identities[begin:end] == identities[begin:end]
                and kept.starts[begin:end] == starts[begin:end]
            ):
                blocks.append(kept.blocks[at])
            else:
                block = Block(reading.shape, reading.labels_between(begin, end), starts[begin:end])
                self.new_blocks.append(block)
                blocks.append(block)
        return blocks


def _exemplar_key(series: object, slot: int, exemplar: Exemplar) -> object:
    return (series, slot, exemplar.value, exemplar.timestamp, *exemplar.labels.items())
