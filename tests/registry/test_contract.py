"""The check of a registry: it names each missing or wrong member, and calls no method."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import pytest

from pytheus import Counter, generate_metrics
from pytheus.exceptions import NotARegistryError
from pytheus.registry import Collector, CollectorRegistry, NullRegistry, Registry, check_registry
from tests.registry.conftest import EqualRegistry, Plain


class False_(Plain):
    def __bool__(self) -> bool:
        return False


class Slotted:
    __slots__ = ("held", "prefix")

    def __init__(self) -> None:
        self.prefix: str | None = None
        self.held: list[Collector] = []

    def register(self, collector: Collector, /) -> None:
        self.held.append(collector)

    def unregister(self, collector: Collector, /) -> None:
        self.held.remove(collector)

    def collect(self) -> Iterable[Collector]:
        return iter(self.held)


class Generating(Plain):
    def collect(self) -> Iterable[Collector]:
        yield from self.held


class Frozen(NamedTuple):
    prefix: str | None
    held: list[Collector]

    def register(self, collector: Collector, /) -> None:
        self.held.append(collector)

    def unregister(self, collector: Collector, /) -> None:
        self.held.remove(collector)

    def collect(self) -> Iterable[Collector]:
        return tuple(self.held)


class Delegating:
    """A wrapper that passes on the attributes that it does not have."""

    def __init__(self, inner: Registry) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


REGISTRIES: dict[str, object] = {
    "length 0": Plain(),
    "false": False_(),
    "equal to everything, unhashable": EqualRegistry(),
    "slots": Slotted(),
    "generating": Generating(),
    "named tuple": Frozen(None, []),
    "delegating": Delegating(Plain()),
    "namespace": types.SimpleNamespace(prefix=None, register=print, unregister=print, collect=tuple),
    "CollectorRegistry": CollectorRegistry(),
    "NullRegistry": NullRegistry(),
}


@pytest.mark.parametrize("candidate", REGISTRIES.values(), ids=REGISTRIES)
def test_registries_of_all_shapes_are_accepted(candidate: object) -> None:
    assert check_registry(candidate) is candidate


@pytest.mark.parametrize(
    "make",
    [Plain, False_, EqualRegistry, Slotted, Generating, lambda: Frozen(None, [])],
    ids=lambda make: make.__name__,
)
def test_registries_of_all_shapes_accept_metrics_and_are_scraped(make: type[Plain]) -> None:
    registry = make()
    first = Counter("hits_total", "Hits.", registry=registry)
    Counter("hits_total", "Hits.", registry=registry).inc(2)
    first.inc()
    assert generate_metrics(registry).endswith("\nhits_total 3.0\n")
    registry.unregister(first)
    assert generate_metrics(registry) == ""


class NoPrefix:
    def register(self, collector: object) -> None: ...
    def unregister(self, collector: object) -> None: ...
    def collect(self) -> Iterable[object]:
        return ()


class BadPrefix(NoPrefix):
    prefix = "a-b"


class RaisingPrefix(NoPrefix):
    @property
    def prefix(self) -> str:
        raise RuntimeError("no connection")


class NotCallable(BadPrefix):
    prefix = ""
    register = 1  # type: ignore[assignment]  # a mistake


class WrongArguments(NotCallable):
    def register(self) -> None: ...  # type: ignore[override]  # a mistake
    def collect(self, when: object) -> Iterable[object]:  # type: ignore[override]  # likewise
        return ()


class Async(NotCallable):
    async def register(self, collector: object) -> None: ...  # type: ignore[override]  # a mistake
    async def collect(self) -> AsyncIterator[object]:  # type: ignore[override]  # likewise
        yield None


@pytest.mark.parametrize(
    ("candidate", "problems"),
    [
        (NoPrefix(), ["'prefix' is missing; it should be a str or None"]),
        (BadPrefix(), ["'prefix' is 'a-b'"]),
        (RaisingPrefix(), ["'prefix' raised RuntimeError('no connection')"]),
        (NotCallable(), ["'register' is 1, which cannot be called"]),
        (WrongArguments(), ["'register' does not take 1 argument(s)", "'collect' does not take 0 argument(s)"]),
        (Async(), ["'register' is async, and pytheus does not await it", "'collect' is async"]),
        (None, ["'prefix'", "'register'", "'unregister'", "'collect'"]),
        ("default", ["it is a name, not an object; resolve it"]),
        (CollectorRegistry, ["it is a class, not an object; call it: CollectorRegistry()"]),
        (types, ["it is a module, not an object"]),
    ],
    ids=["no prefix", "bad prefix", "raising", "register = 1", "arguments", "async", "None", "str", "class", "module"],
)
def test_each_problem_is_named(candidate: object, problems: list[str]) -> None:
    with pytest.raises(NotARegistryError) as caught:
        check_registry(candidate, "the test")
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert found.startswith(expected)
        assert found in str(caught.value)
    assert str(caught.value).startswith("the test gave ")


def test_it_calls_no_method() -> None:
    class Alarm(Plain):
        def register(self, collector: Collector) -> None:
            raise AssertionError("called")

        unregister = register

        def collect(self) -> Iterable[Collector]:
            raise AssertionError("called")

    check_registry(Alarm())
