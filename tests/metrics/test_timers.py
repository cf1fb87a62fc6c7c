"""Timers: labels known only at the end, the duration, ``async with``, and one start for each."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from functools import partial
from time import perf_counter

import pytest

from pytheus import Counter, Gauge, Histogram, Summary, generate_metrics
from pytheus.exceptions import LabelError, PytheusWarning
from pytheus.metrics import Metric, Timer
from pytheus.registry import CollectorRegistry
from tests.metrics.conftest import Stopwatch

MAKERS = [Histogram, Summary, Gauge]


def _timed(metric: Metric) -> dict[tuple[str, ...], float]:
    """The seconds in each series that has some."""
    return {row.labels: row.numbers[0] for row in metric.rows() if any(row.numbers)}


# Labels at the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "bind",
    [
        lambda timer: timer.labels("GET", 200),
        lambda timer: timer.labels(code="200", method="GET"),
        lambda timer: timer.labels({"method": "GET", "code": 200}),
        lambda timer: (timer.labels(method="GET"), timer.labels(code=200)),
        lambda timer: (timer.labels("PUT", 500), timer.labels("GET", 200)),
        lambda timer: (timer.labels("GET", 500), timer.labels(code=200)),
    ],
    ids=["by position", "by keyword", "by mapping", "one by one", "the last call counts", "for each label"],
)
def test_labels_can_be_set_in_the_block(
    make: Callable[..., Histogram], watch: Stopwatch, bind: Callable[[Timer], object]
) -> None:
    metric = make("m", "M.", ["method", "code"], registry=None)
    with metric.time() as timer:
        watch.work()
        bind(timer)
    assert timer.seconds is not None
    assert timer.seconds >= watch.seconds
    assert _timed(metric) == {("GET", "200"): timer.seconds}
    assert metric.series_count == 1


def test_a_handle_and_defaults_give_the_rest(registry: CollectorRegistry) -> None:
    metric = Histogram("m", "M.", ["method", "path", "code"], default_labels={"code": "200"}, registry=registry)
    get = metric.labels(method="GET")
    with get.time() as timer:
        timer.labels("/")  # by position: the labels that the handle lacks
    with get.labels(path="/").time():
        pass
    with get.time() as timer:
        timer.labels(path="/", code=404)
    assert {row.labels: sum(row.numbers[1:]) for row in metric.rows()} == {
        ("GET", "/", "200"): 2.0,
        ("GET", "/", "404"): 1.0,
    }


def test_a_series_can_be_replaced_and_leaves_no_zero_behind() -> None:
    metric = Summary("m", "M.", ["code"], registry=None)
    with metric.time() as timer:
        timer.labels(500)
        timer.labels(200)
    assert [row.labels for row in metric.rows()] == [("200",)]


@pytest.mark.parametrize("make", MAKERS)
def test_a_label_that_is_missing_at_the_end_raises(make: Callable[..., Histogram]) -> None:
    metric = make("m", "M.", ["method", "code"], registry=None)
    with pytest.raises(LabelError, match=r"lacks 'code': complete it with \.labels\(code=\.\.\.\)"):  # noqa: SIM117
        with metric.time() as timer:
            timer.labels(method="GET")
    assert metric.series_count == 0


def test_a_block_that_raised_keeps_its_error_and_is_told_once() -> None:
    metric = Histogram("m", "M.", ["code"], registry=None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), metric.time() as timer:
                timer.labels(code=1 // 0)
    assert [warning.category for warning in told] == [PytheusWarning]
    assert "lacks 'code', because ZeroDivisionError left its block" in str(told[0].message)
    assert metric.series_count == 0


def test_labels_set_before_the_error_count() -> None:
    metric = Histogram("m", "M.", ["code"], registry=None)
    with pytest.raises(ZeroDivisionError), metric.time() as timer:
        timer.labels(500)
        timer.labels(code=1 // 0)
    assert metric.labels(500).count == 1.0


@pytest.mark.parametrize(
    "mistake",
    [lambda timer: timer.labels(cod=1), lambda timer: timer.labels("GET"), lambda timer: timer.labels(method="PUT")],
    ids=["unknown", "too many", "set already"],
)
def test_labels_that_do_not_fit_raise(mistake: Callable[[Timer], None]) -> None:
    timer = Histogram("m", "M.", ["method"], registry=None).labels("GET").time()
    with timer, pytest.raises(LabelError):
        mistake(timer)


def test_labels_of_the_block_before_are_forgotten() -> None:
    metric = Histogram("m", "M.", ["code"], registry=None)
    timer = metric.time()
    with timer:
        timer.labels(200)
    with pytest.raises(LabelError), timer:
        pass


@pytest.mark.parametrize("make", MAKERS)
def test_a_function_is_decorated_with_all_labels(make: Callable[..., Histogram]) -> None:
    metric = make("m", "M.", ["code"], registry=None)
    with pytest.raises(LabelError, match="lacks 'code'"):
        metric.time()(len)
    with pytest.raises(LabelError, match="lacks 'code'"):
        metric(len)
    assert metric.labels(200).time()(len)("abc") == 3
    assert len(_timed(metric)) == 1


# The duration ---------------------------------------------------------------------------------------------------------


def test_seconds_are_those_of_the_last_block(latency: Histogram, watch: Stopwatch) -> None:
    timer = latency.time()
    seconds = [timer.seconds]
    for _ in range(2):
        with timer:
            seconds.append(timer.seconds)
            watch.work()
        assert timer.seconds is not None
        assert timer.seconds > 0
    assert seconds == [None, None, None]
    assert latency.sum >= watch.seconds


# One start for each ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
def test_a_second_entry_is_refused_and_the_first_one_goes_on(make: Callable[..., Histogram], watch: Stopwatch) -> None:
    metric = make("m", "M.", registry=None)
    timer = metric.time()
    with timer:
        with pytest.raises(RuntimeError, match="entered again before its block has ended; call time"), timer:
            pass
        watch.work()
    assert timer.seconds is not None
    assert timer.seconds >= watch.seconds
    assert _timed(metric) == {(): timer.seconds}


def test_another_thread_is_refused(latency: Histogram) -> None:
    timer = latency.time()
    refused: list[str] = []

    def enter() -> None:
        try:
            with timer:
                pass
        except RuntimeError as error:
            refused.append(str(error))

    with timer:
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert latency.count == 1.0


@pytest.mark.threads
def test_of_threads_that_enter_at_once_each_is_measured_or_refused(latency: Histogram) -> None:
    timer = latency.time()
    entered: list[bool] = []

    def work() -> None:
        for _ in range(200):
            try:
                with timer:
                    entered.append(True)
            except RuntimeError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert latency.count == len(entered)


def test_another_task_is_refused(latency: Histogram) -> None:
    timer = latency.time()

    async def block(inside: asyncio.Event, done: asyncio.Event) -> None:
        async with timer:
            inside.set()
            await done.wait()

    async def main() -> None:
        inside, done = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(block(inside, done))
        await inside.wait()
        with pytest.raises(RuntimeError, match="entered again"):
            await block(inside, done)
        done.set()
        await first

    asyncio.run(main())
    assert latency.count == 1.0


def test_a_timer_that_was_not_entered_cannot_be_left(latency: Histogram) -> None:
    with pytest.raises(RuntimeError, match="left before it was entered"):
        latency.time().__exit__(None, None, None)
    assert latency.count == 0.0


def test_the_others_can_be_entered_at_once_any_number_of_times(progress: Gauge, failures: Counter) -> None:
    running, counting = progress.track_inprogress(), failures.count_exceptions(ValueError)
    with running, running:
        assert progress.value == 2.0
    assert progress.value == 0.0
    with pytest.raises(ValueError, match="no"), counting, counting:
        raise ValueError("no")
    assert failures.value == 2.0


# async with -----------------------------------------------------------------------------------------------------------


def test_async_with_measures_the_block(watch: Stopwatch) -> None:
    registry = CollectorRegistry()
    latency = Summary("latency_seconds", "Latency.", ["code"], registry=registry)
    progress = Gauge("in_progress", "In progress.", registry=registry)
    failures = Counter("failures_total", "Failures.", registry=registry)

    async def main() -> None:
        async with latency.time() as timer, progress.track_inprogress(), failures.count_exceptions():
            assert progress.value == 1.0
            await watch.work_async()
            timer.labels(200)
        assert timer.seconds == latency.labels(200).sum
        with pytest.raises(KeyError):
            async with failures.count_exceptions(), progress.track_inprogress():
                raise KeyError

    asyncio.run(main())
    assert latency.labels(200).sum >= watch.seconds
    assert (progress.value, failures.value) == (0.0, 1.0)
    assert 'latency_seconds_count{code="200"} 1.0' in generate_metrics(registry)


@pytest.mark.parametrize("make", [partial(Histogram, labels=None), Summary])
def test_tasks_with_timers_of_their_own_do_not_mix(make: Callable[..., Histogram]) -> None:
    metric = make("m", "M.", ["task"], registry=None)

    async def task(name: int, turn: asyncio.Barrier) -> float | None:
        async with metric.time() as timer:
            await turn.wait()
            timer.labels(name)
        return timer.seconds

    async def main() -> list[float | None]:
        turn = asyncio.Barrier(3)
        return await asyncio.gather(*(task(name, turn) for name in range(3)))

    assert asyncio.run(main()) == [_timed(metric)[str(name),] for name in range(3)]


# Subclasses -----------------------------------------------------------------------------------------------------------


def _one_block(metric: Histogram) -> None:
    with metric.time():
        pass


def _number(text: str) -> int:
    return int(text)


def _one_call(metric: Histogram) -> None:
    metric.time()(_number)("1")


@pytest.mark.parametrize("measure", [_one_block, _one_call])
@pytest.mark.parametrize("make", [Histogram, Summary])
def test_a_subclass_takes_the_seconds_in_its_own_way(
    make: type[Histogram], measure: Callable[[Histogram], None]
) -> None:
    class InMinutes(make):  # type: ignore[valid-type, misc]  # of either class
        def observe(self, value: float) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # of either class
            super().observe(60.0 + value / 60.0)

    metric = InMinutes("m", "M.", registry=None)
    measure(metric)
    assert metric.sum >= 60.0
    assert metric.count == 1.0


def test_a_subclass_of_the_timer_measures_in_its_own_way() -> None:
    entered: list[str] = []

    class Loud(Timer):
        def fresh(self) -> Timer:
            entered.append("fresh")
            return super().fresh()

    metric = Histogram("m", "M.", registry=None)
    decorated = Loud(metric)(_number)
    assert decorated("1") == 1
    assert entered == ["fresh"]
    assert metric.count == 1.0


def test_a_decorated_function_is_timed_where_the_numbers_are_now(registry: CollectorRegistry) -> None:
    first = Histogram("m", "M.", registry=registry)
    second = Histogram("m", "M.", registry=registry)  # writes to the first
    labelled = Histogram("n", "N.", ["code"], registry=registry)
    decorated = labelled.labels(200).time()(second.time()(first.time()(_number)))
    assert decorated("1") == 1
    assert first.count == second.count == 2.0
    labelled.remove(200)
    assert decorated("1") == 1
    assert labelled.series_count == 0  # a removed series is still written, but not exposed


# The clock ------------------------------------------------------------------------------------------------------------


def _work() -> tuple[float, float]:
    began = perf_counter()
    while perf_counter() == began:
        pass
    return began, perf_counter()


def _measured_block(metric: Histogram) -> tuple[float, float]:
    with metric.time():
        return _work()


def _measured_call(metric: Histogram) -> tuple[float, float]:
    return metric.time()(_work)()


@pytest.mark.parametrize("measured", [_measured_block, _measured_call])
@pytest.mark.parametrize("make", MAKERS)
def test_a_duration_is_one_of_the_clock_of_python(
    make: Callable[..., Histogram], measured: Callable[[Metric], tuple[float, float]]
) -> None:
    # Measured around and within what is timed, so that another unit or another clock would show.
    for number in range(100):
        metric = make("m", "M.", ["number"], registry=None).labels(number)
        before = perf_counter()
        began, ended = measured(metric)
        after = perf_counter()
        (seconds,) = _timed(metric).values()
        assert ended - began <= seconds <= after - before
