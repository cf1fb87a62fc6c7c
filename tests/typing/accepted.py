"""What type checkers must accept, and the types that they must see; read by them and never executed.

`tests/typing/test_checkers.py` runs them over it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import assert_type

import numpy as np

from pytheus import (
    REGISTRY,
    Counter,
    CustomCollector,
    Gauge,
    Histogram,
    Info,
    Sample,
    StateSet,
    Summary,
    generate_metrics,
)
from pytheus.metrics import ExceptionCount, Family, InProgress, LabelSource, Timer
from pytheus.push import Access, delete, job, push, write_textfile
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry

counter = Counter("c_total", "C.", ["a", "b"], default_labels={"a": "0", "b": "1"}, labels_from={"a": ["1", "2"]})
gauge = Gauge("g", "G.", ("a",), default_labels={"a": "0"}, registry=None)
histogram = Histogram("h", "H.", buckets=[1, 2.5, Decimal("5")], registry=CollectorRegistry())
summary = Summary("s", "S.", registry=NullRegistry())
info = Info("i", "I.", registry=REGISTRY)
stateset = StateSet("t", "T.", states=["on", "off"])

# Label values by the context ------------------------------------------------------------------------------------------

TENANT: ContextVar[str] = ContextVar("tenant")
ATTEMPT: ContextVar[int | None] = ContextVar("attempt", default=None)
contextual = Counter(
    "x_total", "X.", ["a", "b", "c", "d"], default_labels={"a": TENANT, "b": ATTEMPT, "c": TENANT.get, "d": lambda: "1"}
)
assert_type(contextual.labels(a="b"), Counter)
sources: dict[str, LabelSource] = {"a": TENANT}
Histogram("y", "Y.", ["a"], default_labels=sources)

# labels() gives the same class, however labels are given -------------------------------------------------------------

assert_type(counter.labels("1", "2"), Counter)
assert_type(counter.labels(a="1").labels(b="2"), Counter)
assert_type(counter.labels({"a": "1"}), Counter)
assert_type(gauge.labels(a="1"), Gauge)
assert_type(histogram.labels(), Histogram)
assert_type(summary.labels(), Summary)
assert_type(info.labels(), Info)
assert_type(stateset.labels(), StateSet)
assert_type(counter.remove(a="1", b="2"), bool)
assert_type(counter.remove(a="1"), bool)
assert_type(counter.labels(1, HTTPStatus.OK), Counter)
assert_type(counter.labels({"a": 1, "b": "2"}), Counter)
with histogram.time() as timer:
    timer.labels(a=1)
    timer.labels({"a": "1"})
assert_type(timer.seconds, float | None)


async def timed_block() -> None:
    async with summary.time() as timer, gauge.track_inprogress(), counter.count_exceptions():
        timer.labels("1")


class Tuned(Counter):
    """A metric type of a user's own."""


assert_type(Tuned("x", "X.", registry=None).labels(), Tuned)

# Numbers of all kinds ------------------------------------------------------------------------------------------------

counter.inc()
counter.inc(1)
counter.inc(1.5)
counter.inc(True)
counter.inc(Decimal("1.5"))
counter.inc(Fraction(1, 2))
counter.inc(np.float64(1.5))
counter.inc(np.int32(1))
counter.inc(np.bool_(True))
counter.inc(1, exemplar={"trace_id": "a"})
gauge.set(Decimal(1))
gauge.set_function(lambda: 1)
gauge.set_function(None)
histogram.observe(np.float32(1))
histogram.observe_many([1, 2.5, Decimal(3)])
summary.observe_many(np.ones(3))
assert_type(counter.value, float)
assert_type(histogram.sum, float)
assert_type(stateset.active, tuple[str, ...])

# Decorators keep signatures ------------------------------------------------------------------------------------------


def plain(a: int, *, b: str = "x") -> list[str]:
    return [b] * a


async def coroutine(a: int, *, b: str = "x") -> list[str]:
    return [b] * a


def generator(a: int) -> Generator[int, str, bytes]:
    received = yield a
    return received.encode()


async def async_generator(a: int) -> AsyncGenerator[int, str]:
    yield a


assert_type(histogram.time()(plain)(1, b="y"), list[str])
assert_type(histogram(plain)(1, b="y"), list[str])
assert_type(summary.time()(plain)(1, b="y"), list[str])
assert_type(summary(plain)(1), list[str])
assert_type(gauge.time()(plain)(1), list[str])
assert_type(gauge(plain)(1), list[str])
assert_type(gauge.track_inprogress()(plain)(1), list[str])
assert_type(gauge(track_inprogress=True)(plain)(1), list[str])
assert_type(gauge()(plain)(1), list[str])
assert_type(counter.count_exceptions()(plain)(1), list[str])
assert_type(counter.count_exceptions((ValueError, KeyError))(plain)(1), list[str])
assert_type(counter(plain)(1), list[str])
assert_type(counter(exceptions=ValueError)(plain)(1), list[str])
assert_type(histogram(generator)(1), Generator[int, str, bytes])
assert_type(histogram(async_generator)(1), AsyncGenerator[int, str])


@histogram.time()
def decorated(a: int, *, b: str = "x") -> list[str]:
    return [b] * a


@counter(exceptions=KeyError)
@gauge(track_inprogress=True)
@histogram
async def decorated_coroutine(a: int) -> str:
    return str(a)


@summary
async def decorated_async_iterator(a: int) -> AsyncIterator[int]:
    yield a


assert_type(decorated(1), list[str])


async def use() -> None:
    assert_type(await histogram.time()(coroutine)(1, b="y"), list[str])
    assert_type(await decorated_coroutine(1), str)
    async for number in decorated_async_iterator(1):
        assert_type(number, int)


class Job:
    @histogram.time()
    def method(self, a: int) -> str:
        return str(a)

    @classmethod
    @histogram.time()
    def of(cls, a: int) -> Job:
        return cls()

    @staticmethod
    @histogram.time()
    def helper(a: int) -> int:
        return a


assert_type(Job().method(1), str)
assert_type(Job.of(1), Job)
assert_type(Job.helper(1), int)
given_partial: Callable[[], list[str]] = histogram.time()(partial(plain, 1))

# Context managers ----------------------------------------------------------------------------------------------------

with histogram.time() as timer:
    assert_type(timer, Timer)
assert_type(timer.seconds, float | None)
assert_type(gauge.track_inprogress(), InProgress)
assert_type(counter.count_exceptions(), ExceptionCount)
manager: AbstractContextManager[object] = histogram.time()

# Registries of any shape ---------------------------------------------------------------------------------------------


class PlainAttribute:
    """A mutable attribute, and a parameter with a name of its own."""

    def __init__(self) -> None:
        self.prefix: str | None = None

    def register(self, collector: Collector) -> None: ...

    def unregister(self, collector: Collector) -> None: ...

    def collect(self) -> Iterable[Collector]:
        return []


class ReadOnly:
    """A property, and positional-only parameters."""

    @property
    def prefix(self) -> str | None:
        return "app"

    def register(self, collector: Collector, /) -> None: ...

    def unregister(self, anything: object, /) -> None: ...

    def collect(self) -> Iterator[Collector]:
        yield counter


class AlwaysPrefixed:
    """Narrower in what it gives, wider in what it takes."""

    prefix: str = "app"

    def register(self, collector: object) -> None: ...

    def unregister(self, collector: object) -> None: ...

    def collect(self) -> tuple[Counter, ...]:
        return (counter,)


def takes(registry: Registry) -> str:
    return generate_metrics(registry)


assert_type(takes(PlainAttribute()), str)
takes(ReadOnly())
takes(AlwaysPrefixed())
takes(CollectorRegistry())
takes(NullRegistry())
takes(REGISTRY)
Counter("x_total", "X.", registry=PlainAttribute())
proxy = CollectorRegistryProxy(ReadOnly())
proxy.set_registry(AlwaysPrefixed())
proxy.set_registry("none")
with proxy.use(PlainAttribute()) as used:
    assert_type(used, Registry)
assert_type(generate_metrics(strict=True), str)

# Collectors of any shape ---------------------------------------------------------------------------------------------


class Custom(CustomCollector):
    def collect(self) -> Iterable[Family]:
        yield Family("x", "gauge", "X.", [Sample("", {"a": "1"}, 1.0)])


class Plain:
    def collect(self) -> list[Gauge]:
        return [gauge]


class Mixed:
    def collect(self) -> Iterator[Family | Collector]:
        yield Plain()


registry = CollectorRegistry(prefix="app", on_conflict="warn")
for collector in (Custom(), Plain(), Mixed(), counter, stateset):
    registry.register(collector)
    registry.unregister(collector)
assert_type(list(registry), list[Collector])
assert_type(counter in registry, bool)

# Pushes --------------------------------------------------------------------------------------------------------------


@job("nightly", push="http://gateway:9091", grouping={"instance": "db1"}, access=Access(bearer_token="abc"))
def copy_rows(count: int, *, table: str = "") -> str:
    return table * count


@job("nightly", registry, textfile=Path("nightly.prom"))
async def copy_later(count: int) -> float:
    return count


def send() -> None:
    assert_type(copy_rows(3, table="a"), str)
    with job("nightly", AlwaysPrefixed(), textfile="nightly.prom") as measured:
        pass
    assert_type(measured.error, Exception | None)
    push("http://gateway:9091", "nightly", PlainAttribute(), method="merge", format="protobuf")
    delete("http://gateway:9091", "nightly", grouping={"instance": "db1"})
    write_textfile(Path("a.prom"), registry, mode=0o640)


async def send_later() -> None:
    assert_type(await copy_later(3), float)
