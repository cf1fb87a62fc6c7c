"""The work that every library does to be measured; bench/workloads.py has the libraries.

Rules, so that every library does the same work:

- Metrics are registered in a registry of their own. Labels are method and code, or method and path.
- Histograms have the 11 buckets of `BOUNDS`, and +Inf.
- A call is written as the library's documentation would write it, where there is a choice in the fastest way.
- A feature that a library lacks is left out, and gets a dash in the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

from bench.stopwatch import Statement, looped

__all__ = ["BOUNDS", "OBSERVED", "Series", "Served", "SharedCounter", "Workload"]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OBSERVED = (*BOUNDS, 20.0)
"""One value for each bucket: after these, a histogram has no bucket left that is still in its first state."""


class SharedCounter(NamedTuple):
    """A counter for several threads: how to add 1 to it, and how to read it."""

    increment: Statement
    read: Callable[[], float]


class Served(NamedTuple):
    """A server of 127.0.0.1 in threads of this process."""

    port: int
    close: Callable[[], object]


class Series(NamedTuple):
    """Many series of one metric, ``{method="GET",path="/x/N"}``, alone in a registry; empty at first.

    `write_to` writes to the series of each path, so that they change. `render` returns the registry in the text format,
    encoded as in the answer to a scrape; None if the library has no text format. `answer` returns the body as an HTTP
    endpoint does: in parts where the library answers in parts, so that the body is never in one piece. `compressed`
    returns it as an HTTP endpoint does to a client that takes gzip; None if the library has no such endpoint. `encode`
    returns the registry in the format of an ``Accept`` header; None if the library has another only. `serve` starts the
    library's HTTP server; None if it has none.
    """

    write_to: Callable[[Iterable[str]], object]
    render: Callable[[], bytes | None]
    answer: Callable[[], object]
    compressed: Callable[[], bytes | None]
    encode: Callable[[str], bytes | None]
    serve: Callable[[], Served | None]

    def write(self, count: int) -> None:
        """Write once to each of the series 0 to `count` - 1."""
        self.write_to(f"/x/{n}" for n in range(count))


class Workload(ABC):
    """One library. A subclass has its calls as a program writes them, and says how the library makes and reads metrics.

    Metrics and registries are of the library's own types, which a type checker does not see.
    """

    calls: ClassVar[dict[str, str]]
    """The calls to time, by row of bench/rows.py."""

    names: ClassVar[dict[str, object]] = {}
    """Further names in them, beside counter, labelled, gauge, histogram and decorated."""

    first: str
    """A call that adds 1 to the series of a `path` that `counter` has not seen."""

    first_observation: str
    """A call that observes 0.3 in the series of a `path` that `histogram` has not seen."""

    add: str
    """A call that adds `amount` to the series of a `path`."""

    observe: str
    """Lines that observe all `values` in the series of a `path`."""

    registry: Callable[[], Any]
    """Makes a registry."""

    @abstractmethod
    def make(self, kind: str, name: str, registry: Any, *labels: str) -> Any:
        """Return a new metric; `kind` is Counter, Gauge or Histogram."""

    def decorate(self, histogram: Any, function: Callable[[], None]) -> object:
        """Return `function`, timed by the histogram."""
        raise NotImplementedError

    @abstractmethod
    def render(self, registry: Any) -> bytes | None:
        """See `Series`."""

    def answer(self, registry: Any) -> object:
        """See `Series`."""
        return self.render(registry)

    def compressed(self, registry: Any) -> bytes | None:
        """See `Series`."""
        return None

    def encode(self, registry: Any, accept: str) -> bytes | None:
        """See `Series`."""
        return None

    def serve(self, registry: Any) -> Served | None:
        """See `Series`."""
        return None

    def native(self, name: str, registry: Any, *labels: str) -> Any:
        """Return a new histogram with native buckets alone, of the default resolution; None without such histograms."""
        return None

    def first_read(self, shards: int, paths: Sequence[str]) -> Callable[[], Any] | None:
        """Return the first read of as many shards, which returns the merged families; None if there are no shards.

        Each shard has added 1 to a counter for each path, in the order of `paths`.
        """
        return None

    def read(self, registry: Any) -> float:
        """Return the value of the registry's only series."""
        return float((self.render(registry) or b"").split()[-1])

    def statements(self) -> dict[str, Statement]:
        """Return the calls to time, under the names of bench/rows.py."""
        registry = self.registry()
        histogram = self.make("Histogram", "seconds", registry)
        names = self.names | {
            "counter": self.make("Counter", "plain_total", registry),
            "labelled": self.make("Counter", "labelled_total", registry, "method", "code"),
            "gauge": self.make("Gauge", "level", registry),
            "histogram": histogram,
        }
        if "decorated" in self.calls:
            names["decorated"] = self.decorate(histogram, lambda: None)
        statements = {row: Statement(call, names) for row, call in self.calls.items()}
        native = self.native("native_seconds", registry)
        if native is not None:
            statements["observe_native"] = Statement(self.calls["observe"], names | {"histogram": native})
        return statements

    def first_writes(self) -> dict[str, Statement]:
        """Return the calls on a new series, each with a new metric; `path` is put in by the timing."""
        counter = self.make("Counter", "new_total", self.registry(), "method", "path")
        histogram = self.make("Histogram", "new_seconds", self.registry(), "method", "path")
        return {
            "first_write": Statement(self.first, {"counter": counter}),
            "first_observation": Statement(self.first_observation, {"histogram": histogram}),
        }

    def shared_counter(self) -> SharedCounter:
        """Return a counter without labels, at zero."""
        registry = self.registry()
        names = self.names | {"counter": self.make("Counter", "shared_total", registry)}
        return SharedCounter(Statement(self.calls["inc"], names), partial(self.read, registry))

    def counters(self, amount: float) -> Series:
        """Return a new ``http_requests_total``; each write adds `amount` to each series."""
        registry = self.registry()
        counter = self.make("Counter", "http_requests_total", registry, "method", "path")
        return self._series(Statement(self.add, {"counter": counter, "amount": amount}), registry)

    def histograms(self) -> Series:
        """Return a new ``http_request_seconds``; each write observes every value of `OBSERVED` in each series."""
        registry = self.registry()
        histogram = self.make("Histogram", "http_request_seconds", registry, "method", "path")
        return self._series(Statement(self.observe, {"histogram": histogram, "values": OBSERVED}), registry)

    def natives(self) -> Series | None:
        """Return the same with native buckets; None without such histograms."""
        registry = self.registry()
        histogram = self.native("http_request_seconds", registry, "method", "path")
        if histogram is None:
            return None
        return self._series(Statement(self.observe, {"histogram": histogram, "values": OBSERVED}), registry)

    def _series(self, write: Statement, registry: Any) -> Series:
        return Series(
            looped(write, "path"),
            partial(self.render, registry),
            partial(self.answer, registry),
            partial(self.compressed, registry),
            partial(self.encode, registry),
            partial(self.serve, registry),
        )
