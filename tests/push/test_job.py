"""Jobs: their own metrics, one sending at the end of each run, and the outcome of the program left alone."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path

import pytest

from pytheus import Counter, Gauge
from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.push import job
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family
from tests.push.receivers import Received, Receiver, answering, closed_port

_PATIENCE_SECONDS = 120
_SHORT_SECONDS = 0.2


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry).inc(3)
    return registry


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answering(200)) as receiver:
        yield receiver


def values(body: bytes | str) -> dict[str, float]:
    text = body.decode() if isinstance(body, bytes) else body
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name.partition("{")[0]: float(value) for name, _, value in lines}


def test_a_job_that_succeeds_replaces_its_metrics(receiver: Receiver, shop: CollectorRegistry) -> None:
    with job("nightly", shop, push=receiver.url, grouping={"instance": "db1"}) as measured:
        assert receiver.requests == []
    (request,) = receiver.requests
    assert (request.method, request.target) == ("PUT", "/metrics/job/nightly/instance/db1")
    found = values(request.body)
    assert found["shop_orders_total"] == 3
    assert found["batch_job_success"] == 1
    assert 0 <= found["batch_job_duration_seconds"] < _PATIENCE_SECONDS
    assert found["batch_job_last_success_timestamp_seconds"] > 1.6e9
    assert b'batch_job_success{job_name="nightly"} 1.0\n' in request.body
    assert measured.error is None
    assert "batch_job" not in str(list(shop.collect()))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), SystemExit("no")])
def test_a_job_that_fails_leaves_its_last_success(
    receiver: Receiver, shop: CollectorRegistry, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, job("nightly", shop, push=receiver.url):
        raise error
    assert caught.value is error
    (request,) = receiver.requests
    assert request.method == "POST"
    found = values(request.body)
    assert (found["shop_orders_total"], found["batch_job_success"]) == (3, 0)
    assert "batch_job_last_success_timestamp_seconds" not in found


@pytest.mark.parametrize("status", [0, None])
def test_an_exit_with_the_status_0_is_a_success(
    receiver: Receiver, shop: CollectorRegistry, status: int | None
) -> None:
    with pytest.raises(SystemExit), job("nightly", shop, push=receiver.url):
        sys.exit(status)
    assert values(receiver.requests[0].body)["batch_job_success"] == 1


def test_a_textfile_keeps_the_last_success(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    name = 'nightly "a"\\b'
    with pytest.raises(ValueError, match="first"), job(name, shop, textfile=path):
        raise ValueError("first")
    assert "batch_job_last_success_timestamp_seconds" not in values(path.read_text())
    with job(name, shop, textfile=path):
        pass
    success = values(path.read_text())["batch_job_last_success_timestamp_seconds"]
    with pytest.raises(ValueError, match="third"), job(name, shop, textfile=path, mode=0o600):
        raise ValueError("third")
    found = values(path.read_text())
    assert (found["batch_job_success"], found["batch_job_last_success_timestamp_seconds"]) == (0, success)
    assert path.stat().st_mode & 0o777 == 0o600


def _fail(registry: CollectorRegistry, **receiver: object) -> Exception | None:
    """The error of the sending of a run that fails."""
    with pytest.raises(KeyError), job("nightly", registry, **receiver) as failing:  # type: ignore[arg-type]  # any
        raise KeyError
    return failing.error


@pytest.mark.parametrize("number", ["1.7.9", "1e", "1e999"])
def test_a_textfile_with_another_number(shop: CollectorRegistry, tmp_path: Path, number: str) -> None:
    path = tmp_path / "nightly.prom"
    path.write_text(f'batch_job_last_success_timestamp_seconds{{job_name="nightly"}} {number}\n')
    assert _fail(shop, textfile=path) is None
    found = values(path.read_text())
    assert (found["shop_orders_total"], found["batch_job_success"]) == (3, 0)
    assert "batch_job_last_success_timestamp_seconds" not in found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_textfile_that_is_a_pipe(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    os.mkfifo(path)
    assert "is not a regular file; name another one" in str(_fail(shop, textfile=path))


def test_a_textfile_has_only_the_families_of_the_last_run(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    with job("nightly", shop, textfile=path):
        pass
    assert _fail(CollectorRegistry(), textfile=path) is None
    assert set(values(path.read_text())) == {
        "batch_job_duration_seconds",
        "batch_job_success",
        "batch_job_last_success_timestamp_seconds",
    }


class Late:
    """A collector whose family is known in a scrape only."""

    def collect(self) -> Iterator[Family]:
        yield Family.of("batch_job_last_success_timestamp_seconds", "gauge", "Mine.", 1.0)


def test_a_family_with_the_name_of_a_gauge_of_the_job_is_left_out(
    receiver: Receiver, shop: CollectorRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = CollectorRegistry()
    Gauge("batch_job_success", "Mine.", ["job_name"], registry=other).labels("x").set(5)
    Counter("orders_total", "Orders.", registry=other).inc(3)
    other.register(Late())
    path = tmp_path / "nightly.prom"
    assert _fail(other, push=receiver.url, textfile=path) is None
    for body in (receiver.requests[0].body.decode(), path.read_text()):
        assert body.count("batch_job_success{") == body.count("# HELP batch_job_success ") == 1
        found = values(body)
        assert (found["orders_total"], found["batch_job_success"]) == (3, 0)
        assert "batch_job_last_success_timestamp_seconds" not in found
    (record,) = caplog.records
    assert "without batch_job_last_success_timestamp_seconds and batch_job_success of the" in record.getMessage()


@pytest.mark.parametrize("status", [400, 413])
def test_the_outcome_is_sent_alone_if_the_rest_is_refused(shop: CollectorRegistry, status: int) -> None:
    def answer(connection: socket.socket, request: Received) -> None:
        answering(status if b"shop_orders_total" in request.body else 200, b"no")(connection, request)

    with Receiver(answer) as receiver, job("nightly", shop, push=receiver.url) as measured:
        pass
    assert [request.method for request in receiver.requests] == ["PUT", "POST"]
    assert values(receiver.requests[1].body)["batch_job_success"] == 1
    assert isinstance(measured.error, PushError)
    assert measured.error.status == status


def test_each_call_of_a_decorated_function_is_a_run(receiver: Receiver, shop: CollectorRegistry) -> None:
    measured = job("nightly", shop, push=receiver.url)

    @measured
    def divide(number: int, *, by: int = 1) -> float:
        """Divide."""
        return number / by

    assert divide(6, by=2) == 3
    with pytest.raises(ZeroDivisionError):
        divide(6, by=0)
    assert divide.__doc__ == "Divide."
    first, second = (values(request.body) for request in receiver.requests)
    assert (first["batch_job_success"], second["batch_job_success"]) == (1, 0)
    last = "batch_job_last_success_timestamp_seconds"
    assert first[last] == second[last]


def test_a_coroutine_function_can_be_decorated(receiver: Receiver, shop: CollectorRegistry) -> None:
    @job("nightly", shop, push=receiver.url)
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        assert receiver.requests == []
        return number

    assert asyncio.run(work(5)) == 5
    assert len(receiver.requests) == 1


class Task:
    """An object whose call is asynchronous."""

    async def __call__(self, receiver: Receiver) -> None:
        await asyncio.sleep(0)
        assert receiver.requests == []
        raise ValueError("failed")


def _marked(receiver: Receiver) -> Coroutine[object, object, None]:
    return Task()(receiver)


@pytest.mark.parametrize("kind", ["object", "partial", "marked"])
def test_the_run_of_an_asynchronous_callable_ends_with_its_work(
    receiver: Receiver, shop: CollectorRegistry, kind: str
) -> None:
    callables: dict[str, Callable[[Receiver], Coroutine[object, object, None]]] = {
        "object": Task(),
        "partial": partial(Task()),
    }
    if kind == "marked":
        mark = getattr(inspect, "markcoroutinefunction", None)
        if mark is None:
            pytest.skip("inspect.markcoroutinefunction came with Python 3.12")
        callables["marked"] = mark(_marked)
    with pytest.raises(ValueError, match="failed"):
        asyncio.run(job("nightly", shop, push=receiver.url)(callables[kind])(receiver))
    assert values(receiver.requests[0].body)["batch_job_success"] == 0


class Generating:
    """An object whose call is a generator."""

    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [Generating.__call__, Generating(), partial(Generating())])
def test_a_generator_function_is_refused(shop: CollectorRegistry, function: Callable[[], object]) -> None:
    with pytest.raises(InvalidReceiverError, match="job 'nightly' got a generator function"):
        job("nightly", shop, textfile="a")(function)


def test_an_error_of_the_receiver_is_logged_and_not_raised(
    shop: CollectorRegistry, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    url = f"http://a:hunter2@127.0.0.1:{closed_port()}"
    with job("nightly", shop, push=url, textfile=tmp_path / "nightly.prom") as measured:
        pass
    assert isinstance(measured.error, PushError)
    assert measured.error.reason == "connection"
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "not all metrics of the job 'nightly' were sent: the Pushgateway at http://a:***@"
    )
    assert "hunter2" not in caplog.text
    assert (tmp_path / "nightly.prom").exists()  # the other receiver got them


def test_the_error_of_the_job_is_not_replaced(shop: CollectorRegistry) -> None:
    with (
        pytest.raises(ValueError, match="its own") as caught,
        job("nightly", shop, push=f"http://127.0.0.1:{closed_port()}"),
    ):
        raise ValueError("its own")
    assert caught.value.__context__ is None


def test_a_receiver_that_hangs_delays_the_end_by_the_limit(shop: CollectorRegistry) -> None:
    released = threading.Event()
    with Receiver(lambda connection, request: released.wait()) as receiver:
        try:
            with job("nightly", shop, push=receiver.url, timeout_seconds=_SHORT_SECONDS) as measured:
                pass
        finally:
            released.set()
    assert isinstance(measured.error, PushError)
    assert measured.error.reason == "timeout"


def test_a_registry_that_fails_does_not_hide_the_outcome(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(CollectorRegistry):
        def collect(self) -> Iterator[Counter]:
            raise RuntimeError("no database")

    path = tmp_path / "nightly.prom"
    with job("nightly", Failing(), push=receiver.url, textfile=path) as measured:
        pass
    (request,) = receiver.requests
    assert request.method == "POST"
    assert values(request.body)["batch_job_success"] == values(path.read_text())["batch_job_success"] == 1
    assert isinstance(measured.error, PushError)
    assert measured.error.reason == "collection"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("", {"textfile": "a"}, "a job's name is text"),
        ("\ud800", {"textfile": "a"}, "a job's name is text"),
        ("nightly", {"textfile": "a", "timeout_seconds": 0}, "timeout_seconds for job 'nightly' is a positive number"),
        ("nightly", {}, "job 'nightly' has no receiver; pass push=URL"),
        ("nightly", {"push": "gateway:9091"}, "begins with http://"),
        ("nightly", {"push": "http://a", "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_an_invalid_argument_is_refused_before_the_job_begins(
    name: str, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidReceiverError, match=message):
        job(name, **arguments)  # type: ignore[arg-type]  # arguments of several types


def test_a_module_of_the_package_hides_no_name() -> None:
    """An import of a module sets an attribute of its package."""
    import pkgutil

    import pytheus.push

    assert not {module.name for module in pkgutil.iter_modules(pytheus.push.__path__)} & set(pytheus.push.__all__)
