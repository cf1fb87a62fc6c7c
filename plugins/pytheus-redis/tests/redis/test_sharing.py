"""Processes meet: what one publishes, all see; what the dead left stays, and nothing counts twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter
from pytheus_redis.client import Answer, Call

if TYPE_CHECKING:
    from tests.redis.conftest import Member, Members, WaitUntil


def test_a_scrape_shows_the_sum_over_all_processes(members: Members) -> None:
    one, other = members(), members()
    one.count("a", by=3)
    other.publish(a=4, b=5)
    assert one.scrape() == {("tally_total", ("a",)): 7, ("tally_total", ("b",)): 5}
    assert other.scrape() == one.exposed


def test_publishing_without_a_change_changes_nothing(members: Members) -> None:
    one = members()
    one.publish(a=1)
    one.publish()
    assert one.total("a") == 1


def test_series_that_come_later_are_published(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=1)
    assert reader.total("a") == 1
    one.publish(a=1, b=2)
    assert reader.scrape() == {("tally_total", ("a",)): 2, ("tally_total", ("b",)): 2}


def test_a_series_that_is_removed_goes(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=1, b=1)
    reader.scrape()
    one.tally.remove("a")
    one.count("c", by=7)  # may have the place of "a"
    one.publish()
    assert reader.scrape() == {("tally_total", ("b",)): 1, ("tally_total", ("c",)): 7}


def test_a_metric_that_is_unregistered_goes(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=1)
    assert reader.total("a") == 1
    one.collectors = []
    one.publish()
    assert reader.scrape() == {}


def test_series_that_end_while_another_process_reads(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=3, b=1)
    reader.scrape()
    counts = {("tally_total", ("a",)): 3, ("tally_total", ("b",)): 1}
    client = reader.store.client
    run_all = client.run_all
    readings = 0

    def end_before(calls: Sequence[Call]) -> list[Answer]:
        nonlocal readings
        readings += 1
        if readings == 1:  # the shards are listed, and not read yet
            one.end_series()
            one.publish()
        return run_all(calls)

    setattr(client, "run_all", end_before)  # noqa: B010  # mypy rejects an assignment to a method
    assert reader.scrape() == counts
    assert readings == 2
    assert reader.scrape() == counts


def test_what_the_dead_left_stays(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=2)
    members.die(one)
    for _ in range(3):
        assert reader.total("a") == 2
    assert not members.command("KEYS", f"numbers:{one.token}")
    assert members.command("ZCARD", "shards") == 1


def test_sums_are_exact_whichever_dies_first(members: Members) -> None:
    numbers = [1e16, 1.0, 1e-9, 3.5, 1e16]
    everyone = [members() for _ in numbers]
    for member, number in zip(everyone, numbers, strict=True):
        member.publish(a=number)
    reader = members()
    for member in everyone:
        assert reader.total("a") == math.fsum(numbers)
        members.die(member)
    assert reader.total("a") == math.fsum(numbers)


def test_a_process_that_was_paused_and_folded_neither_doubles_nor_loses(members: Members) -> None:
    paused, reader = members(), members()
    paused.publish(a=5)
    for counted in (1, 2, 3):
        members.die(paused)
        assert reader.total("a") == 5 + counted - 1
        paused.publish(a=1)
        assert reader.total("a") == 5 + counted
    members.die(paused)
    assert reader.total("a") == 8


def test_a_process_that_was_paused_and_not_folded_goes_on_with_its_shard(members: Members) -> None:
    paused, reader = members(), members()
    paused.publish(a=5)
    token = paused.token
    members.die(paused)
    paused.publish()
    assert (paused.token, reader.total("a")) == (token, 5)


def test_a_process_that_was_folded_and_then_removed_a_series_keeps_what_is_in_the_archive(members: Members) -> None:
    paused, reader = members(), members()
    paused.publish(a=5, b=5)
    members.die(paused)
    reader.scrape()
    paused.publish()
    paused.tally.remove("a")
    paused.publish(c=7)
    assert reader.scrape() == {("tally_total", (what,)): total for what, total in (("a", 5), ("b", 5), ("c", 7))}


def test_it_remembers_by_itself_what_was_folded_when_redis_forgot(members: Members) -> None:
    paused, reader = members(remember_seconds=0.001), members()
    paused.publish(a=5)
    members.die(paused)
    reader.scrape()
    assert members.command("HDEL", "folded", paused.token) == 1
    paused.publish(a=1)
    assert reader.total("a") == 6


@pytest.mark.parametrize("left", ["nothing", "junk"])
def test_the_dead_of_whom_nothing_is_left_are_not_listed_for_ever(members: Members, left: str) -> None:
    gone, folded, reader = members(), members(), members()
    for member in (gone, folded):
        member.publish(a=3)
    assert members.command("DEL", f"about:{gone.token}") == 1
    if left == "junk":
        members.command("SET", f"about:{gone.token}", "junk")
    members.die(gone, folded)
    (failure,) = reader.read().skipped
    assert failure.reason == "its keys are gone, though it is listed"
    assert reader.total("a") == 3
    assert members.command("ZCARD", "shards") == 1
    gone.publish(a=1)
    assert reader.total("a") == 7


@pytest.mark.parametrize("key", ["archive", "state"])
def test_when_the_archive_was_evicted_everybody_alive_is_counted_exactly(members: Members, key: str) -> None:
    gone, one, paused, reader = members(), members(), members(), members()
    gone.count("a", by=100)
    paused.count("a", by=20)
    for member in (gone, paused):
        member.publish()
        members.die(member)
    reader.scrape()
    one.publish(a=3)
    assert reader.total("a") == 123
    assert members.command("DEL", key) == 1
    one.publish()
    paused.publish(a=1)
    for who in (reader, members()):
        assert who.total("a") == 24


def test_notes_of_what_was_folded_are_nothing_that_a_full_server_may_drop(members: Members) -> None:
    one, reader = members(), members()
    one.publish()
    members.die(one)
    reader.scrape()
    assert members.command("HEXISTS", "folded", one.token) == 1
    assert members.command("TTL", "folded") == -1  # it does not expire, so no policy that is "volatile" takes it


def test_notes_of_what_was_folded_go_in_time(members: Members, wait_until: WaitUntil) -> None:
    one, reader = members(), members(remember_seconds=0.0001)
    one.publish(a=1)
    members.die(one)
    assert reader.total("a") == 1

    def folded_another() -> bool:
        another = members()
        another.publish()
        members.die(another)
        assert reader.total("a") == 1
        return members.command("HEXISTS", "folded", one.token) == 0

    wait_until(folded_another, "the note to go")


def test_a_large_shard_is_staged_in_invisible_parts(members: Members) -> None:
    one, reader = members(), members()
    names = [f"{number} " * 30 for number in range(5000)]
    for number, name in enumerate(names):
        one.count(name, by=number)
    one.publish()
    exposed = reader.scrape()
    assert exposed == {("tally_total", (name,)): number for number, name in enumerate(names)}
    for name in names:
        one.count(name)
    one.publish()
    assert reader.total(names[7]) == 8


def come_and_go(one: Member) -> None:
    for number in range(300):
        comes_and_goes = f"{number}" * 400
        one.publish(**{comes_and_goes: 1})
        one.tally.remove(comes_and_goes)


def come_with_exemplars_and_go(one: Member) -> None:
    for number in range(1500):
        one.tally.labels(str(number)).inc(exemplar={"trace_id": "0123456789abcdef" * 5})
        one.publish()
        one.tally.remove(str(number))


def define_metrics_that_go(one: Member) -> None:
    for number in range(700):
        passing = Counter(f"passing_{number}_total", "Comes and goes. " * 10, registry=None)
        one.collectors = [one.tally, passing]
        one.publish()
    one.collectors = [one.tally]


@pytest.mark.parametrize("let_it_grow", [come_and_go, come_with_exemplars_and_go, define_metrics_that_go])
def test_an_index_that_has_grown_too_much_is_written_again(
    members: Members, let_it_grow: Callable[[Member], None]
) -> None:
    one, reader = members(), members()
    one.count("stays", by=3)
    let_it_grow(one)
    one.publish()
    assert reader.scrape() == {("tally_total", ("stays",)): 3}
    assert members.index_bytes(one) < 100_000


def test_namespaces_do_not_see_each_other(members: Members) -> None:
    one, other = members(), members(namespace=f"{members.namespace}-another")
    one.publish(a=1)
    assert other.scrape() == {}


def test_series_that_no_process_has_had_for_long_expire(members: Members, wait_until: WaitUntil) -> None:
    gone, one = members(), members(series_expiry_seconds=0.001)
    gone.publish(a=1, shared=1)
    one.publish(shared=1)
    members.die(gone)
    assert one.scrape() == {("tally_total", ("a",)): 1, ("tally_total", ("shared",)): 2}
    wait_until(lambda: ("tally_total", ("a",)) not in one.scrape(), "the series to expire")
    assert one.exposed == {("tally_total", ("shared",)): 2}
