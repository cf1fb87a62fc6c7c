"""Redis forgot, was emptied, evicted keys or went back in time: everything is there again, and nothing counts twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from tests.redis.conftest import Members, Server


def test_a_redis_that_was_emptied_is_filled_again(members: Members, shared_server: Server, namespace: str) -> None:
    one, other, gone = members(), members(), members()
    gone.count("a")
    gone.publish()
    members.die(gone)
    one.count("a", by=2)
    one.publish()
    other.count("a", by=3)
    assert other.total("a") == 6
    shared_server.command("DEL", *[key for key in keys_of(shared_server, namespace) if key])
    one.publish()
    assert other.total("a") == 5


def test_a_folded_process_publishes_all_of_it_to_an_emptied_redis(
    members: Members, shared_server: Server, namespace: str
) -> None:
    paused, reader = members(), members()
    paused.count("a", by=5)
    paused.publish()
    members.die(paused)
    reader.scrape()
    paused.publish()
    assert reader.total("a") == 5
    shared_server.command("DEL", *keys_of(shared_server, namespace))
    paused.publish()
    assert reader.total("a") == 5


def test_a_redis_that_went_back_in_time_gets_everything_again(
    members: Members, shared_server: Server, namespace: str
) -> None:
    one, reader = members(), members()
    one.count("a")
    one.publish()
    about = f"pytheus1:{{{namespace}}}:about:{one.token}"
    one.count("a")
    one.publish()
    before = shared_server.command("HGET", about, "attempt")
    one.count("a")
    one.publish()
    assert isinstance(before, bytes)
    shared_server.command("HSET", about, "attempt", before)  # as a replica that lagged behind has it
    one.count("b")
    one.publish()
    assert reader.scrape() == {("tally_total", ("a",)): 3, ("tally_total", ("b",)): 1}


class Rewinder:
    """Lets a namespace go back in time, as a server does that is restored from what it last saved."""

    def __init__(self, server: Server, namespace: str) -> None:
        self._server, self._namespace = server, namespace
        self._saved: dict[bytes, object] = {}

    def save(self) -> None:
        self._saved = {key: self._server.command("DUMP", key) for key in keys_of(self._server, self._namespace)}

    def rewind(self) -> None:
        """Back to what was saved, which was long ago."""
        self._server.command("DEL", *keys_of(self._server, self._namespace))
        for key, data in self._saved.items():
            assert isinstance(data, bytes)
            self._server.command("RESTORE", key, 0, data)
        shards = f"pytheus1:{{{self._namespace}}}:shards"
        for token in cast("list[bytes]", self._server.command("ZRANGE", shards, 0, -1)):
            self._server.command("ZADD", shards, "XX", 1000, token)

    def let_the_silence_be_long_over(self) -> None:
        self._server.command("HSET", f"pytheus1:{{{self._namespace}}}:state", "since", 2000)


@pytest.fixture
def rewinder(shared_server: Server, namespace: str) -> Rewinder:
    return Rewinder(shared_server, namespace)


def test_who_scrapes_a_redis_that_went_back_in_time_leaves_the_others_time_to_come_back(
    members: Members, rewinder: Rewinder
) -> None:
    one, reader = members(), members()
    one.count("a", by=3)
    one.publish()
    rewinder.save()
    one.count("a", by=10)
    one.publish()
    assert reader.total("a") == 13
    rewinder.rewind()
    assert reader.total("a") == 3
    one.publish()
    assert reader.total("a") == 13
    rewinder.let_the_silence_be_long_over()
    members.die(one)
    assert reader.total("a") == 13


def test_a_shard_that_was_replaced_and_comes_back_as_redis_went_back_in_time_is_replaced_again(
    members: Members, rewinder: Rewinder, shared_server: Server, namespace: str
) -> None:
    one, reader = members(), members()
    one.count("a", by=3)
    one.publish()
    rewinder.save()
    for number in range(300):  # until its index is written again
        one.count(f"{number}" * 400)
        one.publish()
        one.tally.remove(f"{number}" * 400)
    one.count("a", by=10)
    one.publish()
    assert reader.total("a") == 13
    rewinder.rewind()
    one.publish()
    assert reader.total("a") == 13
    assert shared_server.command("ZCARD", f"pytheus1:{{{namespace}}}:shards") == 2


def test_after_a_silence_of_all_the_dead_are_folded_by_a_process_that_does_not_stay(
    members: Members, rewinder: Rewinder, shared_server: Server, namespace: str
) -> None:
    gone = members()
    gone.count("a", by=3)
    gone.publish()
    rewinder.save()
    rewinder.rewind()
    shards = f"pytheus1:{{{namespace}}}:shards"
    passing = members()
    assert passing.total("a") == 3
    passing.store.publisher.publish(passing.collectors, last=True)
    assert shared_server.command("ZCARD", shards) == 2
    rewinder.let_the_silence_be_long_over()
    passing = members()
    assert passing.total("a") == 3
    assert shared_server.command("ZCARD", shards) == 1


@pytest.mark.parametrize("key", ["about:TOKEN", "index:TOKEN", "numbers:TOKEN", "base:TOKEN", "shards"])
def test_a_process_whose_key_was_evicted_publishes_everything_again(
    members: Members, shared_server: Server, namespace: str, key: str
) -> None:
    gone, one, reader = members(), members(), members()
    gone.count("a", by=100)
    gone.publish()
    members.die(gone)
    one.count("a", by=3)
    one.publish()
    reader.scrape()
    if key == "base:TOKEN":
        members.die(one)
        reader.scrape()
    one.count("b")
    one.publish()
    evicted = f"pytheus1:{{{namespace}}}:{key}".replace("TOKEN", one.store.publisher.identity.token)
    assert shared_server.command("DEL", evicted) == 1
    one.publish()
    for who in (reader, members()):
        assert who.scrape() == {("tally_total", ("a",)): 103, ("tally_total", ("b",)): 1}


def keys_of(server: Server, namespace: str) -> list[bytes]:
    keys = server.command("KEYS", f"pytheus1:{{{namespace}}}:*")
    assert isinstance(keys, list)
    return keys
