"""Snapshots one after the other: which series have ended, and which go on although their family has changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from pytheus import Gauge, Histogram
from pytheus.kinds import MetricType
from pytheus.metrics import CustomCollector, Family, NativeBuckets, Sample
from pytheus.push.remote_messages import RemoteWriteEncoder, RemoteWriteVersion
from pytheus.push.snapshot import SnapshotReader
from pytheus.registry import CollectorRegistry
from tests.push.remote_schema import parsed_1, parsed_2, series_of


class Custom(CustomCollector):
    """A collector of one family, which a test changes."""

    def __init__(self, type: MetricType, *samples: Sample) -> None:
        self.type: MetricType = type
        self.samples = list(samples)

    def collect(self) -> Iterator[Family]:
        yield Family("f", self.type, "F.", self.samples)


class Sent(NamedTuple):
    """The series of a snapshot that have a number or native buckets, and those that have ended."""

    living: set[str]
    ended: set[str]


def sent(version: RemoteWriteVersion, encoder: RemoteWriteEncoder, reader: SnapshotReader) -> Sent:
    found = Sent(set(), set())
    for request in encoder.encode(reader.read()):
        message: Any = (parsed_1 if version == "1.0" else parsed_2)(bytes(request.message))
        for labels, series in series_of(message):
            name = labels.pop("__name__")
            key = f"{name}{labels or ''}"
            for number in [*(one.value for one in series.samples), *(one.sum for one in series.histograms)]:
                (found.ended if math.isnan(number) else found.living).add(key)
    return found


class Change(NamedTuple):
    """A change of a family, and the series that end by it."""

    make: Callable[[CollectorRegistry], object]
    change: Callable[[CollectorRegistry, SnapshotReader, Any], object]
    ended: set[str]


def other_buckets(registry: CollectorRegistry, reader: SnapshotReader, former: Histogram) -> None:
    registry.unregister(former)
    Histogram("f", "F.", buckets=[1, 5], registry=registry).observe(1)


def without_natives(registry: CollectorRegistry, reader: SnapshotReader, former: object) -> None:
    reader.native = False


def a_gauge(registry: CollectorRegistry, reader: SnapshotReader, former: Custom) -> None:
    former.type = "gauge"


def another_quantile(registry: CollectorRegistry, reader: SnapshotReader, former: Custom) -> None:
    former.samples.append(Sample("", {"quantile": "0.9"}, 2.0))


def a_contradiction(registry: CollectorRegistry, reader: SnapshotReader, former: Custom) -> None:
    former.samples[-1] = Sample("_count", {}, 5.0)


def no_label(registry: CollectorRegistry, reader: SnapshotReader, former: Gauge) -> None:
    registry.unregister(former)
    Gauge("f", "F.", registry=registry).set(1)


def a_time(registry: CollectorRegistry, reader: SnapshotReader, former: Custom) -> None:
    former.samples[:] = [sample._replace(timestamp=12.5) for sample in former.samples]


def custom(type: MetricType, *samples: Sample) -> Callable[[CollectorRegistry], object]:
    def make(registry: CollectorRegistry) -> Custom:
        collector = Custom(type, *samples)
        registry.register(collector)
        return collector

    return make


def histogram(registry: CollectorRegistry, **options: Any) -> Histogram:
    made = Histogram("f", "F.", buckets=[1, 2], registry=registry, **options)
    made.observe(1)
    return made


def labelled(registry: CollectorRegistry) -> Gauge:
    made = Gauge("f", "F.", ["a"], registry=registry)
    made.labels("").set(1)
    made.labels("x").set(1)
    return made


NATIVE = NativeBuckets(growth=2)
SUMMARY = (Sample("", {"quantile": "0.5"}, 1.0), Sample("_sum", {}, 3.0), Sample("_count", {}, 2.0))
BUCKETS = (
    Sample("_bucket", {"le": "1"}, 1.0),
    Sample("_bucket", {"le": "+Inf"}, 2.0),
    Sample("_sum", {}, 3.0),
    Sample("_count", {}, 2.0),
)
CHANGES = {
    "other buckets": Change(histogram, other_buckets, {"f_bucket{'le': '2.0'}"}),
    "without native buckets": Change(lambda registry: histogram(registry, native=NATIVE), without_natives, {"f"}),
    "unknown to gauge": Change(custom("unknown", Sample("", {}, 1.0)), a_gauge, set()),
    "another quantile": Change(custom("summary", *SUMMARY), another_quantile, set()),
    "a contradiction": Change(custom("histogram", *BUCKETS), a_contradiction, set()),
    "an empty label": Change(labelled, no_label, {"f{'a': 'x'}"}),
    "a time": Change(custom("gauge", Sample("", {}, 1.0)), a_time, set()),
}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_series_that_do_not_go_on_have_ended(
    change: Change, version: RemoteWriteVersion, registry: CollectorRegistry
) -> None:
    former = change.make(registry)
    Gauge("other", "Other.", registry=registry).set(1)
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder(version)
    before = sent(version, encoder, reader)
    assert not before.ended
    change.change(registry, reader, former)
    after = sent(version, encoder, reader)
    assert after.ended == change.ended
    assert after.ended == before.living - after.living
    assert not sent(version, encoder, reader).ended


def test_native_buckets_that_become_a_number_have_not_ended(registry: CollectorRegistry) -> None:
    """They have the same name, so an end would be at the time of the number."""
    alone = Histogram("f", "F.", buckets=[], native=NATIVE, registry=registry)
    alone.observe(1)
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder("1.0")
    assert sent("1.0", encoder, reader).living == {"f"}
    registry.unregister(alone)
    Gauge("f", "F.", registry=registry).set(1)
    assert sent("1.0", encoder, reader) == ({"f"}, set())


def test_blocks_of_series_that_stay_are_the_same_objects(registry: CollectorRegistry) -> None:
    labelled(registry)
    reader = SnapshotReader(registry)
    first, second = reader.read(), reader.read()
    assert [one.block for one in first.measurements] == [one.block for one in second.measurements]
    assert (second.ended, second.continued) == ([], frozenset())
