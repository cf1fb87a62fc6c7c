"""The server, over real sockets: what it serves, whom it turns away, and what is left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytheus import start_http_server
from pytheus.exceptions import NotARegistryError
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family
from tests.exposition.conftest import Gate, WaitUntil, get, own_threads

_PATIENCE_SECONDS = 120


def test_a_collector_that_raises_costs_only_itself(server: MetricsServer, shop: CollectorRegistry) -> None:
    class Broken:
        def collect(self) -> list[Family]:
            raise ConnectionError("the store is down")

    shop.register(Broken())

    status, _, body = get(server, "/metrics")

    assert status == 200
    assert b"shop_orders_total 1.0" in body


def test_scrapes_are_bounded(shop: CollectorRegistry, wait_until: WaitUntil) -> None:
    gate = Gate()
    shop.register(gate)
    with start_http_server(0, registry=shop, max_scrapes=2) as server:
        scrapes = [threading.Thread(target=get, args=(server, "/metrics")) for _ in range(2)]
        for scrape in scrapes:
            scrape.start()
        try:
            wait_until(lambda: own_threads().count("pytheus-scrape") == len(scrapes), "all scrapes to begin")
            assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)

            status, fields, body = get(server, "/metrics")
            assert (status, fields["retry-after"], body) == (503, "1", b"too many scrapes at once; try again\n")
            assert get(server, "/-/healthy")[::2] == (200, b"healthy\n")
        finally:
            gate.open.set()
            for scrape in scrapes:
                scrape.join()

        wait_until(lambda: "pytheus-scrape" not in own_threads(), "the scrapes to end")
        assert get(server, "/metrics")[0] == 200


def test_without_threads_to_spare_it_serves_one_after_the_other(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    assert get(server, "/metrics")[0] == 200
    assert get(server, "/metrics")[0] == 200


def test_a_slow_scrape_does_not_hold_up_another(shop: CollectorRegistry) -> None:
    slow = CollectorRegistry()
    gate = Gate()
    slow.register(gate)
    with start_http_server(0, registry=shop, registries={"/slow": slow}) as server:
        scrape = threading.Thread(target=get, args=(server, "/slow"))
        scrape.start()
        try:
            assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)

            assert get(server, "/metrics")[0] == 200
        finally:
            gate.open.set()
            scrape.join()


# What it takes to start ----------------------------------------------------------------------------------------------


def test_a_taken_port_is_an_error_at_once(server: MetricsServer) -> None:
    before = own_threads()

    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1 port {server.port}: .*; choose another port"):
        start_http_server(server.port)

    assert own_threads() == before


RELOADED = """
import os, sys, time
from pytheus import start_http_server

{condition}start_http_server(int(sys.argv[1]))
print("runs", flush=True)
"""


@pytest.mark.parametrize(("condition", "works"), [("", False), ("if os.environ.get('RUN_MAIN') == 'true': ", True)])
def test_a_program_that_a_reloader_runs_twice_is_told(
    tmp_path: Path, unused_port: Callable[[], int], condition: str, works: bool
) -> None:
    """As Django's runserver does: both processes live, and the second one has RUN_MAIN in its environment."""
    program = tmp_path / "manage.py"
    program.write_text(RELOADED.format(condition=condition) + "time.sleep(60)\n")
    port = str(unused_port())
    outer = subprocess.Popen([sys.executable, "-P", program, port], stdout=subprocess.PIPE, text=True)
    try:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "runs\n"
        program.write_text(RELOADED.format(condition=condition))
        inner = subprocess.run(
            [sys.executable, "-P", program, port],
            env=os.environ | {"RUN_MAIN": "true"},
            capture_output=True,
            text=True,
        )
    finally:
        outer.kill()
        outer.communicate()
    assert inner.stdout == ("runs\n" if works else "")
    assert ("such as Django's runserver, runs it in two processes" in inner.stderr) != works


@pytest.mark.parametrize("addr", ["", " "])
def test_an_empty_address_is_the_loopback(addr: str) -> None:
    with start_http_server(0, addr) as server:
        assert server.addr == "127.0.0.1"


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1 port 0: "):
        start_http_server(0, "192.0.2.1")


@pytest.mark.parametrize("port", [-1, 65536, True, "80", 1.0, None])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port must be a whole number from 0"):
        start_http_server(port)


@pytest.mark.parametrize("path", ["", "tenant", "/a b", "/a?b", "/a#b", "/\u00e9", "/a\r\nX: y"])
def test_a_path_that_cannot_be_asked_for_is_refused(shop: CollectorRegistry, path: str) -> None:
    with pytest.raises(ValueError, match="is not valid"):
        start_http_server(0, registries={path: shop})


def test_the_path_of_the_registry_cannot_be_given_twice(shop: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="'/metrics'"):
        start_http_server(0, registries={"/metrics": shop})


def test_what_is_no_registry_is_refused() -> None:
    with pytest.raises(NotARegistryError):
        start_http_server(0, registry={})  # type: ignore[arg-type]  # the error under test
