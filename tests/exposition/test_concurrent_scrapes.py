"""Scrapes while others write, register and leave: every scrape is whole and consistent."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pytheus import Counter, Gauge, Histogram, Summary, generate_metrics
from pytheus.metrics import Family, Sample
from pytheus.registry import CollectorRegistry

pytestmark = pytest.mark.threads

_LINE = re.compile(r'# (HELP|TYPE) \w+ .*|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+]+')


Together = Callable[..., None]


def _values(text: str) -> dict[str, float]:
    lines = text.split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert _LINE.fullmatch(line), line
    values = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    assert len({name for name, _, _ in values}) == len(values)
    return {name: float(value) for name, _, value in values}


@pytest.mark.pitfall
def test_a_histogram_is_never_torn(together: Together, registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "X.", ["a"], buckets=(1, 2), registry=registry)
    writers = 6
    done: list[int] = []

    def write(number: int) -> None:
        series = histogram.labels(str(number % 2))
        for _ in range(700):
            series.observe(0.5)
            series.observe(1.5)
            series.observe(4.0)
        done.append(number)

    def scrape() -> None:
        while len(done) < writers:
            values = _values(generate_metrics(registry, strict=True))
            for a in {re.sub(r".*a=\"(.)\".*", r"\1", name) for name in values}:
                low, middle, high = (values[f'x_bucket{{a="{a}",le="{le}"}}'] for le in ("1.0", "2.0", "+Inf"))
                assert low <= middle <= high == values[f'x_count{{a="{a}"}}']
                assert values[f'x_sum{{a="{a}"}}'] == 0.5 * low + 1.5 * (middle - low) + 4.0 * (high - middle)

    together(*[lambda number=number: write(number) for number in range(writers)], scrape, scrape)
    values = _values(generate_metrics(registry))
    assert sum(value for name, value in values.items() if name.startswith("x_count")) == writers * 2100


def _check_while(together: Together, write: Callable[[], object], *checks: Callable[[], object]) -> None:
    """Run `write` once, beside each of `checks`, again and again until it has ended."""
    done = threading.Event()

    def write_all() -> None:
        try:
            write()
        finally:
            done.set()

    def repeat(check: Callable[[], object]) -> None:
        while not done.is_set():
            check()

    together(write_all, *[lambda check=check: repeat(check) for check in checks])


def test_samples_of_a_histogram_are_never_torn_either(together: Together) -> None:
    histogram = Histogram("x", "X.", buckets=(1,), registry=None)

    def write() -> None:
        for _ in range(3000):
            histogram.observe(0.5)
            histogram.observe(4.0)

    def read() -> None:
        [family] = histogram.collect()
        low, high, total, count = (sample.value for sample in family.samples)
        assert high == count
        assert total == 0.5 * low + 4.0 * (high - low)

    _check_while(together, write, read, read)


def test_a_summary_is_never_torn(together: Together, registry: CollectorRegistry) -> None:
    summary = Summary("x", "X.", registry=registry)

    def write() -> None:
        for _ in range(4000):
            summary.observe(0.5)

    def scrape() -> None:
        values = _values(generate_metrics(registry, strict=True))
        assert values["x_sum"] == values["x_count"] * 0.5

    _check_while(together, write, scrape, scrape)


def test_a_histogram_that_is_cleared_meanwhile_is_never_torn(together: Together, registry: CollectorRegistry) -> None:
    histogram = Histogram("x", "X.", buckets=(1,), registry=registry)

    def write() -> None:
        for _ in range(300):
            for _ in range(5):
                histogram.observe(0.5)
            histogram.clear()

    def scrape() -> None:
        values = _values(generate_metrics(registry, strict=True))
        assert values["x_sum"] == values["x_count"] * 0.5 == values['x_bucket{le="1.0"}'] * 0.5

    _check_while(together, write, scrape, scrape)


def test_lines_stay_whole_while_a_metric_is_cleared(together: Together, registry: CollectorRegistry) -> None:
    counter = Counter("x_total", "X.", registry=registry)

    def write() -> None:
        for number in range(2000):
            counter.inc(number % 7)
            counter.clear()

    def scrape() -> None:
        assert set(_values(generate_metrics(registry, strict=True))) == {"x_total"}

    _check_while(together, write, scrape, scrape, scrape)
    counter.inc(3)
    assert generate_metrics(registry).endswith("\nx_total 3.0\n")


def test_counters_never_fall_from_one_scrape_to_the_next(together: Together, registry: CollectorRegistry) -> None:
    counter = Counter("x_total", "X.", ["a"], labels_from={"a": ["1", "2"]}, registry=registry)

    def write() -> None:
        for _ in range(2000):
            counter.labels("1").inc()
            counter.labels("2").inc()

    def scrape(last: dict[str, float]) -> None:
        values = _values(generate_metrics(registry, strict=True))
        assert all(value >= last.get(name, 0.0) for name, value in values.items())
        last.update(values)

    _check_while(together, write, *[partial(scrape, {}) for _ in range(3)])


def test_registering_and_leaving_during_scrapes(together: Together, registry: CollectorRegistry) -> None:
    done: list[int] = []
    Counter("kept_total", "Kept.", registry=registry)

    def come_and_go(thread: int) -> None:
        for number in range(150):
            counter = Counter(f"x_{thread}_{number}_total", "X.", ["a"], registry=registry)
            counter.labels("1").inc()
            if number % 2:
                registry.unregister(counter)
        done.append(thread)

    def scrape() -> None:
        while len(done) < 5:
            values = _values(generate_metrics(registry, strict=True))
            assert "kept_total" in values
            assert "kept_total" in registry
            assert len(list(registry)) <= 1 + 5 * 150

    together(*[lambda thread=thread: come_and_go(thread) for thread in range(5)], scrape, scrape, scrape)
    assert len(registry) == 1 + 5 * 75


def test_everything_at_once(together: Together, registry: CollectorRegistry) -> None:
    counter = Counter("c_total", "C.", ["thread"], registry=registry)
    gauge = Gauge("g", "G.", registry=registry)
    histogram = Histogram("h", "H.", ["thread"], buckets=(1,), registry=registry)

    def work(thread: int) -> None:
        for number in range(150):
            counter.labels(str(number % 10)).inc()
            gauge.inc()
            histogram.labels(str(number % 3)).observe(0.5)
            mine = Summary(f"s_{thread}", "S.", registry=registry)
            mine.observe(1)
            gauge.dec()
            if number % 10 == 0:
                _values(generate_metrics(registry, strict=True))
            registry.unregister(mine)

    together(*[lambda thread=thread: work(thread) for thread in range(8)])
    values = _values(generate_metrics(registry, strict=True))
    assert [values[f'c_total{{thread="{number}"}}'] for number in range(10)] == [8 * 15.0] * 10
    assert values["g"] == 0.0
    assert [values[f'h_count{{thread="{number}"}}'] for number in range(3)] == [8 * 50.0] * 3
    assert len(registry) == 3


def test_a_collector_that_makes_metrics_while_it_is_collected(together: Together, registry: CollectorRegistry) -> None:
    class Making:
        """Makes, registers and writes metrics from within the scrape."""

        def collect(self) -> Iterator[Family]:
            Counter("scrapes_total", "Scrapes.", ["name"], registry=registry).labels("x").inc()
            yield Family("making", "gauge", "Making.", [Sample("", {}, 1.0)])

    registry.register(Making())

    def scrape() -> None:
        for _ in range(50):
            generate_metrics(registry, strict=True)

    together(*[scrape] * 8)
    assert _values(generate_metrics(registry))['scrapes_total{name="x"}'] >= 400.0
    scrapes = registry.find("scrapes_total")
    assert isinstance(scrapes, Counter)
    assert scrapes.labels("x").value == 401.0


def test_a_gauges_function_that_waits_for_a_writer_does_not_deadlock(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "G.", ["a"], registry=registry)
    finished: list[bool] = []

    def write_elsewhere() -> float:
        writer = threading.Thread(target=gauge.labels("2").inc, daemon=True)
        writer.start()
        writer.join(60)
        finished.append(not writer.is_alive())
        return 1.0

    gauge.labels("1").set_function(write_elsewhere)
    generate_metrics(registry)
    assert gauge.labels("1").value == 1.0
    assert finished == [True, True]


def test_a_failure_is_logged_once_by_scrapes_at_once(together: Together, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def collect(self) -> Iterator[Family]:
            raise ValueError("broken")

    for _ in range(20):
        caplog.clear()
        registry = CollectorRegistry()
        registry.register(Broken())
        together(*[lambda registry=registry: generate_metrics(registry)] * 8)
        assert len(caplog.records) == 1
        errors = [line for line in generate_metrics(registry).splitlines() if line.startswith("pytheus")]
        assert [line.rpartition(" ")[2] for line in errors] == ["9.0"]


def test_one_metric_in_registries_with_different_prefixes_scraped_at_once(together: Together) -> None:
    counter = Counter("x_total", "X.", ["a"], labels_from={"a": ["1", "2"]}, registry=None)
    histogram = Histogram("h", "H.", buckets=(1,), registry=None)
    registries = [CollectorRegistry(prefix) for prefix in ("a", "b", None)]
    for registry in registries:
        registry.register(counter)
        registry.register(histogram)
    names = ['x_total{a="1"}', 'x_total{a="2"}', 'h_bucket{le="1.0"}', 'h_bucket{le="+Inf"}', "h_sum", "h_count"]

    def write() -> None:
        for _ in range(1000):
            counter.labels("1").inc()
            histogram.observe(0.5)

    def scrape(registry: CollectorRegistry) -> None:
        lead = f"{registry.prefix}_" if registry.prefix else ""
        assert set(_values(generate_metrics(registry, strict=True))) == {lead + name for name in names}

    _check_while(together, write, *[partial(scrape, registry) for registry in registries])
