"""Calls of foreign code, at once and with the deadline of a scrape."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytheus.exposition import respond
from pytheus.foreign_calls import call_each, calling_by
from pytheus.registry import Collector
from pytheus.samples import Sample
from tests.conftest import wait_until
from tests.exposition.conftest import Custom, Plain, gauge_family

_PATIENCE_SECONDS = 60


def test_each_call_is_made_in_this_thread() -> None:
    threads: list[int] = []

    assert call_each([(number, lambda: threads.append(threading.get_ident())) for number in range(3)]) == [None] * 3
    assert threads == [threading.get_ident()] * 3


def test_errors_are_returned_in_the_order_of_the_calls() -> None:
    def leave() -> None:
        sys.exit("bye")

    first, second, third = call_each([("a", lambda: 1 / 0), ("b", lambda: None), ("c", leave)])

    assert isinstance(first, ZeroDivisionError)
    assert second is None
    assert isinstance(third, SystemExit)


def test_a_signal_ends_the_calls() -> None:
    with pytest.raises(KeyboardInterrupt):
        call_each([("a", lambda: signal.raise_signal(signal.SIGINT))])


def test_a_caller_is_used_within_its_context() -> None:
    with calling_by(lambda calls: [ValueError()] * len(calls)):
        assert [type(error) for error in call_each([("a", lambda: None)])] == [ValueError]
    assert call_each([("a", lambda: None)]) == [None]


class Sensors:
    """What a registry calls in its `collect()`: some that answer, and some that hang until they are let go."""

    def __init__(self, hanging: int) -> None:
        self.let_go = threading.Event()
        self.running = 0
        self.calls = 0
        self._lock = threading.Lock()
        self._subjects = [object() for _ in range(hanging + 20)]
        self._hanging = hanging

    def _hang(self) -> None:
        with self._lock:
            self.calls += 1
            self.running += 1
        assert self.let_go.wait(_PATIENCE_SECONDS)
        with self._lock:
            self.running -= 1

    def collect(self) -> list[Collector]:
        hang: list[Callable[[], object]] = [self._hang] * self._hanging
        answer: list[Callable[[], object]] = [lambda: None] * 20
        errors = call_each(list(zip(self._subjects, [*answer[:10], *hang, *answer[10:]], strict=True)))
        answered = float(errors.count(None))
        return [Custom(gauge_family("sensors", Sample("", {}, answered)))]


@pytest.fixture(params=[1, 3])
def sensors(request: pytest.FixtureRequest) -> Iterator[Sensors]:
    sensors = Sensors(request.param)
    yield sensors
    sensors.let_go.set()
    wait_until(lambda: sensors.running == 0, "the sensors to return")


def scrape(sensors: Sensors, timeout: str) -> str:
    response = respond.answer_scrape(Plain(sensors.collect), "GET", timeout=timeout)
    assert response.status == 200
    return response.body.decode()


def test_in_a_scrape_the_registry_goes_on_without_calls_that_hang(sensors: Sensors) -> None:
    hanging = sensors._hanging

    assert "\nsensors 20.0\n" in scrape(sensors, "2")
    begun = time.monotonic()
    assert "\nsensors 20.0\n" in scrape(sensors, "25")
    assert time.monotonic() - begun < 12  # they are not called again, so that nothing is waited for
    assert sensors.calls == hanging
    sensors.let_go.set()
    wait_until(lambda: f"\nsensors {20.0 + hanging}\n" in scrape(sensors, "2"), "all to be called again")
