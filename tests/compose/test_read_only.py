"""`read_only`: a registry that can be scraped and not changed."""

from __future__ import annotations

import pytest

from pytheus import Counter, generate_metrics
from pytheus.compose import ReadOnlyError, prefixed, read_only
from pytheus.exceptions import PytheusError
from pytheus.registry import CollectorRegistry


class Closing(CollectorRegistry):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def below() -> Closing:
    registry = Closing(prefix="shop")
    Counter("hits_total", "Hits.", registry=registry)
    return registry


def test_it_is_exposed_as_the_registry_below(below: Closing) -> None:
    assert generate_metrics(read_only(below)) == generate_metrics(below)


def test_a_metric_cannot_be_defined(below: Closing) -> None:
    with pytest.raises(ReadOnlyError, match="counter 'misses_total' cannot be registered") as caught:
        Counter("misses_total", "Misses.", registry=read_only(below))
    assert isinstance(caught.value, PytheusError)
    assert len(below) == 1


def test_nothing_can_be_unregistered(below: Closing) -> None:
    view = read_only(below)
    with pytest.raises(ReadOnlyError, match="cannot be unregistered"):
        view.unregister(next(view.collect()))
    assert len(below) == 1


def test_a_layer_around_it_is_read_only_too(below: Closing) -> None:
    with pytest.raises(ReadOnlyError):
        Counter("misses_total", "Misses.", registry=prefixed(read_only(below), "eu"))


def test_closing_it_closes_nothing(below: Closing) -> None:
    read_only(below).close()
    assert not below.closed
