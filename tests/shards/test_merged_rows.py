"""The rows of merged families, which every format reads, and samples that say the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from pytheus import Counter, Gauge, Info, generate_metrics
from pytheus.definitions import Definition
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import Collector, CollectorRegistry, HasRows, Registry
from pytheus.samples import Exemplar, Family, Row
from pytheus.shards import (
    Archive,
    Layout,
    LayoutReader,
    MergedFamily,
    Merger,
    ShardIdentity,
    Snapshot,
    encode_layout,
)
from tests.shards.conftest import Join, Shards, shop


def rows_of(collectors: Iterable[Collector]) -> dict[str, list[Row]]:
    """Without start times, and without the marks of empty exemplars."""
    return {
        each.definition.name: [row._replace(created=None, exemplars=row.exemplars or None) for row in each.rows()]
        for each in collectors
        if isinstance(each, HasRows)
    }


def test_merged_rows_are_those_of_the_metrics(join: Join) -> None:
    alone = CollectorRegistry()
    worker = join()
    for registry in (alone, worker):
        shop(registry)
    list(worker.collect())  # a scrape, which publishes
    found, expected = rows_of(join().collect()), rows_of(alone.collect())
    assert found == expected
    assert len(expected) == 6


def test_merged_samples_are_those_of_the_metrics(join: Join) -> None:
    alone = CollectorRegistry()
    worker = join()
    for registry in (alone, worker):
        shop(registry)
    list(worker.collect())

    def samples(registry: Registry) -> Sequence[object]:
        return sorted(
            (family.name, family.type, str([sample._replace(created=None) for sample in family.samples]))
            for collector in registry.collect()
            for family in collector.collect()
            if isinstance(family, Family)
        )

    assert samples(join()) == samples(alone)


def test_start_times_are_those_of_the_first_process(join: Join) -> None:
    first, second = Counter("hits_total", "Hits.", registry=None), Counter("hits_total", "Hits.", registry=None)
    for hits in (second, first):
        worker = join()
        worker.register(hits)
        hits.inc()
        list(worker.collect())
    (merged,) = (each for each in join().collect() if isinstance(each, MergedFamily))
    began = [hits.rows()[0].created or 0.0 for hits in (first, second)]
    assert merged.rows()[0].created == pytest.approx(min(began), abs=0.001)
    assert merged.rows()[0].numbers == [2.0]


def test_a_removed_series_begins_again(join: Join) -> None:
    registry, other = join(), join()
    hits = Counter("hits_total", "Hits.", ["code"], registry=registry)

    def began() -> float | None:
        found = {each.name: each for each in other.collect() if isinstance(each, MergedFamily)}
        return found["hits_total"].rows()[0].created

    hits.labels("200").inc(3)
    list(registry.collect())
    before = hits.rows()[0].created
    assert began() == pytest.approx(before, abs=0.001)
    while hits.rows()[0].created == before:
        hits.remove("200")
        hits.labels("200").inc(1)
    list(registry.collect())
    assert began() == pytest.approx(hits.rows()[0].created, abs=0.001)


@pytest.mark.parametrize(("hosts", "labels"), [(False, ("queue", "pid")), (True, ("queue", "host", "pid"))])
def test_rows_of_each_process_have_labels_for_it(shards: Shards, hosts: bool, labels: tuple[str, ...]) -> None:
    jobs = Definition("jobs", "gauge", "Jobs.", ("queue",), mode="each", unit="")
    merger = Merger(hosts=hosts)
    snapshots = [shards((jobs, {("mail",): [value]})) for value in (3.0, 4.0)]
    for _ in range(2):
        (merged,) = merger.merge(snapshots, Archive())
        assert merged.definition.labels == labels
        assert merged.merged is jobs or merged.merged.labels == ("queue",)
        host = ("web-1",) if hosts else ()
        assert merged.rows() == [Row(("mail", *host, "1"), [3.0]), Row(("mail", *host, "2"), [4.0])]


def test_a_label_of_the_metric_keeps_its_name(shards: Shards) -> None:
    jobs = Definition("jobs", "gauge", "Jobs.", ("pid",), mode="each")
    (merged,) = Merger().merge([shards((jobs, {("7",): [3.0]}))], Archive())
    assert (merged.definition.labels, merged.rows()) == (("pid", "shard_pid"), [Row(("7", "1"), [3.0])])


def test_rows_have_the_newest_exemplars() -> None:
    snapshots = []
    for rank, stamp in enumerate((20.0, 30.0, 10.0), 1):
        layout = Layout()
        wait = layout.add_definition(Definition("wait", "histogram", "Wait.", bounds=(1.0,)))
        layout.set_exemplar(layout.add_series(wait, (), 0), 2, Exemplar({"trace": str(rank)}, 5.0, stamp))
        snapshots.append(Snapshot(ShardIdentity("web-1", rank, rank, f"{rank:016x}"), True, layout, [5.0, 0.0, 1.0]))
    (merged,) = Merger().merge(snapshots, Archive())
    assert merged.rows()[0].exemplars == {2: Exemplar({"trace": "2"}, 5.0, 30.0)}


def test_a_series_left_out_has_no_row(join: Join) -> None:
    registry = join()
    load = Gauge("load", "Load.", ["of"], registry=registry)
    load.labels("disk").set(2)
    load.labels("cpu").set_function(lambda: 1 / 0)
    found = rows_of(registry.collect())
    assert [row.labels for row in found["load"]] == [("disk",)]


@pytest.mark.parametrize("difference", ["unit", "native"])
def test_definitions_with_another_unit_or_other_native_buckets_conflict(shards: Shards, difference: str) -> None:
    name = "wait_seconds"
    one = Definition(name, "histogram", "Wait.", bounds=(1.0,), unit="seconds", native=NativeBuckets(growth=1.1))
    other = (
        Definition(name, "histogram", "Wait.", bounds=(1.0,), native=NativeBuckets(growth=1.1))
        if difference == "unit"
        else Definition(name, "histogram", "Wait.", bounds=(1.0,), unit="seconds", native=NativeBuckets(growth=1.2))
    )
    snapshots = [shards((each, {(): [1.0, 1.0, 0.0]})) for each in (one, other)]
    again = []
    for snapshot in snapshots:
        reader = LayoutReader()
        reader.feed(encode_layout(snapshot.layout))
        again.append(snapshot._replace(layout=reader.layout))
    for several in (snapshots, again):
        merger = Merger()
        (merged,) = merger.merge(several, Archive())
        assert merged.rows()[0].numbers == [1.0, 1.0, 0.0]
        assert (merged.definition.unit, merged.definition.native) == (other.unit, other.native)
        ((shown, left_out),) = merger.conflicts
        assert shown is not None
        assert (shown.matches(other), left_out.matches(one)) == (True, True)


def test_utf8_names_are_shared(join: Join) -> None:
    alone, worker = CollectorRegistry(), join()
    for registry in (alone, worker):
        requests, label, depth = "http.requests_total", "host.name", "in.use"
        Counter(requests, "Requests.", [label], names="utf8", registry=registry).labels("a").inc()
        Info("build", "What runs.", names="utf8", registry=registry).info(**{"the.version": "1"})
        Gauge(depth, "In use.", [label], mode="each", names="utf8", registry=registry).labels("x").set(2)
    list(worker.collect())
    reader = join()

    def names(registry: Registry) -> set[tuple[str, str]]:
        return {
            (family.name, str(sample.labels))
            for collector in registry.collect()
            for family in collector.collect()
            if isinstance(family, Family) and family.name != "in.use"
            for sample in family.samples
        }

    assert names(reader) == names(alone)
    assert 'in_use{host_name="x",pid="' in generate_metrics(reader)
