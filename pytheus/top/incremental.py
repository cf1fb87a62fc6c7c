"""Responses as snapshots, with the parts that are the same as in the response before not parsed again.

Rules:

- `parse_exposition` says how a response is read; it is lenient here, because a program that breaks a rule is looked at
  all the more. This module only finds the parts that it need not parse: lines of the text formats whose series is
  known, and the messages of series in protobuf that are the same bytes as before.
- If anything else differs, even the order, the whole response is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from pytheus.testing.parse import ParsedFamily, parse_exposition
from pytheus.top.values import Distribution, FamilyInfo, Labels, Series, Shape, Snapshot, Value, shapes_of

__all__ = ["IncrementalParser", "TooManySeriesError"]

_PROTOBUF: Final = "application/vnd.google.protobuf"
_SERIES_AT_MOST: Final = 500_000
_METRIC_KEY: Final = 0x22  # the field `metric` of a `MetricFamily`
_LONGEST_VARINT: Final = 10
_DOUBLE: Final = Struct("<d")
# The keys of the numbers in the messages of series, by the types of families.
_SCALARS: Final = {"gauge": 0x12, "counter": 0x1A, "untyped": 0x2A}


class TooManySeriesError(ValueError):
    """A response with more series than are kept."""


class IncrementalParser:
    """Parses the responses of one target, one after the other. Not thread-safe.

    >>> parser = IncrementalParser()
    >>> parser.parse(b"# TYPE carts gauge\\ncarts 3\\n", "text/plain").values
    [3.0]
    >>> parser.parse(b"# TYPE carts gauge\\ncarts 4\\n", "text/plain").values
    [4.0]
    """

    def __init__(self) -> None:
        self._content_type = ""
        self._text: _Text | None = None
        self._messages: dict[bytes, _Family] = {}
        self._series: list[Series] = []

    def parse(self, body: bytes, content_type: str) -> Snapshot:
        """Return the series of `body`; raises `ValueError` if it is not an exposition, or has too many series."""
        if content_type != self._content_type:
            self._content_type, self._text, self._messages = content_type, None, {}
        if content_type.partition(";")[0].strip().lower() == _PROTOBUF:
            return self._parse_protobuf(body, content_type)
        text = body.decode("utf-8")
        lines = [line for line in text.split("\n") if line and line[0] != "#"]
        known = self._text
        if known is not None:
            snapshot = known.snapshot(lines)
            if snapshot is not None:
                return snapshot
        self._text, snapshot = _Text.of(parse_exposition(text, content_type, strict=False), lines)
        return snapshot

    def _parse_protobuf(self, body: bytes, content_type: str) -> Snapshot:
        messages: dict[bytes, _Family] = {}
        families: list[FamilyInfo] = []
        series: list[Series] = []
        values: list[Value] = []
        place = 0
        while place < len(body):
            length, start = _varint(body, place)
            end = start + length
            if end > len(body):
                parse_exposition(body, content_type, strict=False)  # which says where the damage is
                raise ValueError("the response ends within a family")
            split = _split(body, start, end)
            family = self._messages.get(split.head)
            if family is None or split.head in messages:
                family = _Family(content_type)
            family.update(body[place:end], split)
            messages[split.head] = family
            if family.info is not None:
                families.append(family.info)
                series += family.series
                values += family.values
            place = end
            _check_number(series)
        self._messages = messages
        if series == self._series:
            series = self._series
        self._series = series
        return Snapshot(tuple(families), series, values, is_protobuf=True)


def _check_number(series: Sequence[Series]) -> None:
    if len(series) > _SERIES_AT_MOST:
        raise TooManySeriesError(f"the response has more than {_SERIES_AT_MOST} series")


class _Text(NamedTuple):
    """The lines of a response by their series, in order, and the shapes of each family with its first line."""

    heads: list[str]
    families: tuple[FamilyInfo, ...]
    shapes: list[tuple[int, int, list[Shape]]]
    series: list[Series]

    @classmethod
    def of(cls, parsed: dict[str, ParsedFamily], lines: Sequence[str]) -> tuple[_Text | None, Snapshot]:
        families: list[FamilyInfo] = []
        series: list[Series] = []
        values: list[Value] = []
        shapes: list[tuple[int, int, list[Shape]]] = []
        names: list[str] = []
        for family in parsed.values():
            info = FamilyInfo(family.name, family.type or "untyped", family.description, family.unit)
            found = shapes_of(info, family)
            numbers = [sample.value for sample in family.samples]
            families.append(info)
            series += [shape.series for shape in found]
            values += [shape.value(numbers) for shape in found]
            shapes.append((len(names), len(names) + len(numbers), found))
            names += [sample.name for sample in family.samples]
            _check_number(series)
        snapshot = Snapshot(tuple(families), series, values)
        heads = [line.rpartition(" ")[0] for line in lines]
        # Lines in the order of their samples, with no space but in labels and before the number: no timestamp.
        if len(heads) != len(names) or not all(
            head.startswith(name) and (len(head) == len(name) or (head[len(name)] == "{" and head[-1] == "}"))
            for head, name in zip(heads, names, strict=True)
        ):
            return None, snapshot
        return cls(heads, snapshot.families, shapes, series), snapshot

    def snapshot(self, lines: Sequence[str]) -> Snapshot | None:
        """Return the series of `lines`, or None if they are not those of before."""
        parts = [line.rpartition(" ") for line in lines]
        if [head for head, _, _ in parts] != self.heads:
            return None
        try:
            numbers = [float(number) for _, _, number in parts]
        except ValueError:
            return None
        values: list[Value] = []
        for start, end, shapes in self.shapes:
            own = numbers[start:end]
            values += [shape.value(own) for shape in shapes]
        return Snapshot(self.families, self.series, values)


class _Split(NamedTuple):
    """The message of a family: the bytes that are not series, and those of each series, with their keys."""

    head: bytes
    metrics: list[bytes]


def _split(body: bytes, start: int, end: int) -> _Split:
    head: list[bytes] = []
    metrics: list[bytes] = []
    place = start
    while place < end:
        field = place
        key = body[place]
        # The lengths of most series have one byte.
        length, value = (
            (body[place + 1], place + 2) if place + 1 < end and body[place + 1] < 128 else _varint(body, place + 1)
        )
        if key & 7 == 0:
            place = value
        elif key & 7 == 2:
            place = value + length
        else:
            return _Split(body[start:end], [])
        if key >= 0x80 or place > end:
            return _Split(body[start:end], [])  # not a plain message: it is parsed as a whole
        (metrics if key == _METRIC_KEY else head).append(body[field:place])
    return _Split(b"".join(head), metrics)


def _varint(body: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    for index in range(place, min(place + _LONGEST_VARINT, len(body))):
        byte = body[index]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, index + 1
        shift += 7
    raise ValueError(f"byte {place}: the message ends within a number")


class _Family:
    """The series of one family in protobuf, with the bytes of each."""

    def __init__(self, content_type: str) -> None:
        self._content_type: Final = content_type
        self._metrics: list[bytes] = []
        # Where the number is in the bytes of a counter or gauge, by the position of the series.
        self._places: dict[int, int] = {}
        self.info: FamilyInfo | None = None
        self.series: list[Series] = []
        self.values: list[Value] = []

    def update(self, message: bytes, split: _Split) -> None:
        """Take `message`, which has its length before it."""
        metrics = split.metrics
        if self._metrics == metrics and metrics:
            return
        if self.info is not None and len(metrics) == len(self._metrics) == len(self.values):
            values = list(self.values)
            changed: list[int] = []
            for index, (metric, before) in enumerate(zip(metrics, self._metrics, strict=True)):
                if metric == before:
                    continue
                number = self._number(index, metric, before)
                if number is None:
                    changed.append(index)
                else:
                    values[index] = number
            if not changed:
                self._metrics, self.values = metrics, values
                return
            if len(changed) < len(metrics):
                part = split.head + b"".join([metrics[index] for index in changed])
                _, series, parsed = self._parse(_length(len(part)) + part)
                if series == [self.series[index] for index in changed]:
                    for index, value in zip(changed, parsed, strict=True):
                        values[index] = value
                    self._metrics, self.values = metrics, values
                    return
        if metrics and self._read_scalars(split):
            return
        self.info, self.series, self.values = self._parse(message)
        self._metrics = metrics
        self._places = {}

    def _number(self, index: int, metric: bytes, before: bytes) -> float | None:
        """Return the number of a counter or gauge, if it is all that differs in the bytes of its series."""
        value = self.values[index]
        if isinstance(value, Distribution) or len(metric) != len(before):
            return None
        place = self._places.get(index)
        if place is None:
            packed = _DOUBLE.pack(value)
            if before.count(packed) != 1:
                return None
            place = self._places[index] = before.index(packed)
        after = place + _DOUBLE.size
        if metric[:place] != before[:place] or metric[after:] != before[after:]:
            return None
        number: float = _DOUBLE.unpack_from(metric, place)[0]
        return number

    def _read_scalars(self, split: _Split) -> bool:
        """Take the series of a counter or gauge, if their messages are plain; returns whether they are."""
        [family] = parse_exposition(_length(len(split.head)) + split.head, self._content_type, strict=False).values()
        key = _SCALARS.get(family.type)
        if key is None:
            return False
        name = family.name
        series: list[Series] = []
        values: list[Value] = []
        places: dict[int, int] = {}
        for index, metric in enumerate(split.metrics):
            found = _scalar(metric, key)
            if found is None:
                return False
            labels, place = found
            series.append(Series(name, name, labels))
            values += _DOUBLE.unpack_from(metric, place)
            places[index] = place
        self.info = self.info or FamilyInfo(name, family.type, family.description, family.unit)
        self.series, self.values, self._places = series, values, places
        self._metrics = split.metrics
        return True

    def _parse(self, message: bytes) -> tuple[FamilyInfo, list[Series], list[Value]]:
        [family] = parse_exposition(message, self._content_type, strict=False).values()
        info = self.info
        if info is None:
            info = FamilyInfo(family.name, family.type or "untyped", family.description, family.unit)
        shapes = shapes_of(info, family)
        numbers = [sample.value for sample in family.samples]
        return info, [shape.series for shape in shapes], [shape.value(numbers, family.samples) for shape in shapes]


def _scalar(metric: bytes, key: int) -> tuple[Labels, int] | None:
    """Return the labels of a counter or gauge, and the place of its number, if its message has the usual fields.

    Those are labels, each with a name and a value, and the number with the field `key`, all of less than 128 bytes.
    `parse_exposition` reads every other message.
    """
    try:
        length, place = _varint(metric, 1)
        if place + length != len(metric):
            return None
        labels: list[tuple[str, str]] = []
        while metric[place] == 0x0A:
            end = place + 2 + metric[place + 1]
            middle = place + 4 + metric[place + 3]
            if (
                metric[place + 1] > 127
                or metric[place + 2] != 0x0A
                or metric[middle] != 0x12
                or middle + 2 + metric[middle + 1] != end
            ):
                return None
            labels.append((str(metric[place + 4 : middle], "utf-8"), str(metric[middle + 2 : end], "utf-8")))
            place = end
        if metric[place] != key or metric[place + 2] != 0x09 or place + 2 + metric[place + 1] != len(metric):
            return None
    except (IndexError, ValueError):
        return None
    if len(labels) > 1:
        if len(dict(labels)) < len(labels):
            return None
        labels.sort()
    # The number comes first, then an exemplar and the time of its beginning, if it has them.
    rest = metric[place + 11 : place + 12]
    return (tuple(labels), place + 3) if rest in (b"", b"\x12", b"\x1a") else None


def _length(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
