"""Shards, merged."""

from __future__ import annotations

from math import inf, nan

import pytest

from pytheus.definitions import Definition
from pytheus.samples import Exemplar
from pytheus.shards import Archive, Layout, Merger, ShardIdentity, Snapshot, fold
from tests.shards.conftest import Shards, merged

HITS = Definition("hits_total", "counter", "Hits.", ("code",))
LATENCY = Definition("latency_seconds", "histogram", "Latency.", ("path",), bounds=(0.5, 1.0))
WEIGHT = Definition("weight", "summary", "Weights.")
DOOR = Definition("door", "stateset", "The door.", ("floor",), states=("open", "closed"))
BUILD = Definition("build_info", "info", "What runs.", ("arch",))


def gauge(mode: str = "", name: str = "jobs", labels: tuple[str, ...] = ()) -> Definition:
    return Definition(name, "gauge", "Jobs.", labels, mode=mode)


def test_counters_add_up(shards: Shards) -> None:
    snapshots = [shards((HITS, {("200",): [2.0], ("500",): [1.0]})), shards((HITS, {("500",): [4.0]}))]
    assert merged(snapshots) == ['hits_total{code="200"} 2.0', 'hits_total{code="500"} 5.0']


def test_histograms_and_summaries_add_up(shards: Shards) -> None:
    snapshots = [
        shards((LATENCY, {("/",): [0.75, 1.0, 2.0, 0.0]}), (WEIGHT, {(): [3.5, 2.0]})),
        shards((LATENCY, {("/",): [9.0, 0.0, 0.0, 3.0]}), (WEIGHT, {(): [1.0, 1.0]})),
    ]
    assert merged(snapshots) == [
        'latency_seconds_bucket{path="/",le="0.5"} 1.0',
        'latency_seconds_bucket{path="/",le="1.0"} 3.0',
        'latency_seconds_bucket{path="/",le="+Inf"} 6.0',
        'latency_seconds_sum{path="/"} 9.75',
        'latency_seconds_count{path="/"} 6.0',
        "weight_sum 4.5",
        "weight_count 3.0",
    ]


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("", [1.0, 2.0, 4.0], "7.0"),
        ("min", [3.0, 2.0, 4.0], "2.0"),
        ("max", [3.0, 5.0, 4.0], "5.0"),
        ("", [inf, -inf], "NaN"),
        ("min", [nan, 2.0], "2.0"),
        ("min", [nan, nan], "NaN"),
        ("min", [nan], "NaN"),
        ("max", [nan, -inf], "-Inf"),
        ("max", [2.0, nan], "2.0"),
        ("of the future", [1.0, 2.0], "3.0"),
    ],
)
def test_gauges_follow_their_mode(shards: Shards, mode: str, values: list[float], expected: str) -> None:
    other = shards((gauge(mode, "other"), {(): [0.0]}))  # which has none of the series
    snapshots = [shards((gauge(mode), {(): [value]})) for value in values]
    assert merged([*snapshots, other])[0] == f"jobs {expected}"


def test_the_gauge_that_was_set_last_counts(shards: Shards) -> None:
    last = gauge("last")
    snapshots = [shards((last, {(): [value, time]})) for value, time in [(0.0, 0.0), (7.0, 20.0), (8.0, 10.0)]]
    assert merged(snapshots) == ["jobs 7.0"]


def test_each_gauge_shows_whose_it_is(shards: Shards) -> None:
    snapshots = [shards((gauge("each", labels=("queue",)), {("mail",): [value]})) for value in (3.0, 4.0)]
    assert merged(snapshots) == ['jobs{queue="mail",pid="1"} 3.0', 'jobs{queue="mail",pid="2"} 4.0']


def test_on_several_machines_each_gauge_shows_its_host_as_well(shards: Shards) -> None:
    snapshots = [
        shards((gauge("each"), {(): [value]}), identity=shards.identity(71, host))
        for value, host in [(3.0, "web-1"), (4.0, "web-2")]
    ]
    assert merged(snapshots, hosts=True) == ['jobs{host="web-1",pid="71"} 3.0', 'jobs{host="web-2",pid="71"} 4.0']


def test_a_label_that_the_metric_has_itself_stays_the_metrics(shards: Shards) -> None:
    snapshot = shards((gauge("each", labels=("pid", "shard_pid")), {("a", "b"): [3.0]}))
    assert merged([snapshot]) == ['jobs{pid="a",shard_pid="b",shard_shard_pid="1"} 3.0']


def test_of_two_processes_with_one_pid_the_newer_is_shown(shards: Shards) -> None:
    older = shards((gauge("each"), {(): [3.0]}), identity=shards.identity(71))
    newer = shards((gauge("each"), {(): [4.0]}), identity=shards.identity(71))
    assert merged([newer, older]) == ['jobs{pid="71"} 4.0']


def test_live_processes_of_two_containers_with_one_pid_are_both_shown(shards: Shards) -> None:
    one = shards((gauge("each"), {(): [3.0]}), identity=ShardIdentity("web-1", 1, 5, "aaaaaaaa00000000"))
    other = shards((gauge("each"), {(): [4.0]}), identity=ShardIdentity("web-2", 1, 6, "bbbbbbbb00000000"))
    third = shards((gauge("each"), {(): [5.0]}), identity=ShardIdentity("web-2", 2, 7, "cccccccc00000000"))
    assert merged([one, other, third]) == [
        'jobs{pid="1-aaaaaaaa"} 3.0',
        'jobs{pid="1-bbbbbbbb"} 4.0',
        'jobs{pid="2"} 5.0',
    ]
    assert merged([one, third]) == ['jobs{pid="1"} 3.0', 'jobs{pid="2"} 5.0']
    assert merged([one, other], hosts=True) == ['jobs{host="web-1",pid="1"} 3.0', 'jobs{host="web-2",pid="1"} 4.0']


def test_a_state_holds_if_it_does_anywhere(shards: Shards) -> None:
    snapshots = [shards((DOOR, {("1",): [1.0, 0.0]})), shards((DOOR, {("1",): [1.0, 0.0]}))]
    assert merged(snapshots) == ['door{floor="1",door="open"} 1.0', 'door{floor="1",door="closed"} 0.0']


def test_each_different_set_of_info_labels_is_exposed_once(shards: Shards) -> None:
    snapshots = [shards((BUILD, {("x86",): []})) for _ in "abcd"]
    for snapshot, version in zip(snapshots, ("1", "2", "1"), strict=False):
        snapshot.layout.set_info(0, {"version": version})
    assert merged(snapshots) == [
        'build_info{arch="x86",version="1"} 1.0',
        'build_info{arch="x86",version="2"} 1.0',
    ]


@pytest.mark.parametrize("mode", ["", "min", "max", "last", "each"])
def test_a_process_that_is_not_live_does_not_count_in_live_modes(shards: Shards, mode: str) -> None:
    numbers = [3.0, 1.0] if mode == "last" else [3.0]
    snapshot = shards((gauge(mode), {(): numbers}), (HITS, {("200",): [1.0]}), (BUILD, {("x",): []}), live=False)
    snapshot.layout.set_info(2, {"a": "b"})
    assert merged([snapshot]) == ['hits_total{code="200"} 1.0']


def test_what_was_folded_before_is_subtracted(shards: Shards) -> None:
    archive = fold(Archive(), [shards((HITS, {("200",): [3.0]}), (gauge("sum of all"), {(): [4.0]}))])
    back = shards((HITS, {("200",): [5.0], ("500",): [1.0]}), (gauge("sum of all"), {(): [7.0]}), base=[3.0, 0.0, 4.0])
    assert merged([back], archive) == ['hits_total{code="200"} 5.0', 'hits_total{code="500"} 1.0', "jobs 7.0"]


def test_a_base_may_be_shorter_than_the_numbers(shards: Shards) -> None:
    archive = fold(Archive(), [shards((HITS, {("200",): [3.0]}))])
    back = shards((HITS, {("200",): [5.0], ("500",): [1.0]}), base=[3.0])
    assert merged([back], archive) == ['hits_total{code="200"} 5.0', 'hits_total{code="500"} 1.0']
    assert merged([], fold(archive, [back])) == ['hits_total{code="200"} 5.0', 'hits_total{code="500"} 1.0']


def test_a_shard_that_is_in_the_archive_counts_once(shards: Shards) -> None:
    shard = shards((HITS, {("200",): [3.0]}))
    assert merged([shard, shard], fold(Archive(), [shard])) == ['hits_total{code="200"} 3.0']
    assert merged([shard, shard]) == ['hits_total{code="200"} 3.0']


def test_exemplars_are_the_newest(shards: Shards) -> None:
    snapshots = [shards((HITS, {("200",): [1.0]})) for _ in "ab"]
    snapshots[0].layout.set_exemplar(0, 0, Exemplar({"trace": "new"}, 1.0, 20.0))
    snapshots[1].layout.set_exemplar(0, 0, Exemplar({"trace": "old"}, 1.0, 10.0))
    (family,) = Merger().merge(snapshots, Archive())
    (sample,) = next(family.collect()).samples
    assert sample.exemplar == Exemplar({"trace": "new"}, 1.0, 20.0)
    assert sample.value == 2.0


def test_samples_say_what_the_text_says(shards: Shards) -> None:
    snapshot = shards(
        (HITS, {("200",): [2.0]}),
        (LATENCY, {("/",): [0.75, 1.0, 2.0, 0.0]}),
        (WEIGHT, {(): [3.5, 2.0]}),
        (DOOR, {("1",): [1.0, 0.0]}),
        (gauge("each"), {(): [3.0]}),
        (BUILD, {("x",): []}),
    )
    snapshot.layout.set_info(5, {"version": "1"})
    told = [
        "{}{}{} {!r}".format(
            family.name.removesuffix("_info"),
            sample.suffix,
            "{" + ",".join(f'{name}="{value}"' for name, value in sample.labels.items()) + "}" if sample.labels else "",
            sample.value,
        )
        for result in Merger().merge([snapshot], Archive())
        for family in result.collect()
        for sample in family.samples
    ]
    assert told == merged([snapshot])


# Names ----------------------------------------------------------------------------------------------------------------


def test_the_local_definitions_come_first_in_their_order_and_the_others_by_name(shards: Shards) -> None:
    a, b, c, d = (gauge(name=name) for name in "abcd")
    snapshot = shards((d, {(): [1.0]}), (a, {(): [1.0]}), (b, {(): [1.0]}), (c, {(): [1.0]}))
    families = Merger().merge([snapshot], Archive(), local=[c, b])
    assert [family.name for family in families] == ["c", "b", "a", "d"]


def test_a_local_definition_without_series_is_exposed() -> None:
    (family,) = Merger().merge([], Archive(), local=[HITS])
    assert "".join(family.text_parts("shop_")) == "# HELP shop_hits_total Hits.\n# TYPE shop_hits_total counter\n"


@pytest.mark.parametrize(
    "other",
    [
        Definition("hits_total", "gauge", "Hits.", ("code",)),
        Definition("hits_total", "counter", "Hits.", ("status",)),
        Definition("hits_created", "gauge", "Hits."),
    ],
)
def test_of_two_definitions_the_local_one_is_exposed(shards: Shards, other: Definition) -> None:
    mine = shards((HITS, {("200",): [2.0]}))
    theirs = shards((other, {tuple("x" for _ in other.labels): [9.0]}))
    merger = Merger()
    (family,) = merger.merge([mine, theirs], Archive(), local=[HITS])
    assert family.definition is HITS
    assert merger.conflicts == [(HITS, other)]


def test_of_two_definitions_elsewhere_the_newest_shards_is_exposed(shards: Shards) -> None:
    older = Definition("hits_total", "counter", "Hits.")
    snapshots = [shards((older, {(): [2.0]})), shards((HITS, {("200",): [3.0]}))]
    for order in (snapshots, snapshots[::-1]):
        merger = Merger()
        (family,) = merger.merge(order, Archive())
        assert family.definition is HITS
        assert merger.conflicts == [(HITS, older)]


def test_what_only_the_archive_defines_differently_is_no_conflict(shards: Shards) -> None:
    archive = fold(Archive(), [shards((Definition("hits_total", "counter", "Hits."), {(): [2.0]}))])
    merger = Merger()
    assert [family.definition for family in merger.merge([shards((HITS, {("200",): [1.0]}))], archive)] == [HITS]
    assert merger.conflicts == []


def test_descriptions_may_differ(shards: Shards) -> None:
    other = Definition("hits_total", "counter", "Hits, of course.", ("code",))
    snapshots = [shards((HITS, {("200",): [2.0]})), shards((other, {("200",): [3.0]}))]
    assert merged(snapshots) == ['hits_total{code="200"} 5.0']


def test_reserved_names_are_left_out(shards: Shards) -> None:
    ours = Definition("pytheus_collector_errors_total", "counter", "Not theirs to say.")
    merger = Merger()
    assert (
        merger.merge([shards((ours, {(): [1.0]}), (HITS, {("x",): [1.0]}))], Archive(), reserved=["hits_total"]) == []
    )
    assert sorted(left_out.name for _, left_out in merger.conflicts) == ["hits_total", ours.name]


# From scrape to scrape ------------------------------------------------------------------------------------------------


def text(merger: Merger, snapshots: list[Snapshot], archive: Archive | None = None) -> list[str]:
    return merged(snapshots, archive, merger=merger)


def test_a_layout_that_grows_is_followed(shards: Shards) -> None:
    merger = Merger()
    one = shards((HITS, {("200",): [2.0]}))
    other = shards((HITS, {("500",): [1.0]}))
    assert text(merger, [one, other]) == ['hits_total{code="200"} 2.0', 'hits_total{code="500"} 1.0']
    one.layout.add_series(one.layout.add_definition(WEIGHT), (), 1)
    one.layout.add_series(0, ("500",), 3)
    one = one._replace(numbers=[2.0, 3.5, 1.0, 4.0])
    assert text(merger, [one, other]) == [
        'hits_total{code="200"} 2.0',
        'hits_total{code="500"} 5.0',
        "weight_sum 3.5",
        "weight_count 1.0",
    ]


def test_a_series_that_is_gone_is_not_shown_and_its_place_is_anothers(shards: Shards) -> None:
    merger = Merger()
    one = shards((HITS, {("200",): [2.0], ("500",): [1.0]}))
    other = shards((HITS, {("200",): [5.0]}))
    text(merger, [one, other])
    one.layout.remove_series(0)
    one.layout.remove_series(1)
    assert text(merger, [one, other]) == ['hits_total{code="200"} 5.0']
    one.layout.add_series(0, ("404",), 0)
    one.layout.add_series(0, ("200",), 1)
    assert text(merger, [one, other]) == ['hits_total{code="200"} 6.0', 'hits_total{code="404"} 2.0']


def test_a_series_that_is_gone_before_it_was_seen_is_not_shown(shards: Shards) -> None:
    one = shards((HITS, {("200",): [2.0], ("500",): [1.0]}))
    one.layout.remove_series(0)
    assert text(Merger(), [one]) == ['hits_total{code="500"} 1.0']


def test_shards_come_and_go(shards: Shards) -> None:
    merger = Merger()
    one, two, three = (shards((HITS, {(code,): [1.0]}), (gauge(name=f"g{code}"), {(): [1.0]})) for code in "123")
    assert text(merger, [one, two])[2:] == ['hits_total{code="1"} 1.0', 'hits_total{code="2"} 1.0']
    assert text(merger, [three, two]) == ["g2 1.0", "g3 1.0", 'hits_total{code="2"} 1.0', 'hits_total{code="3"} 1.0']
    assert text(merger, []) == []
    assert text(merger, [one]) == ["g1 1.0", 'hits_total{code="1"} 1.0']


def test_a_shard_that_dies_goes_over_into_the_archive(shards: Shards) -> None:
    merger = Merger()
    one, two = (shards((HITS, {("200",): [value]}), (gauge(), {(): [value]})) for value in (1.0, 2.0))
    assert text(merger, [one, two]) == ['hits_total{code="200"} 3.0', "jobs 3.0"]
    dead = one._replace(live=False)
    assert text(merger, [dead, two]) == ['hits_total{code="200"} 3.0', "jobs 2.0"]
    assert text(merger, [two], fold(Archive(), [dead])) == ['hits_total{code="200"} 3.0', "jobs 2.0"]


def test_a_new_layout_of_a_shard_replaces_the_former(shards: Shards) -> None:
    merger = Merger()
    identity = shards.identity()
    text(merger, [shards((HITS, {("200",): [1.0]}), identity=identity)])
    assert text(merger, [shards((HITS, {("500",): [2.0]}), identity=identity)]) == ['hits_total{code="500"} 2.0']


def test_series_that_come_and_go_for_ever_leave_nothing_behind(shards: Shards) -> None:
    merger = Merger()
    lasting = shards((HITS, {("lasting",): [1.0]}))
    for number in range(5000):
        passing = shards((HITS, {(str(number),): [1.0]}))
        merger.merge([lasting, passing], Archive())
    families = merger.merge([lasting], Archive())
    assert [len(family._result.totals[1]) < 4000 for family in families] == [True]


def test_a_family_does_not_change_with_later_scrapes(shards: Shards) -> None:
    merger = Merger()
    one = shards((HITS, {("200",): [1.0]}))
    (former,) = merger.merge([one], Archive())
    one.layout.add_series(0, ("500",), 1)
    (latter,) = merger.merge([one._replace(numbers=[2.0, 3.0])], Archive())
    assert "".join(latter.text_parts("")).splitlines()[2:] == [
        'hits_total{code="200"} 2.0',
        'hits_total{code="500"} 3.0',
    ]
    assert "".join(former.text_parts("")).splitlines()[2:] == ['hits_total{code="200"} 1.0']


def test_a_shard_that_has_a_series_twice_counts_the_first(shards: Shards) -> None:
    layout = Layout()
    number = layout.add_definition(HITS)
    for offset in range(2):
        layout.add_series(number, ("200",), offset)
    assert text(Merger(), [Snapshot(shards.identity(), True, layout, [1.0, 2.0])]) == ['hits_total{code="200"} 1.0']
