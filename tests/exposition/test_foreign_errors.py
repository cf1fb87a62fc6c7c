"""Foreign code that raises SystemExit, KeyboardInterrupt and the like in a scrape."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.compose import filtered, limited, union
from pytheus.exceptions import CollectorError
from pytheus.exposition.respond import answer_scrape
from pytheus.exposition.server import start_http_server
from pytheus.registry import Collector, CollectorRegistry, HasRows, Registry
from pytheus.samples import Family
from pytheus.shards import MemoryBackend, MemoryShardStore, Reading, ShardedRegistry
from tests.exposition.conftest import Plain, get


class OutOfThisWorld(BaseException):
    """Unknown to everybody but its collector."""


def leave() -> None:
    sys.exit(1)


def raising(error: BaseException | type[BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


async def _raise_in_a_task() -> None:
    raise KeyboardInterrupt


ACTS = [
    pytest.param(leave, id="exit"),
    pytest.param(raising(SystemExit("bye")), id="SystemExit"),
    pytest.param(raising(KeyboardInterrupt), id="KeyboardInterrupt"),
    pytest.param(raising(asyncio.CancelledError), id="CancelledError"),
    pytest.param(raising(GeneratorExit), id="GeneratorExit"),
    pytest.param(raising(OutOfThisWorld), id="own"),
    pytest.param(raising(BaseExceptionGroup("several", [SystemExit(), OutOfThisWorld()])), id="group"),
    pytest.param(lambda: asyncio.run(_raise_in_a_task()), id="in a task"),
]
any_act = pytest.mark.parametrize("act", ACTS)


class Acting:
    """A collector that does something when it is asked."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def collect(self) -> Iterable[Family]:
        self._act()
        return []


class ActingLater(Acting):
    """As `Acting`, after a family was yielded."""

    def collect(self) -> Iterator[Family]:
        yield Family("half", "gauge", "Half.")
        self._act()


class ActingInside(Acting):
    """As `Acting`, in a collector that it yields."""

    def collect(self) -> Iterator[Collector]:  # type: ignore[override]  # collectors are allowed as well
        yield Acting(self._act)


class ActingByName(Acting):
    """As `Acting`, when it is asked for its name and definition, too."""

    @property
    def name(self) -> str:
        self._act()
        return ""

    @property
    def definition(self) -> object:
        self._act()
        return None


@pytest.fixture(params=[Acting, ActingLater, ActingInside, ActingByName])
def make_collector(request: pytest.FixtureRequest) -> type[Acting]:
    kind: type[Acting] = request.param
    return kind


def with_orders(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    return registry


def assert_left_out(registry: Registry, name: str) -> None:
    text = generate_metrics(registry)
    assert "\norders_total 1.0\n" in text
    assert "half" not in text
    assert f'pytheus_collector_errors_total{{collector="{name}"}} 1.0\n' in text


@any_act
def test_a_collector_is_left_out_and_counted(make_collector: type[Acting], act: Callable[[], object]) -> None:
    assert_left_out(with_orders(make_collector(act)), make_collector.__name__)


@any_act
def test_a_strict_scrape_names_the_collector(make_collector: type[Acting], act: Callable[[], object]) -> None:
    with pytest.raises(CollectorError, match=f"collector '{make_collector.__name__}' failed"):
        generate_metrics(with_orders(make_collector(act)), strict=True)


@any_act
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda below: union(below), id="union"),
        pytest.param(lambda below: limited(below, max_series=9), id="limited"),
        pytest.param(lambda below: filtered(below, names=["orders_total"]), id="filtered"),
    ],
)
def test_layers_pass_on_the_healthy_ones(wrap: Callable[[Registry], Registry], act: Callable[[], object]) -> None:
    assert "\norders_total 1.0\n" in generate_metrics(wrap(with_orders(ActingLater(act))))


@any_act
def test_a_registry_that_raises_is_a_500(act: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
    def collect() -> list[Collector]:
        act()
        return []

    assert answer_scrape(Plain(collect), "GET").status == 500
    with pytest.raises(CollectorError, match="the registry 'Plain' raised"):
        generate_metrics(Plain(collect))


@any_act
def test_a_format_that_raises_is_a_500(act: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
    class Odd:
        media_type = "text/x-odd"

        def render(self, registry: Registry, /) -> Iterator[bytes]:
            yield b"half"
            act()

    class Offering(CollectorRegistry):
        exposition_formats = (Odd(),)

    assert answer_scrape(Offering(), "GET", accept="text/x-odd").status == 500


@any_act
def test_the_server_answers_and_serves_on(act: Callable[[], object]) -> None:
    with start_http_server(0, registry=with_orders(ActingLater(act))) as server:
        for count in (b" 1.0", b" 2.0"):
            status, _, body = get(server, "/metrics")
            assert status == 200
            assert b"orders_total 1.0" in body
            assert b'errors_total{collector="ActingLater"}' + count in body


class Broken(MemoryShardStore):
    """A store of shards, each of whose steps in a scrape does something."""

    act: Callable[[], object] = staticmethod(lambda: None)

    def publish(self, metrics: Sequence[HasRows], *, last: bool = False) -> None:
        self.act()

    def read(self) -> Reading:
        self.act()
        return super().read()

    def collectors(self) -> list[Collector]:
        self.act()
        return []


@any_act
def test_a_store_of_shards_leaves_this_process_its_numbers(
    act: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    store = Broken(MemoryBackend())
    registry = ShardedRegistry(store)
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    store.act = act  # after the registration

    text = generate_metrics(registry)

    assert "\norders_total 1.0\n" in text
    assert 'pytheus_collector_errors_total{collector="Broken"} 1.0' in text


class Audited(CollectorRegistry):
    """A registry that hears of failures, and fails itself."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act
        self.heard: list[Exception] = []

    def collect_failed(self, collector: Collector, error: Exception, /) -> None:
        self.heard.append(error)
        self._act()


@any_act
def test_a_registry_that_hears_of_failures_gets_an_exception(
    act: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    registry = Audited(act)
    registry.register(Acting(act))

    generate_metrics(registry)

    assert [type(error) for error in registry.heard] == [CollectorError]
    assert registry.heard[0].__cause__ is not None


def end(number: int, frame: FrameType | None) -> None:
    sys.exit(3)


@pytest.mark.parametrize("where", ["collector", "gauge"])
@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        pytest.param(signal.default_int_handler, KeyboardInterrupt, id="ctrl-c"),
        pytest.param(end, SystemExit, id="exit"),
    ],
)
def test_a_signal_to_the_program_ends_it(
    where: str, handler: Callable[[int, FrameType | None], object], expected: type[BaseException]
) -> None:
    def receive() -> float:
        signal.raise_signal(signal.SIGINT)
        return 1.0

    registry = with_orders()
    if where == "collector":
        registry.register(Acting(receive))
    else:
        Gauge("level", "Level.", registry=registry).set_function(receive)
    former = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(expected):
            generate_metrics(registry)
    finally:
        signal.signal(signal.SIGINT, former)
