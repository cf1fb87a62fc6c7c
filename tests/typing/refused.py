"""What type checkers must refuse: each line that ends with ``# refused`` is an error to all of them, and no other line is.

`tests/typing/test_checkers.py` runs them over it. It is never executed.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytheus import Counter, Gauge, Histogram, Info, StateSet, generate_metrics
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry

counter = Counter("c_total", "C.", ["a"], registry=None)
gauge = Gauge("g", "G.", registry=None)
histogram = Histogram("h", "H.", registry=None)
info = Info("i", "I.", registry=None)
stateset = StateSet("t", "T.", states=["on"], registry=None)

counter.inc("1")  # refused
counter.inc(None)  # refused
counter.inc(b"1")  # refused
counter.dec()  # refused
counter.value = 3.0  # refused
gauge.set("abc")  # refused
gauge.set([1.0])  # refused
gauge.set_function(lambda: "abc")  # refused
histogram.observe("1")  # refused
counter.labels(1)  # refused
counter.labels(a=1)  # refused
counter.labels({"a": 1})  # refused
counter.labels(a=None)  # refused
info.info(version=1)  # refused
stateset.state(1)  # refused
Counter("c_total")  # refused
Counter("c_total", "C.", 3)  # refused
Counter("c_total", "C.", ["a"], {"a": "1"})  # refused
Counter("c_total", "C.", registry="multiprocess")  # refused
Histogram("h", "H.", buckets=["1"])  # refused
StateSet("t", "T.")  # refused
CollectorRegistry(on_conflict="ignore")  # refused
generate_metrics("default")  # refused
generate_metrics(CollectorRegistry)  # refused


@histogram.time()
def timed(a: int) -> str:
    return str(a)


@counter(exceptions=KeyError)
async def counted(a: int) -> str:
    return str(a)


timed("1")  # refused
timed(1, 2)  # refused
timed(1).real  # refused
counted(b=1)  # refused


class NoUnregister:
    prefix: str | None = None

    def register(self, collector: Collector) -> None: ...

    def collect(self) -> Iterable[Collector]:
        return []


class NumberPrefix:
    prefix: int = 3

    def register(self, collector: Collector) -> None: ...

    def unregister(self, collector: Collector) -> None: ...

    def collect(self) -> Iterable[Collector]:
        return []


class WrongCollect:
    prefix: str | None = None

    def register(self, collector: Collector) -> None: ...

    def unregister(self, collector: Collector) -> None: ...

    def collect(self) -> list[str]:
        return []


class WrongRegister:
    prefix: str | None = None

    def register(self, collector: int) -> None: ...

    def unregister(self, collector: Collector) -> None: ...

    def collect(self) -> Iterable[Collector]:
        return []


class NeedsMore:
    prefix: str | None = None

    def register(self, collector: Collector, when: float) -> None: ...

    def unregister(self, collector: Collector) -> None: ...

    def collect(self) -> Iterable[Collector]:
        return []


def takes(registry: Registry) -> None: ...


takes(NoUnregister())  # refused
takes(NumberPrefix())  # refused
takes(WrongCollect())  # refused
takes(WrongRegister())  # refused
takes(NeedsMore())  # refused
takes(CollectorRegistry)  # refused
CollectorRegistryProxy(3)  # refused
CollectorRegistryProxy().set_registry(NeedsMore())  # refused
CollectorRegistry().register(3)  # refused
CollectorRegistry().register("counter")  # refused
