"""Redis is full, read-only, not ours to use, or holds what cannot be read: told once, and healed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytheus import Counter

if TYPE_CHECKING:
    from tests.redis.conftest import Server, Servers, WaitUntil
    from tests.redis.failures.conftest import Pair, Processes


def test_a_full_server_is_told_of_and_heals(server: Server, pair: Pair, wait_until: WaitUntil) -> None:
    one, other = pair
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.command("CONFIG", "SET", "maxmemory", "1")
    one.counter.inc()
    wait_until(lambda: one.failures("full") > 0, "the failure")
    assert one.seen() == 12
    assert other.seen() == 11
    server.command("CONFIG", "SET", "maxmemory", "0")
    wait_until(lambda: one.seen() == other.seen() == 12, "its number to be published")


def test_a_full_server_at_the_start_shows_this_process_alone(
    server: Server, process: Processes, wait_until: WaitUntil
) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1")
    one = process(server.port)
    one.counter.inc(5)
    assert one.seen() == 5
    server.command("CONFIG", "SET", "maxmemory", "0")
    other = process(server.port)
    wait_until(lambda: other.seen() == 5, "it to be published")


def test_a_shard_that_does_not_fit_leaves_nothing_that_takes_memory_from_others(
    server: Server, process: Processes, wait_until: WaitUntil
) -> None:
    small = process(server.port)
    small.counter.inc(5)
    assert small.seen() == 5
    with server.client() as client:
        server.command("CONFIG", "SET", "maxmemory", client.info("memory")["used_memory"] + 4_000_000)
    large = process(server.port, interval_seconds=1000, expiry_seconds=10000)
    labelled = Counter("large_total", "Large.", ["label"], registry=large.registry)
    for number in range(400):
        labelled.labels(f"{number:05}" * 5000).inc()
    assert large.failures("full") == 1
    indexes = server.command("KEYS", "*:index:*")
    assert isinstance(indexes, list)
    assert len(indexes) == 1
    wait_until(lambda: small.seen("pytheus_redis_up") in (None, 1), "the small one to be published")


def test_a_server_that_became_a_replica_is_told_of_and_heals(
    server: Server, servers: Servers, process: Processes, wait_until: WaitUntil
) -> None:
    one = process(server.port)
    one.counter.inc(5)
    assert one.seen() == 5
    server.command("REPLICAOF", "127.0.0.1", servers().port)
    one.counter.inc()
    wait_until(lambda: one.failures("read_only") + one.failures("loading") > 0, "the failure")
    assert one.seen() == 6
    server.command("REPLICAOF", "NO", "ONE")
    other = process(server.port)
    wait_until(lambda: other.seen() == 6, "everything to be published again")


def test_wrong_credentials_are_told_of_without_showing_them(
    servers: Servers, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    server = servers("--requirepass", "correct-horse")
    one = process(server.port, password="wrong-hunter2")
    one.counter.inc(5)
    wait_until(lambda: one.failures("credentials") > 0, "the failure")
    assert one.seen() == 5
    assert "check the user name and password" in caplog.text
    with server.client(password="correct-horse") as operator:
        operator.config_set("requirepass", "wrong-hunter2")
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be let in")
    assert "hunter2" not in caplog.text
    server.kill()


def test_a_user_without_permission_is_told_of(server: Server, process: Processes, wait_until: WaitUntil) -> None:
    server.command("ACL", "SETUSER", "shop", "on", ">hunter2", "~other:*", "+@all")
    one = process(server.port, username="shop", password="hunter2")
    one.counter.inc(5)
    wait_until(lambda: one.failures("permission") > 0, "the failure")
    server.command("ACL", "SETUSER", "shop", "~pytheus1:*")
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be let in")
    assert one.seen() == 5


def test_keys_of_something_else_are_told_of(
    server: Server, namespace: str, process: Processes, wait_until: WaitUntil
) -> None:
    server.command("SET", f"pytheus1:{{{namespace}}}:shards", "mine")
    one = process(server.port)
    one.counter.inc(5)
    wait_until(lambda: one.failures("data") > 0, "the failure")
    assert one.seen() == 5


def test_a_shard_that_cannot_be_read_is_left_out(
    server: Server, namespace: str, process: Processes, pair: Pair, wait_until: WaitUntil
) -> None:
    _, other = pair
    token = other.store.publisher.identity.token
    other.registry.close()
    server.command("ZADD", f"pytheus1:{{{namespace}}}:shards", "1e15", token)
    server.command("SETRANGE", f"pytheus1:{{{namespace}}}:index:{token}", 0, "no record")
    fresh = process(server.port)
    wait_until(lambda: fresh.seen() == 5, "the others")
    assert fresh.seen("pytheus_shards_skipped") == 1


def test_an_archive_that_cannot_be_read_is_told_of_once_and_heals(
    server: Server, namespace: str, pair: Pair, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = pair
    # In this order, because an archive that is missing ends the epoch at once.
    server.command("SET", f"pytheus1:{{{namespace}}}:archive", "pytheus archive 2\n")
    server.command("HSET", f"pytheus1:{{{namespace}}}:state", "archive", "from-the-future")
    one.counter.inc()
    assert one.seen() == 12
    wait_until(lambda: one.seen() == 12 and one.seen("pytheus_shards_skipped") == 0, "the archive to be replaced")
    # By either process, and awaited, because a scrape on a busy machine may be over before the publication.
    wait_until(lambda: 1 in [each.seen("pytheus_redis_up") for each in (one, other)], "a publication")
    skipped, replaced = (
        [line for line in (record.getMessage() for record in caplog.records) if text in line]
        for text in ("archive is skipped: ", "archive was not valid and was replaced")
    )
    assert (len(skipped), len(replaced)) == (1, 1)


def test_a_process_that_may_publish_but_not_read_logs_one_line(
    server: Server, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    server.command("ACL", "SETUSER", "shop", "on", ">hunter2", "~pytheus1:*", "+@all", "-script")
    one = process(server.port, username="shop", password="hunter2")
    for count in range(1, 4):
        one.counter.inc()
        wait_until(lambda count=count: (one.seen("pytheus_redis_publications_total") or 0) > count, "publications")  # type: ignore[misc]  # a default binds
        assert one.seen() == count
    assert one.seen("pytheus_redis_up") == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert "script|load" in line or "script" in line


@pytest.mark.parametrize("junk", ["wrong type", "no number", "bytes"])
def test_a_shard_that_was_never_one_is_left_out(
    server: Server, namespace: str, pair: Pair, wait_until: WaitUntil, junk: str
) -> None:
    one, other = pair
    head = f"pytheus1:{{{namespace}}}:"
    server.command("ZADD", f"{head}shards", "1e15", b"\xff\xfe" if junk == "bytes" else "junk")
    if junk == "wrong type":
        server.command("SET", f"{head}about:junk", "junk")
    elif junk == "no number":
        server.command("HSET", f"{head}about:junk", "attempt", "1", "identity", '["host", 1e999, 3]')
    other.counter.inc()
    wait_until(lambda: one.seen() == 12, "the others")
    assert one.seen("pytheus_shards_skipped") == 1
    assert one.seen("pytheus_redis_up") is None
