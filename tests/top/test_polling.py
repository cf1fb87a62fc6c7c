"""The thread that reads a target: formats, failures, pauses."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pytheus import Counter, Histogram
from pytheus.exceptions import PytheusError
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry
from pytheus.top.polling import Failure, Format, Poller, Reading, Response, Target

ACCEPT = {
    "text": "text/plain;version=0.0.4",
    "protobuf": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}
Wait = Callable[[Callable[[], object], str], None]


class Program:
    """A program with metrics, as a target reads it."""

    def __init__(self, *, native: bool = False, has_protobuf: bool = True, has_names: bool = True) -> None:
        self.registry = CollectorRegistry()
        self.hits = Counter("hits_total", "Hits.", registry=self.registry)
        Histogram("seconds", "Seconds.", native=native, registry=self.registry).observe(1)
        self.has_protobuf, self.has_names = has_protobuf, has_names
        self.asked: list[tuple[tuple[str, ...], Format]] = []
        self.error: Exception | None = None

    def __call__(self, names: tuple[str, ...], format_: Format) -> Response:
        self.asked.append((names, format_))
        if self.error is not None:
            raise self.error
        self.hits.inc()
        accept = ACCEPT[format_ if self.has_protobuf else "text"]
        body, content_type, _ = expose(self.registry, accept, names=names if self.has_names else ())
        return Response(body, content_type)

    @property
    def formats(self) -> list[Format]:
        return [format_ for _, format_ in self.asked]


@pytest.mark.parametrize(
    ("program", "formats"),
    [
        (Program(native=True), ["protobuf", "protobuf", "protobuf"]),
        (Program(), ["protobuf", "text", "text"]),
        (Program(native=True, has_protobuf=False), ["protobuf", "text", "text"]),
    ],
)
def test_protobuf_is_read_where_there_are_native_histograms(program: Program, formats: list[Format]) -> None:
    target = Target(program)
    for _ in range(3):
        assert len(target.read().snapshot.series) == 2
    assert program.formats == formats


def test_protobuf_is_read_again_when_another_histogram_appears() -> None:
    program = Program()
    target = Target(program)
    for _ in range(3):
        target.read()
    Histogram("other_seconds", "Seconds.", native=True, registry=program.registry).observe(1)
    for _ in range(3):
        target.read()
    assert program.formats == ["protobuf", "text", "text", "text", "protobuf", "protobuf"]


def test_some_families_are_read_and_a_target_that_sends_all_is_noticed() -> None:
    some = Target(Program()).read(("hits_total",))
    assert not some.is_whole
    assert [series.name for series in some.snapshot.series] == ["hits_total"]
    all_of_them = Target(Program(has_names=False)).read(("hits_total",))
    assert all_of_them.is_whole
    assert len(all_of_them.snapshot.series) == 2


def test_readings_come_until_the_end(wait_until: Wait) -> None:
    program, woken = Program(), threading.Event()
    poller = Poller(program, woken.set, interval_seconds=0.01)
    poller.start()
    found: list[Reading | Failure] = []

    def read(number: int) -> bool:
        found.extend(poller.take())
        return len(found) >= number

    wait_until(lambda: read(3), "three readings")
    assert woken.is_set()
    assert all(isinstance(outcome, Reading) for outcome in found)
    poller.set(("hits_total",), 0.01, is_paused=False)
    wait_until(lambda: program.asked[-1][0] == ("hits_total",), "a reading of one family")
    poller.end()
    wait_until(lambda: not poller._thread.is_alive(), "the end of the thread")


@pytest.mark.parametrize("error", [PytheusError("it is gone"), ValueError("it is gone"), OSError("it is gone")])
def test_failures_are_told_and_retried_with_longer_pauses(error: Exception, wait_until: Wait) -> None:
    program = Program()
    program.error = error
    poller = Poller(program, lambda: None, interval_seconds=0.01)
    pauses = [poller._next_at(0.0, 0.0, failures) for failures in range(1, 9)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    poller.start()
    wait_until(lambda: program.asked, "the first try")
    found: list[Reading | Failure] = []

    def is_told() -> bool:
        found.extend(poller.take())
        return bool(found)

    wait_until(is_told, "the failure")
    [failure] = found
    assert isinstance(failure, Failure)
    assert failure.message == "it is gone"
    program.error = None
    wait_until(lambda: any(isinstance(outcome, Reading) for outcome in poller.take()), "a reading")
    poller.end()


def test_a_slow_target_is_left_alone_as_long_as_it_took() -> None:
    poller = Poller(Program(), lambda: None, interval_seconds=1.0)
    assert poller._next_at(0.0, 0.2, 0) == 1.0
    assert poller._next_at(0.0, 5.0, 0) == 10.0
    assert poller._next_at(0.0, 50.0, 0) == 80.0


def test_a_paused_poller_reads_nothing_and_goes_on_at_once(wait_until: Wait) -> None:
    program = Program()
    poller = Poller(program, lambda: None, interval_seconds=0.01)
    poller.set((), 0.01, is_paused=True)
    poller.start()
    # The first reading is made, because a screen without numbers tells nothing.
    wait_until(lambda: program.asked, "the first reading")
    poller.set((), 0.01, is_paused=False)
    wait_until(lambda: len(program.asked) > 3, "further readings")
    poller.end()
