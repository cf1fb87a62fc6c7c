"""Redis is down, slow, hung, full, emptied, read-only, or not for us: the process counts on, and heals by itself."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.registry import Registry
from pytheus_redis import RedisOptions, RedisStore, redis_registry
from pytheus_redis.link import RedisLink

if TYPE_CHECKING:
    from tests.redis.conftest import Proxy, Server, Servers

WaitUntil = Callable[[Callable[[], object], str], None]


def exposed(registry: Registry) -> dict[str, float]:
    """Every sample of an exposition, by its name with labels."""
    lines = [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


HASTY: dict[str, object] = {"timeout_seconds": 0.3, "scrape_seconds": 1.0}
"""For tests in which no answer comes; in all others, one that a busy machine delays is none that is missing."""


class Process:
    """A registry with its thread, and a counter in it."""

    def __init__(self, port: int, namespace: str, **options: object) -> None:
        quick: dict[str, object] = {
            "interval_seconds": 0.05,
            "retry_seconds": 0.1,
            "timeout_seconds": 20.0,
            "scrape_seconds": 60.0,
            "exit_seconds": 0.2,
        }
        made = cast(Callable[..., RedisOptions], RedisOptions)
        self.registry = redis_registry(made(**quick | {"port": port, "namespace": namespace} | options))
        self.counter = Counter("orders_total", "Orders.", registry=self.registry)

    @property
    def store(self) -> RedisStore:
        store = self.registry.store
        assert isinstance(store, RedisStore)
        return store

    def seen(self, name: str = "orders_total") -> float | None:
        return exposed(self.registry).get(name)


@pytest.fixture
def process(namespace: str) -> Iterator[Callable[..., Process]]:
    """Call it with a port, and options, for a process; all are closed in the end."""
    made: list[Process] = []

    def make(port: int, **options: object) -> Process:
        made.append(Process(port, namespace, **options))
        return made[-1]

    yield make
    for each in made:
        each.registry.close()


@pytest.fixture
def server(servers: Servers) -> Iterator[Server]:
    """A server of the test's own."""
    made = servers()
    yield made
    made.kill()


Processes = Callable[..., Process]


def test_a_server_that_comes_late_gets_everything(
    server: Server, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    assert one.seen() == 5
    assert one.seen("pytheus_redis_up") == 0
    server.start()
    wait_until(lambda: one.seen() == other.seen() == 11, "both to be seen")
    assert one.seen("pytheus_redis_up") == 1
    failures = one.seen('pytheus_redis_failures_total{reason="unreachable"}')
    assert failures is not None
    assert failures >= 1


def test_an_outage_is_one_line_in_the_log(
    server: Server, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    one = process(server.port)
    one.counter.inc()
    assert one.seen() == 1
    caplog.clear()
    server.kill()
    wait_until(lambda: (one.seen('pytheus_redis_failures_total{reason="unreachable"}') or 0) > 5, "failures")
    server.start()
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be reached again")
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert len(lines) == 2, lines
    assert "fails while numbers are published" in lines[0]
    assert "does again what this process asks" in lines[1]


def test_a_server_that_is_killed_and_comes_back_empty_gets_everything_again(
    server: Server, process: Processes, wait_until: WaitUntil
) -> None:
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == 11, "both to be seen")
    server.kill()
    one.counter.inc()
    # What was read last, with its own number as it is now: a counter does not go back for an outage.
    assert one.seen() == 12
    server.start()
    wait_until(lambda: one.seen() == other.seen() == 12, "both to be seen again")


def test_flushall_is_healed(server: Server, process: Processes, wait_until: WaitUntil) -> None:
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == 11, "both to be seen")
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
    seen = exposed(one.registry)
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
    proxy.swallow_replies = True
    far.counter.inc()
    wait_until(lambda: near.seen() == 6, "the request to arrive")
    far.counter.inc()
    wait_until(lambda: far.seen("pytheus_redis_up") == 0, "the loss to be noticed")
    proxy.swallow_replies = False
    proxy.drop_all()
    wait_until(lambda: near.seen() == 7, "the far one to be heard of again")


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
            proxy.drop_all()  # again, for there may be no connection just now
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


def test_a_full_server_is_told_of_and_heals(server: Server, process: Processes, wait_until: WaitUntil) -> None:
    one, other = process(server.port), process(server.port)
    other.counter.inc(6)
    one.counter.inc(5)
    wait_until(lambda: other.seen() == 11, "both to be seen")
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.command("CONFIG", "SET", "maxmemory", "1")
    one.counter.inc()
    wait_until(lambda: (one.seen('pytheus_redis_failures_total{reason="full"}') or 0) > 0, "the failure")
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


def test_a_shard_that_finds_no_room_leaves_nothing_that_takes_room_from_others(
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
    assert large.seen('pytheus_redis_failures_total{reason="full"}') == 1
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
    wait_until(
        lambda: (
            (one.seen('pytheus_redis_failures_total{reason="read_only"}') or 0)
            + (one.seen('pytheus_redis_failures_total{reason="loading"}') or 0)
            > 0
        ),
        "the failure",
    )
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
    wait_until(lambda: (one.seen('pytheus_redis_failures_total{reason="credentials"}') or 0) > 0, "the failure")
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
    wait_until(lambda: (one.seen('pytheus_redis_failures_total{reason="permission"}') or 0) > 0, "the failure")
    server.command("ACL", "SETUSER", "shop", "~pytheus1:*")
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be let in")
    assert one.seen() == 5


def test_keys_of_something_else_are_told_of(
    server: Server, namespace: str, process: Processes, wait_until: WaitUntil
) -> None:
    server.command("SET", f"pytheus1:{{{namespace}}}:shards", "mine")
    one = process(server.port)
    one.counter.inc(5)
    wait_until(lambda: (one.seen('pytheus_redis_failures_total{reason="data"}') or 0) > 0, "the failure")
    assert one.seen() == 5


def test_a_shard_that_cannot_be_read_is_left_out(
    server: Server, namespace: str, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == 11, "both to be seen")
    token = other.store.publisher.identity.token
    other.registry.close()
    server.command("ZADD", f"pytheus1:{{{namespace}}}:shards", "1e15", token)
    server.command("APPEND", f"pytheus1:{{{namespace}}}:index:{token}", "no record")
    fresh = process(server.port)
    wait_until(lambda: fresh.seen() == 5, "the others")
    assert fresh.seen("pytheus_shard_problems") == 1


def test_an_archive_that_cannot_be_read_is_told_of_once_and_heals(
    server: Server, namespace: str, process: Processes, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == 11, "both to be seen")
    server.command("HSET", f"pytheus1:{{{namespace}}}:state", "archive", "from-the-future")
    server.command("SET", f"pytheus1:{{{namespace}}}:archive", "pytheus archive 2\n")
    one.counter.inc()
    for _ in range(3):
        assert one.seen() == 12
    assert one.seen('pytheus_redis_failures_total{reason="data"}') == 4
    assert one.seen("pytheus_redis_up") == 1
    server.command("FLUSHALL")
    wait_until(lambda: one.seen() == 12, "both to be published again")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines
    assert "fails while shards are read: the archive cannot be read" in lines[0]
    assert "can be read again" in lines[1]


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
    server: Server, namespace: str, process: Processes, wait_until: WaitUntil, junk: str
) -> None:
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == 11, "both to be seen")
    head = f"pytheus1:{{{namespace}}}:"
    server.command("ZADD", f"{head}shards", "1e15", b"\xff\xfe" if junk == "bytes" else "junk")
    if junk == "wrong type":
        server.command("SET", f"{head}about:junk", "junk")
    elif junk == "no number":
        server.command("HSET", f"{head}about:junk", "attempt", "1", "identity", '["host", 1e999, 3]')
    other.counter.inc()
    wait_until(lambda: one.seen() == 12, "the others")
    assert one.seen("pytheus_shard_problems") == 1
    assert one.seen("pytheus_redis_up") is None


# Other ways to a server -----------------------------------------------------------------------------------------------


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A socket's path has room for a hundred characters only, of which the usual directories may take most."""
    with tempfile.TemporaryDirectory(dir="/tmp" if os.access("/tmp", os.W_OK) else None) as directory:
        yield Path(directory)


def test_through_a_socket(servers: Servers, process: Processes, short_directory: Path) -> None:
    path = short_directory / "redis.sock"
    servers("--unixsocket", str(path))
    one = process(None, scheme="redis+unix", path=str(path))
    other = process(None, scheme="redis+unix", path=str(path))
    one.counter.inc(5)
    assert one.seen() == 5
    assert other.seen() == 5


def test_another_database(server: Server, process: Processes) -> None:
    one, other = process(server.port, path="/3"), process(server.port)
    one.counter.inc(5)
    assert one.seen() == 5
    assert other.seen() == 0
    assert server.command("DBSIZE") != 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")
def test_over_tls(servers: Servers, process: Processes, tmp_path: Path, unused_port: Callable[[], int]) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    make += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(make, check=True, capture_output=True)
    port = unused_port()
    tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    servers(*tls, "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")
    one = process(port, scheme="rediss", ca_file=str(certificate))
    one.counter.inc(5)
    assert one.seen() == 5
    assert one.seen("pytheus_redis_up") is None
    distrustful = process(port, scheme="rediss")
    assert distrustful.seen('pytheus_redis_failures_total{reason="tls"}') == 1


def test_in_a_cluster(servers: Servers, process: Processes, wait_until: WaitUntil) -> None:
    server = servers("--cluster-enabled", "yes")
    server.command("CLUSTER", "ADDSLOTS", *range(16384))
    wait_until(lambda: b"cluster_state:ok" in cluster_state(server), "the cluster to be there")
    one, other = process(server.port, scheme="redis+cluster"), process(server.port, scheme="redis+cluster")
    one.counter.inc(5)
    assert one.seen() == 5
    wait_until(lambda: other.seen() == 5, "it to be seen")
    assert other.seen("pytheus_redis_up") is None


def test_a_slot_that_is_not_served_is_told_of_and_heals(
    servers: Servers, process: Processes, wait_until: WaitUntil
) -> None:
    server = servers("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    server.command("CLUSTER", "ADDSLOTS", *range(16384))
    wait_until(lambda: b"cluster_state:ok" in cluster_state(server), "the cluster to be there")
    one = process(server.port, scheme="redis+cluster")
    one.counter.inc(5)
    assert one.seen() == 5
    slot = server.command("CLUSTER", "KEYSLOT", f"pytheus1:{{{one.store.options.namespace}}}:state")
    assert isinstance(slot, int)
    server.command("CLUSTER", "DELSLOTS", slot)
    wait_until(lambda: (one.seen('pytheus_redis_failures_total{reason="cluster"}') or 0) > 0, "the failure")
    assert one.seen('pytheus_redis_failures_total{reason="other"}') == 0
    server.command("CLUSTER", "ADDSLOTS", slot)
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be reached again")


def cluster_state(server: Server) -> bytes:
    state = server.command("CLUSTER", "INFO")
    return state.encode() if isinstance(state, str) else repr(state).encode()


def test_sentinel_names_the_server_and_its_successor(
    servers: Servers, process: Processes, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    primary = servers()
    replica = servers("--replicaof", "127.0.0.1", str(primary.port))
    wait_until(lambda: b"master_link_status:up" in info(replica), "the replica to be in step")
    sentinel = servers.sentinel("main", primary.port)
    one = process(sentinel.port, scheme="redis+sentinel", path="/main")
    other = process(sentinel.port, scheme="redis+sentinel", path="/main")
    gauge = Gauge("baskets", "Baskets.", registry=one.registry)
    one.counter.inc(5)
    gauge.set(2)
    wait_until(lambda: one.seen() == 5, "it to be published")
    wait_until(lambda: str(replica.port) in repr(sentinel.command("SENTINEL", "REPLICAS", "main")), "Sentinel to know")
    primary.kill()
    one.counter.inc()
    other.counter.inc(10)
    wait_until(lambda: b"role:master" in info(replica), "the replica to take over")
    wait_until(lambda: one.seen() == other.seen() == 16, "both to be seen through the successor")
    assert one.seen("baskets") == 2


def test_closing_gives_back_the_connections_to_sentinels_too(servers: Servers, wait_until: WaitUntil) -> None:
    sentinel = servers.sentinel("main", servers().port)
    link = RedisLink(sentinel.options(scheme="redis+sentinel", path="/main"))
    kept: list[object] = []  # so that nothing is closed only because nobody has it any more

    def answers() -> bool:
        kept.append(link._connected())
        try:
            link._connected().execute_command("PING")
        except Exception:
            link.close()
            return False
        return True

    wait_until(answers, "the primary to be known")
    assert connections(sentinel) >= 2  # the link's, and that of the one who asks
    link.close()
    wait_until(lambda: connections(sentinel) == 1, "the link's connection to Sentinel to end")


def connections(server: Server) -> int:
    clients = server.command("CLIENT", "LIST")
    return clients.count(b"\n") if isinstance(clients, bytes) else len(cast("list[object]", clients))


def info(server: Server) -> bytes:
    with server.client() as client:
        return "\n".join(f"{key}:{value}" for key, value in client.info("replication").items()).encode()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see what is open")
def test_a_sentinel_that_knows_no_primary_is_asked_without_leaving_connections_open(
    servers: Servers, process: Processes, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    sentinel = servers.sentinel("main", unused_port())
    gc.collect()
    gc.disable()  # which would close them some time
    try:
        one = process(sentinel.port, scheme="redis+sentinel", path="/another", retry_seconds=0.05)
        failures = 'pytheus_redis_failures_total{reason="unreachable"}'
        wait_until(lambda: (one.seen(failures) or 0) > 1, "failures")
        before = open_files()
        wait_until(lambda: (one.seen(failures) or 0) > 12, "more failures")
        assert open_files() < before + 5
    finally:
        gc.enable()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
