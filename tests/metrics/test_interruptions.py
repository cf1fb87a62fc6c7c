"""Signal handlers and forks that come in the middle of a write: nothing is lost, and nothing deadlocks."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.metrics import Metric
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy

pytestmark = pytest.mark.threads

DEADLINE_SECONDS = 120

alarms = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class Alarms:
    """Runs `action` in a signal handler, repeatedly, at arbitrary moments."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.count = 0
        self.armed = False
        self.former = signal.getsignal(signal.SIGALRM)

    def __enter__(self) -> Self:
        signal.signal(signal.SIGALRM, self._handle)
        return self

    def _handle(self, *_: object) -> None:
        self.action()
        self.count += 1
        self.armed = False

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.former)

    def interrupt(self, times: int, work: Callable[[], object]) -> int:
        """Works until the handler has run so often; gives how often that was."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        rounds = 0
        while self.count < times:
            if not self.armed:
                # From here, and not from the handler, which a slow machine would interrupt before it has returned.
                self.armed = True
                signal.setitimer(signal.ITIMER_REAL, 0.00003 + self.count % 97 * 0.000005)
            work()
            rounds += 1
            assert time.monotonic() < deadline, f"only {self.count} alarms came"
        return rounds


@alarms
@pytest.mark.parametrize(
    ("make", "write", "numbers"),
    [
        pytest.param(Counter, "inc", [1.0], id="counter"),
        pytest.param(partial(Histogram, buckets=(0.5, 2)), "observe", [1.0, 0.0, 1.0, 0.0], id="histogram"),
    ],
)
def test_a_handler_that_writes_what_it_interrupts(
    make: Callable[..., Metric], write: str, numbers: list[float]
) -> None:
    metric = make("x_total", "X.", registry=None)
    method: Callable[[float], None] = getattr(metric, write)
    with Alarms(lambda: method(1)) as handler:
        rounds = handler.interrupt(3000, lambda: method(1))
    assert [row.numbers for row in metric.rows()] == [[number * (rounds + handler.count) for number in numbers]]


@alarms
def test_a_handler_that_makes_the_series_that_it_interrupts() -> None:
    counter = Counter("x_total", "X.", ["number"], registry=None)
    made = [0]

    def write() -> None:
        made[0] += 1
        counter.labels(str(made[0] // 8)).inc()

    with Alarms(lambda: counter.labels(str(made[0] // 8)).inc()) as handler:
        rounds = handler.interrupt(2000, write)
    [family] = counter.collect()
    assert sum(sample.value for sample in family.samples) == rounds + handler.count


@alarms
def test_a_handler_that_registers_and_scrapes_what_it_interrupts() -> None:
    registry = CollectorRegistry()
    number = [0]

    def come_and_go() -> None:
        number[0] += 1
        gauge = Gauge(f"x_{number[0]}", "X.", registry=registry)
        gauge.inc()
        registry.unregister(gauge)

    def define_and_scrape() -> None:
        Counter("handled_total", "Handled.", registry=registry).inc()
        generate_metrics(registry, strict=True)

    with Alarms(define_and_scrape) as handler:
        handler.interrupt(500, come_and_go)
    assert generate_metrics(registry).endswith(f"\nhandled_total {float(handler.count)}\n")
    assert len(registry) == 1


@alarms
def test_a_handler_that_interrupts_a_scrape() -> None:
    registry = CollectorRegistry()
    counter = Counter("x_total", "X.", ["number"], registry=registry)
    number = [0]

    def write() -> None:
        number[0] += 1
        counter.labels(str(number[0] % 100)).inc()

    with Alarms(write) as handler:
        handler.interrupt(1000, lambda: generate_metrics(registry, strict=True))
    [family] = counter.collect()
    assert sum(sample.value for sample in family.samples) == handler.count


@alarms
def test_a_handler_that_uses_the_proxy_that_it_interrupts() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    tenant, other = CollectorRegistry(), CollectorRegistry("other")

    def swap() -> None:
        with proxy.use(tenant):
            Counter("x_total", "X.", registry=proxy).inc()

    with Alarms(swap) as handler:
        handler.interrupt(500, lambda: proxy.set_registry(other))
    assert generate_metrics(tenant).endswith(f"\nx_total {float(handler.count)}\n")


def _fork(child: Callable[[], None]) -> int:
    """The exit status of a forked process that runs `child`, killed where it does not end in time."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -int(signal.SIGKILL)
        time.sleep(0.001)


@forks
def test_forks_of_a_program_whose_threads_write() -> None:
    registry = CollectorRegistry()
    proxy = CollectorRegistryProxy(registry)
    counter = Counter("x_total", "X.", ["number"], registry=proxy)
    histogram = Histogram("h", "H.", registry=proxy)
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            counter.labels(str(number % 100)).inc()
            histogram.observe(0.5)
            mine = Gauge(f"mine_{threading.get_ident()}", "Mine.", registry=registry)
            generate_metrics(proxy)
            with proxy.use(CollectorRegistry()):
                pass
            registry.unregister(mine)

    def child() -> None:
        before = histogram.count
        histogram.observe(0.5)
        assert histogram.count == before + 1
        counter.labels("child").inc()
        Gauge("made_in_child", "Made.", registry=registry).inc()
        with proxy.use(CollectorRegistry()) as tenant:
            Counter("y_total", "Y.", registry=tenant).inc()
        text = generate_metrics(registry, strict=True)
        assert '\nx_total{number="child"} 1.0\n' in text
        assert "\nmade_in_child 1.0\n" in text

    threads = [threading.Thread(target=write, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        statuses = [_fork(child) for _ in range(200)]
    finally:
        ended.set()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
    assert statuses == [0] * 200
    assert not any(thread.is_alive() for thread in threads)


class Stay:
    """A moment in which another thread stays until the test has forked."""

    def __init__(self) -> None:
        self._inside, self._leave = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None

    def wait(self) -> None:
        """Called by the thread."""
        self._inside.set()
        self._leave.wait(DEADLINE_SECONDS)

    def fork(self, target: Callable[[], object], child: Callable[[], None]) -> int:
        """The exit status of `child`, forked while `target` waits in another thread."""
        self.thread = threading.Thread(target=target, daemon=True)
        self.thread.start()
        try:
            assert self._inside.wait(DEADLINE_SECONDS)
            return _fork(child)
        finally:
            self._leave.set()
            self.thread.join(DEADLINE_SECONDS)


@forks
def test_a_fork_while_another_thread_changes_the_registry() -> None:
    stay = Stay()

    class Slow(CollectorRegistry):
        __slots__ = ()

        def collect(self) -> Iterator[Collector]:
            stay.wait()
            return iter(())

    proxy = CollectorRegistryProxy(CollectorRegistry())

    def child() -> None:
        # The thread that was changing it does not exist here.
        proxy.set_registry(CollectorRegistry("child"))
        Counter("x_total", "X.", registry=proxy).inc()
        assert generate_metrics(proxy).endswith("\nchild_x_total 1.0\n")

    assert stay.fork(lambda: proxy.set_registry(Slow()), child) == 0


@forks
def test_a_fork_while_another_thread_empties_the_former_registry() -> None:
    stay = Stay()

    class Slow(CollectorRegistry):
        __slots__ = ()

        def collect(self) -> Iterator[Collector]:
            if proxy.registry is self and threading.current_thread() is stay.thread:
                stay.wait()
            return super().collect()

    former = CollectorRegistry()
    proxy = CollectorRegistryProxy(former)

    def child() -> None:
        # The thread that was emptying it does not exist here, so what is left there is not consulted.
        Counter("x_total", "X.", registry=former)
        assert list(proxy.collect()) == []
        Gauge("x", "X.", registry=proxy).inc()
        assert generate_metrics(proxy).endswith("\nx 1.0\n")

    assert stay.fork(lambda: proxy.set_registry(Slow()), child) == 0


@forks
def test_a_fork_while_another_thread_holds_the_proxys_lock() -> None:
    stay = Stay()
    proxy = CollectorRegistryProxy(CollectorRegistry())

    def hold() -> None:
        with proxy._change_ended:
            stay.wait()

    def child() -> None:
        with proxy.use(CollectorRegistry("child")):
            assert proxy.prefix == "child"

    assert stay.fork(hold, child) == 0
