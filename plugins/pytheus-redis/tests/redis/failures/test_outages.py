"""Redis is down, slow, hung, emptied or cut off: the process counts on, and heals by itself."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter

if TYPE_CHECKING:
    from tests.redis.conftest import Proxy, Server, WaitUntil
    from tests.redis.failures.conftest import Pair, Processes


HASTY: dict[str, object] = {"timeout_seconds": 0.3, "scrape_seconds": 1.0}
"""For tests in which no answer comes; in all others, a busy machine may delay an answer."""


def test_a_server_that_comes_late_gets_everything(server: Server, process: Processes, wait_until: WaitUntil) -> None:
    server.kill()
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    assert one.seen() == 5
    assert one.seen("pytheus_redis_up") == 0
    server.start()
    wait_until(lambda: one.seen() == other.seen() == 11, "both to be seen")
    assert one.seen("pytheus_redis_up") == 1
    assert one.failures("unreachable") >= 1


def test_an_outage_is_one_line_in_the_log(
    server: Server, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    one = process(server.port)
    one.counter.inc()
    assert one.seen() == 1
    caplog.clear()
    server.kill()
    wait_until(lambda: one.failures("unreachable") > 5, "failures")
    server.start()
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be reached again")
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert len(lines) == 2, lines
    assert "failed to publish" in lines[0]
    assert "succeeded to publish again" in lines[1]


def test_a_server_that_is_killed_and_comes_back_empty_gets_everything_again(
    server: Server, pair: Pair, wait_until: WaitUntil
) -> None:
    one, other = pair
    server.kill()
    one.counter.inc()
    # What was read last, with its own number as it is now: a counter does not go back for an outage.
    assert one.seen() == 12
    server.start()
    wait_until(lambda: one.seen() == other.seen() == 12, "both to be seen again")


def test_flushall_is_healed(server: Server, pair: Pair, wait_until: WaitUntil) -> None:
    one, other = pair
    server.command("FLUSHALL")
    wait_until(lambda: one.seen() == other.seen() == 11, "both to be seen again")


def test_scripts_that_were_flushed_are_sent_again(server: Server, process: Processes) -> None:
    one = process(server.port, interval_seconds=1000, expiry_seconds=10000)
    one.counter.inc(5)
    assert one.seen() == 5
    server.command("SCRIPT", "FLUSH")
    one.counter.inc()
    assert one.seen() == 6
    assert one.seen("pytheus_redis_up") is None


def test_a_server_that_hangs_holds_up_nothing_but_a_scrape_for_a_while(
    server: Server, process: Processes, wait_until: WaitUntil
) -> None:
    one, other = process(server.port, **HASTY), process(server.port, **HASTY)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == 11, "both to be seen")
    server.pause()
    one.counter.inc()
    Counter("later_total", "Defined while it hangs.", registry=one.registry).inc()
    seen = one.exposed()
    assert (seen["orders_total"], seen.get("later_total")) == (12, 1), seen
    server.resume()
    wait_until(lambda: (other.seen(), other.seen("later_total")) == (12, 1), "its numbers to be published")


def test_a_process_ends_although_the_server_hangs(server: Server, process: Processes) -> None:
    one = process(server.port, **HASTY)
    one.counter.inc()
    assert one.seen() == 1
    server.pause()
    closing = threading.Thread(target=one.registry.close)
    closing.start()
    closing.join(60)
    server.resume()
    assert not closing.is_alive()


def test_a_cut_network_heals(shared_server: Server, proxy: Proxy, process: Processes, wait_until: WaitUntil) -> None:
    far, near = process(proxy.port), process(shared_server.port)
    far.counter.inc(5)
    near.counter.inc(6)
    wait_until(lambda: far.seen() == near.seen() == 11, "both to be seen")
    proxy.cut = True
    proxy.drop_all()
    far.counter.inc()
    wait_until(lambda: far.seen("pytheus_redis_up") == 0, "the cut to be noticed")
    assert far.seen() == 12
    assert near.seen() == 11
    proxy.cut = False
    wait_until(lambda: near.seen() == 12, "the far one to be heard of again")


def test_a_process_that_was_cut_off_for_so_long_that_it_was_folded_counts_once(
    shared_server: Server, namespace: str, proxy: Proxy, process: Processes, wait_until: WaitUntil
) -> None:
    far, near = process(proxy.port), process(shared_server.port)
    far.counter.inc(5)
    wait_until(lambda: near.seen() == 5, "it to be seen")
    proxy.cut = True
    proxy.drop_all()
    shared_server.silence(namespace, far.store.publisher.identity.token)
    assert near.seen() == 5
    far.counter.inc()
    proxy.cut = False
    wait_until(lambda: near.seen() == 6, "the far one to be heard of again")


def test_replies_that_get_lost_double_nothing(
    shared_server: Server, proxy: Proxy, process: Processes, wait_until: WaitUntil
) -> None:
    far, near = process(proxy.port, **HASTY), process(shared_server.port)
    far.counter.inc(5)
    wait_until(lambda: near.seen() == 5, "it to be seen")

    def is_down() -> bool:
        return far.seen("pytheus_redis_up") == 0

    def count_while_replies_are_swallowed(count: int) -> bool:
        """Return whether the request arrived; the reply to another one may be lost first, and end the connection."""
        proxy.swallow_replies = True
        far.counter.inc()
        wait_until(lambda: near.seen() == count or is_down(), "the request to arrive")
        return near.seen() == count

    count = 6
    while not count_while_replies_are_swallowed(count):
        proxy.swallow_replies = False
        proxy.drop_all()
        wait_until(lambda: near.seen() == count, "the far one to be heard of again")  # noqa: B023  # called at once
        count += 1
    far.counter.inc()
    wait_until(is_down, "the loss to be noticed")
    proxy.swallow_replies = False
    proxy.drop_all()
    wait_until(lambda: near.seen() == count + 1, "the far one to be heard of again")


def test_requests_that_arrive_twice_double_nothing(
    shared_server: Server, proxy: Proxy, process: Processes, wait_until: WaitUntil
) -> None:
    proxy.replay = True
    far, near = process(proxy.port), process(shared_server.port)
    for count in range(1, 6):
        far.counter.inc()
        wait_until(lambda count=count: near.seen() == count, "it to be seen")  # type: ignore[misc]  # a default binds
        replayed = proxy.replayed

        def drop_until_replayed(replayed: int = replayed) -> bool:
            proxy.drop_all()  # again, because there may be no connection just now
            return proxy.replayed > replayed

        wait_until(drop_until_replayed, "the replay")
        assert near.seen() == count


def test_a_slow_network_delays_only_what_is_seen(
    shared_server: Server, proxy: Proxy, process: Processes, wait_until: WaitUntil
) -> None:
    proxy.delay_seconds = 0.1
    far, near = process(proxy.port), process(shared_server.port)
    far.counter.inc(5)
    wait_until(lambda: near.seen() == 5, "it to be seen")
