"""Other ways to a server: a socket, another database, TLS, a cluster, sentinels."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import redis

from pytheus import Gauge
from pytheus_redis.client import RedisClient

if TYPE_CHECKING:
    from tests.redis.conftest import Server, Servers, WaitUntil
    from tests.redis.failures.conftest import Processes


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A socket's path can have a hundred characters only, of which the usual directories may take most."""
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
    assert distrustful.failures("tls", step="publish") == 1


def cluster_of_one(servers: Servers, wait_until: WaitUntil, *arguments: str) -> Server:
    server = servers("--cluster-enabled", "yes", *arguments)
    server.command("CLUSTER", "ADDSLOTS", *range(16384))
    wait_until(lambda: "cluster_state:ok" in repr(server.command("CLUSTER", "INFO")), "the cluster to be there")
    return server


def test_in_a_cluster(servers: Servers, process: Processes, wait_until: WaitUntil) -> None:
    server = cluster_of_one(servers, wait_until)
    one, other = process(server.port, scheme="redis+cluster"), process(server.port, scheme="redis+cluster")
    one.counter.inc(5)
    assert one.seen() == 5
    wait_until(lambda: other.seen() == 5, "it to be seen")
    assert other.seen("pytheus_redis_up") is None


def test_a_slot_that_is_not_served_is_told_of_and_heals(
    servers: Servers, process: Processes, wait_until: WaitUntil
) -> None:
    server = cluster_of_one(servers, wait_until, "--cluster-require-full-coverage", "no")
    one = process(server.port, scheme="redis+cluster")
    one.counter.inc(5)
    assert one.seen() == 5
    slot = server.command("CLUSTER", "KEYSLOT", f"pytheus1:{{{one.store.options.namespace}}}:state")
    assert isinstance(slot, int)
    server.command("CLUSTER", "DELSLOTS", slot)
    wait_until(lambda: one.failures("cluster") > 0, "the failure")
    assert one.failures("other") == 0
    server.command("CLUSTER", "ADDSLOTS", slot)
    wait_until(lambda: one.seen("pytheus_redis_up") == 1, "it to be reached again")


@pytest.mark.slow
def test_sentinel_names_the_server_and_its_successor(
    servers: Servers, process: Processes, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    primary = servers()
    replica = servers("--replicaof", "127.0.0.1", str(primary.port))
    wait_until(lambda: "'master_link_status': 'up'" in info(replica), "the replica to be in step")
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
    wait_until(lambda: "'role': 'master'" in info(replica), "the replica to take over")
    wait_until(lambda: one.seen() == other.seen() == 16, "both to be seen through the successor")
    assert one.seen("baskets") == 2


def test_closing_gives_back_the_connections_to_sentinels_too(servers: Servers, wait_until: WaitUntil) -> None:
    sentinel = servers.sentinel("main", servers().port)
    client = RedisClient(sentinel.options(scheme="redis+sentinel", path="/main"))
    kept: list[object] = []  # so that nothing is closed only because it is not referred to any more

    def answers() -> bool:
        kept.append(client._connected())
        try:
            client._connected().execute_command("PING")
        except Exception:
            client.close()
            return False
        return True

    wait_until(answers, "the primary to be known")
    assert connections(sentinel) >= 2  # the client's, and that of the one who asks
    client.close()
    wait_until(lambda: connections(sentinel) == 1, "the client's connection to Sentinel to end")


def connections(server: Server) -> int:
    clients = server.command("CLIENT", "LIST")
    return clients.count(b"\n") if isinstance(clients, bytes) else len(cast("list[object]", clients))


def info(server: Server) -> str:
    try:
        return repr(server.command("INFO", "replication"))
    except redis.ConnectionError:  # Sentinel closes all connections of a server that takes over
        return ""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see what is open")
def test_a_sentinel_that_knows_no_primary_is_asked_without_leaving_connections_open(
    servers: Servers, process: Processes, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    sentinel = servers.sentinel("main", unused_port())
    gc.collect()
    gc.disable()  # which would close them some time
    try:
        one = process(sentinel.port, scheme="redis+sentinel", path="/another", retry_seconds=0.05)
        wait_until(lambda: one.failures("unreachable") > 1, "failures")
        before = open_files()
        wait_until(lambda: one.failures("unreachable") > 24, "more failures")
        assert open_files() < before + 5
    finally:
        gc.enable()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
