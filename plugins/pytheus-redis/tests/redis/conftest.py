"""A Redis of the tests' own, what can go wrong on the way to it, and processes that meet in it.

The server listens on a free port of this machine's loopback, keeps its files in a temporary directory, and ends with
the tests. Where there is a `valkey-server`, everything runs with that as well.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pytheus import Counter
from pytheus.plugins import resolve_registry
from pytheus.registry import HasRows
from pytheus.shards import EndedRows, Reading, ShardedRegistry, fold
from pytheus_redis.client import Client, RedisClient
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.options import RedisOptions
from pytheus_redis.store import RedisStore

SERVERS = ("redis-server", "valkey-server")
PATIENCE_SECONDS = 120
Series = tuple[str, tuple[str, ...]]
WaitUntil = Callable[[Callable[[], object], str], None]


class Server:
    """A Redis server of the test's own."""

    def __init__(self, program: str, directory: Path, port: int, *arguments: str, first: str | None = None) -> None:
        self.directory, self.port = directory, port
        self._command = [program] if first is None else [program, first]
        self._command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
        self._command += arguments if first is not None else ("--save", "", *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        log = open(self.directory / "log", "ab")  # noqa: SIM115  # the server's
        with log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self.client() as client:
                    client.ping()
                    return
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    told = (self.directory / "log").read_text()
                    if "--tls-port" in self._command and ("Bad directive" in told or "Failed finding TLS" in told):
                        pytest.skip(f"this {self._command[0]} was built without TLS")
                    pytest.fail(f"{self._command} did not start:\n{told}")
                time.sleep(0.02)

    def client(self, **arguments: str) -> redis.Redis:
        """A client that sees the server as an operator does."""
        make = cast(Callable[..., redis.Redis], redis.Redis)
        # redis-py would pause for seconds before it tries again to reach a server that is starting.
        retry = Retry(NoBackoff(), 0)
        return make(host="127.0.0.1", port=self.port, socket_timeout=PATIENCE_SECONDS, retry=retry, **arguments)

    def command(self, *arguments: str | bytes | float) -> object:
        """What the server answers."""
        with self.client() as client:
            return cast(object, client.execute_command(*arguments))

    def options(self, **options: object) -> RedisOptions:
        """Options for a registry that uses this server."""
        make = cast(Callable[..., RedisOptions], RedisOptions)
        return make(**{"host": "127.0.0.1", "port": self.port} | options)

    def kill(self) -> None:
        """End it at once; what it held is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Let it hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    # What time does ------------------------------------------------------------------------------------------------

    def silence(self, namespace: str, *tokens: str) -> None:
        """Let it be so long ago that these shards were heard of that they are dead; all of them if none is named."""
        key = f"pytheus1:{{{namespace}}}:shards"
        # All heartbeats are old, and there was no silence of all, after which the dead get time to come back.
        self.command("HSET", f"pytheus1:{{{namespace}}}:state", "since", 2)
        for token in tokens or cast("list[bytes]", self.command("ZRANGE", key, 0, -1)):
            self.command("ZADD", key, "XX", 1, token)


class Servers:
    """Starts servers."""

    def __init__(self, program: str, directory: Callable[[str], Path], unused_port: Callable[[], int]) -> None:
        self.program = program
        self._directory, self._unused_port = directory, unused_port
        self._started: list[Server] = []

    def __call__(self, *arguments: str) -> Server:
        """A server with these arguments."""
        self._started.append(Server(self.program, self._directory("redis"), self._unused_port(), *arguments))
        return self._started[-1]

    def sentinel(self, service: str, port: int) -> Server:
        """A Sentinel that watches the server on `port`, and decides alone, and quickly."""
        directory = self._directory("sentinel")
        config = directory / "sentinel.conf"
        config.write_text(
            f"sentinel monitor {service} 127.0.0.1 {port} 1\n"
            f"sentinel down-after-milliseconds {service} 300\n"
            f"sentinel failover-timeout {service} 2000\n"
        )
        self._started.append(Server(self.program, directory, self._unused_port(), "--sentinel", first=str(config)))
        return self._started[-1]

    def end(self) -> None:
        for server in self._started:
            server.kill()


def available_servers() -> list[object]:
    found = [pytest.param(name) for name in SERVERS if shutil.which(name) is not None]
    missing = pytest.mark.skip(reason="needs redis-server (Debian: apt-get install redis-server)")
    return [*found] or [pytest.param(SERVERS[0], marks=missing)]


@pytest.fixture(scope="session", params=available_servers())
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]
) -> Iterator[Servers]:
    """Call it for a server that all tests leave as it was, or that one test has for itself."""
    made = Servers(request.param, lambda name: tmp_path_factory.mktemp(name), unused_port)
    yield made
    made.end()


@pytest.fixture(scope="session")
def shared_server(servers: Servers) -> Server:
    """A server for all tests that do it no harm."""
    return servers()


_namespaces = itertools.count()


@pytest.fixture
def namespace() -> str:
    """One that no other test uses."""
    return f"test-{os.getpid()}-{next(_namespaces)}"


# Processes -----------------------------------------------------------------------------------------------------------


class Member:
    """One of several processes that meet in a namespace, all of which are in this process; without a thread."""

    def __init__(self, options: RedisOptions, client: Callable[[RedisOptions], Client] = RedisClient) -> None:
        self.store = RedisStore(options, client=client)
        self.tally = Counter("tally_total", "A tally.", ["of"], registry=None)
        rows = EndedRows(self.tally)
        self.tally.retire_series_with(rows.end)
        self.collectors: list[HasRows] = [rows]
        self._now = 0.0
        self.exposed: dict[Series, float] = {}

    @property
    def token(self) -> str:
        return self.store.identity.token

    def count(self, what: str, by: float = 1.0) -> None:
        """Count in its counter."""
        self.tally.labels(what).inc(by)

    def end_series(self) -> int:
        """End all series of its counter; their number."""
        self._now += 2.0
        self.tally.expire_series(1.0, self._now - 1.0)
        return self.tally.expire_series(1.0, self._now)

    def publish(self, **counts: float) -> None:
        """Count `counts`, and do what the thread of a process does once in a while. Raises `RedisStoreError`."""
        for what, by in counts.items():
            self.count(what, by)
        self.store.publisher.publish(self.collectors)

    def scrape(self) -> dict[Series, float]:
        """What a scrape of this process shows. Raises `RedisStoreError`."""
        self.exposed = totals(self.read())
        return self.exposed

    def scrape_without_publishing(self) -> dict[Series, float]:
        """What a scrape shows while Redis can be read, but takes no publication. Raises `RedisStoreError`."""
        self.store._unpublished = self.collectors, RedisStoreError("full", "no memory")
        return totals(self.store.read())

    def read(self) -> Reading:
        """What a registry asks of its store for a scrape. Raises `RedisStoreError`."""
        self.store.publish(self.collectors)
        return self.store.read()

    def total(self, what: str) -> float:
        """What a scrape of this process shows of one series of its counter."""
        return self.scrape()[self.tally.name, (what,)]


def totals(reading: Reading) -> dict[Series, float]:
    """The exact sums over everything that was read."""
    assert reading.skipped == []
    everything = fold(reading.archive, reading.snapshots)
    return {
        (slot.definition.name, slot.labels): math.fsum(
            [everything.numbers[slot.offset], *(remainder[slot.offset] for remainder in everything.remainders)]
        )
        for _, slot in everything.layout.entries()
    }


class Members:
    """Makes members of one namespace."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.server, self.namespace = server, namespace
        self._made: list[Member] = []

    def __call__(self, client: Callable[[RedisOptions], Client] = RedisClient, **options: object) -> Member:
        """A process that has counted nothing yet."""
        quick = {"namespace": self.namespace, "interval_seconds": 1e-6, "timeout_seconds": PATIENCE_SECONDS}
        member = Member(self.server.options(**quick | options), client)
        self._made.append(member)
        return member

    def die(self, *members: Member) -> None:
        """Let it be long ago that these were heard of."""
        self.server.silence(self.namespace, *(member.token for member in members))

    def command(self, name: str, key: str, *arguments: str | bytes | float) -> object:
        """What the server answers to a command on a key of the namespace."""
        return self.server.command(name, f"pytheus1:{{{self.namespace}}}:{key}", *arguments)

    def key_names(self) -> list[str]:
        """The namespace's keys, as `command` takes them."""
        return [key.decode().partition("}:")[2] for key in cast("list[bytes]", self.command("KEYS", "*"))]

    def forget_everything(self) -> None:
        """Let Redis lose all keys of the namespace."""
        for key in self.key_names():
            self.command("DEL", key)

    def index_bytes(self, member: Member) -> int:
        """The size of the index of its shard."""
        index = self.command("STRLEN", f"index:{member.store.publisher.identity.token}")
        assert isinstance(index, int)
        return index

    def end(self) -> None:
        for member in self._made:
            member.store.client.close()
            member.store._heartbeat.stop(0.0)  # a test may have let it beat without its thread


@pytest.fixture
def all_members(shared_server: Server, namespace: str) -> Iterator[Callable[[], Members]]:
    """Call it for the members of one namespace after the other."""
    made: list[Members] = []

    def make() -> Members:
        made.append(Members(shared_server, f"{namespace}-{len(made)}"))
        return made[-1]

    yield make
    for members in made:
        members.end()


@pytest.fixture
def members(all_members: Callable[[], Members]) -> Members:
    """Call it for a process, with options of its own, that meets the others in the shared server."""
    return all_members()


@pytest.fixture
def make_registry(shared_server: Server, namespace: str) -> Iterator[Callable[..., ShardedRegistry]]:
    """Call it for a registry of the shared server, by URL, with its options; all of them are closed in the end."""
    made: list[ShardedRegistry] = []

    def make(server: Server | None = None, **options: str | float) -> ShardedRegistry:
        # A busy machine may delay an answer; that is not a failure.
        patient = {"timeout_seconds": 20, "scrape_seconds": 60, "exit_seconds": 20}
        query = urlencode({"namespace": namespace, "interval_seconds": 0.05} | patient | options)
        port = (server or shared_server).port
        registry = resolve_registry(f"redis://127.0.0.1:{port}/0?{query}")
        assert isinstance(registry, ShardedRegistry)
        made.append(registry)
        return registry

    yield make
    for registry in made:
        registry.close()


class Proxy:
    """A proxy before a server, which disturbs the traffic as it is told.

    `cut` drops every connection and takes no new one; `delay_seconds` holds back what the client sends; `replay` sends
    each connection's first so many bytes a second time, over a connection of their own, when it has ended.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut = False
        self.swallow_replies = False
        self.replay = False
        self.delay_seconds = 0.0
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.replayed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server.port))
            except OSError:
                client.close()
                continue
            with self._lock:
                # A test that cuts and then drops all finds this connection as well, or it is refused here.
                cut = self.cut
                if not cut:
                    self._ends |= {client, server}
            if cut:
                self._drop(client, server)
                continue
            threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        seen = b""
        with suppress(OSError):
            while data := source.recv(65536):
                if is_request:
                    time.sleep(self.delay_seconds)
                    seen += data
                elif self.swallow_replies:
                    continue
                target.sendall(data)
        self._drop(source, target)
        if is_request and self.replay:
            self._send_again(seen)

    def _send_again(self, data: bytes) -> None:
        with suppress(OSError):
            with socket.create_connection(("127.0.0.1", self._server.port), timeout=5) as server:
                server.sendall(data)
                server.shutdown(socket.SHUT_WR)
                while server.recv(65536):
                    pass
            self.replayed += 1

    def _drop(self, *ends: socket.socket) -> None:
        with self._lock:
            self._ends -= set(ends)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def drop_all(self) -> None:
        """End every connection."""
        with self._lock:
            ends = list(self._ends)
        self._drop(*ends)

    def end(self) -> None:
        self.replay = False
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # which wakes up the thread that waits for a connection
        self._listener.close()
        self.drop_all()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[Server], Proxy]]:
    """Call it for a proxy before a server."""
    made: list[Proxy] = []

    def make(server: Server) -> Proxy:
        made.append(Proxy(server))
        return made[-1]

    yield make
    for proxy in made:
        proxy.end()


@pytest.fixture
def proxy(shared_server: Server, make_proxy: Callable[[Server], Proxy]) -> Proxy:
    """A proxy before the shared server."""
    return make_proxy(shared_server)
