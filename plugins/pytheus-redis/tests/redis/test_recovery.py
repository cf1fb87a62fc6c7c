"""Redis forgot, was emptied, evicted keys or went back in time: everything is there again, and nothing counts twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from pytheus_redis.client import Answer, Call, RedisClient
from pytheus_redis.scripts import COMMIT, INSPECT, PUBLISH, STAGE

if TYPE_CHECKING:
    from tests.redis.conftest import Members


def test_a_redis_that_was_emptied_is_filled_again(members: Members) -> None:
    one, other, gone = members(), members(), members()
    gone.publish(a=1)
    members.die(gone)
    one.publish(a=2)
    other.count("a", by=3)
    assert other.total("a") == 6
    members.forget_everything()
    one.publish()
    assert other.total("a") == 5


def test_a_folded_process_publishes_all_of_it_to_an_emptied_redis(members: Members) -> None:
    paused, reader = members(), members()
    paused.publish(a=5)
    members.die(paused)
    reader.scrape()
    paused.publish()
    assert reader.total("a") == 5
    members.forget_everything()
    paused.publish()
    assert reader.total("a") == 5


def test_no_message_that_arrives_late_brings_back_a_shard_that_redis_lost(members: Members) -> None:
    sent: list[Call] = []

    class Recorder(RedisClient):
        def run(self, call: Call, /) -> Answer:
            sent.append(call)
            return super().run(call)

    one, reader = members(Recorder), members()
    one.publish(a=5)
    one.publish(a=1)
    late = sent.copy()
    assert {call.script for call in late} >= {INSPECT, STAGE, COMMIT, PUBLISH}
    members.forget_everything()
    for call in late:
        reader.store.client.run(call)
    assert members.command("ZCARD", "shards") == 0
    one.publish(a=1)
    for call in late:
        reader.store.client.run(call)
    assert members.command("ZCARD", "shards") == 1
    members.die(one)
    assert reader.scrape() == {("tally_total", ("a",)): 7}


def test_a_redis_that_went_back_in_time_gets_everything_again(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=1)
    about = f"about:{one.token}"
    one.publish(a=1)
    before = members.command("HGET", about, "attempt")
    one.publish(a=1)
    assert isinstance(before, bytes)
    members.command("HSET", about, "attempt", before)  # as a replica that lagged behind has it
    one.publish(b=1)
    assert reader.scrape() == {("tally_total", ("a",)): 3, ("tally_total", ("b",)): 1}


class Rewinder:
    """Lets a namespace go back in time, as a server does that is restored from what it last saved."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._saved: dict[str, object] = {}

    def save(self) -> None:
        self._saved = {key: self._members.command("DUMP", key) for key in self._members.key_names()}

    def rewind(self) -> None:
        """Back to what was saved, which was long ago."""
        self._members.forget_everything()
        for key, data in self._saved.items():
            assert isinstance(data, bytes)
            self._members.command("RESTORE", key, 0, data)
        for token in cast("list[bytes]", self._members.command("ZRANGE", "shards", 0, -1)):
            self._members.command("ZADD", "shards", "XX", 1000, token)

    def let_the_silence_be_long_over(self) -> None:
        self._members.command("HSET", "state", "since", 2000)


@pytest.fixture
def rewinder(members: Members) -> Rewinder:
    return Rewinder(members)


def test_who_scrapes_a_redis_that_went_back_in_time_leaves_the_others_time_to_come_back(
    members: Members, rewinder: Rewinder
) -> None:
    one, reader = members(), members()
    one.publish(a=3)
    rewinder.save()
    one.publish(a=10)
    assert reader.total("a") == 13
    rewinder.rewind()
    assert reader.total("a") == 3
    one.publish()
    assert reader.total("a") == 13
    rewinder.let_the_silence_be_long_over()
    members.die(one)
    assert reader.total("a") == 13


def test_a_shard_that_was_replaced_and_comes_back_as_redis_went_back_in_time_is_replaced_again(
    members: Members, rewinder: Rewinder
) -> None:
    one, reader = members(), members()
    one.publish(a=3)
    rewinder.save()
    for number in range(300):  # until its index is written again
        one.count(f"{number}" * 400)
        one.publish()
        one.tally.remove(f"{number}" * 400)
    one.publish(a=10)
    assert reader.total("a") == 13
    rewinder.rewind()
    one.publish()
    assert reader.total("a") == 13
    assert members.command("ZCARD", "shards") == 2


def test_after_a_silence_of_all_the_dead_are_folded_by_a_process_that_does_not_stay(
    members: Members, rewinder: Rewinder
) -> None:
    gone = members()
    gone.publish(a=3)
    rewinder.save()
    rewinder.rewind()
    passing = members()
    assert passing.total("a") == 3
    passing.store.publisher.publish(passing.collectors, last=True)
    assert members.command("ZCARD", "shards") == 2
    rewinder.let_the_silence_be_long_over()
    passing = members()
    assert passing.total("a") == 3
    assert members.command("ZCARD", "shards") == 1


@pytest.mark.parametrize("key", ["about:TOKEN", "index:TOKEN", "numbers:TOKEN", "base:TOKEN", "shards"])
def test_a_process_whose_key_was_evicted_publishes_everything_again(members: Members, key: str) -> None:
    gone, one, reader = members(), members(), members()
    gone.publish(a=100)
    members.die(gone)
    one.publish(a=3)
    reader.scrape()
    if key == "base:TOKEN":
        members.die(one)
        reader.scrape()
    one.publish(b=1)
    assert members.command("DEL", key.replace("TOKEN", one.store.publisher.identity.token)) == 1
    one.publish()
    for who in (reader, members()):
        assert who.scrape() == {("tally_total", ("a",)): 103, ("tally_total", ("b",)): 1}
