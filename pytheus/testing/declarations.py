"""What a conformance class declares about its registry, and how checks are written.

Rules:

- A check is a method whose name begins with ``test_``, marked with `check`. It tests one promise, begins with nothing
  but a new registry, and relies only on what the checks that it names as `after` have shown.
- It fails by `AssertionError` with the promise in the contract's words, and then what came instead.
- Collectors are the kit's own, or metrics made with ``registry=None``: nothing reaches `pytheus.REGISTRY`.
- `unittest.SkipTest` is how a check says that it does not apply; pytest takes it for a skip.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, Final, Literal, TypeVar
from unittest import SkipTest

from pytheus.names import prefix_lead
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.samples import Family, Sample

__all__ = ["Declarations", "Probe", "check", "promised"]

Checks = TypeVar("Checks", bound="Declarations")


class Probe:
    """A collector of one gauge, as somebody writes it who has read the protocol and no more."""

    def __init__(self, probe: str, value: float = 1.0) -> None:
        self.probe = probe
        self.value = value
        self.collected: int = 0

    def collect(self) -> Iterator[Family | Collector]:
        self.collected += 1
        yield Family(self.probe, "gauge", "A probe of the conformance kit.", [Sample("", {}, self.value)])

    def __repr__(self) -> str:
        return f"<probe {self.probe}>"


class Declarations:
    """What a subclass says about its registry."""

    keeps_collectors: ClassVar[bool] = True
    """Whether what is registered is held, and given by `collect()`."""

    takes_registrations: ClassVar[bool] = True
    """Whether `register` and `unregister` may be called. Where not, `write_to` says where to register instead."""

    gives_originals: ClassVar[bool] = True
    """Whether `collect()` gives the very objects that were registered, and not others made of them."""

    refuses_unknown: ClassVar[bool] = True
    """Whether `unregister` raises for what is not held; a registry that keeps nothing cannot."""

    on_conflict: ClassVar[Literal["raise", "keep"]] = "raise"
    """What becomes of a collector whose name is taken: `ConflictError`, or the first one is kept without an error."""

    inner_prefix: ClassVar[str] = ""
    """What stands before the families' names besides the registry's `prefix`, with its underscore."""

    constant_labels: ClassVar[Mapping[str, str]] = {}
    """Labels that the registry adds to every sample."""

    plugin_name: ClassVar[str | None] = None
    """The plugin's name, for the checks of its distribution, which must be installed. None leaves them out."""

    plugin_address: ClassVar[str | None] = None
    """What `resolve_registry` takes to make one: a name or URL. None for the name alone."""

    import_budget_seconds: ClassVar[float] = 1.0
    """How much processor time importing the plugin may take, pytheus and pluggy not counted."""

    patience_seconds: ClassVar[float] = 30.0
    """How long to wait for what would otherwise hang."""

    def make_registry(self) -> Registry:
        """A new registry, empty and independent of those made before."""
        raise NotImplementedError(f"{type(self).__name__} must define make_registry(self) -> Registry")

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        """As `make_registry`, with that prefix. Override it where the registry can be made with one."""
        raise SkipTest("make_prefixed_registry is not defined, so this registry declares no prefixes")

    def write_to(self, registry: Registry) -> Registry:
        """Where the kit registers what `registry` is to show: in itself, unless overridden."""
        return registry

    # For checks ------------------------------------------------------------------------------------------------------

    def fresh(self) -> Registry:
        """A new registry, closed after the test."""
        return self._kept(self.make_registry())

    def fresh_prefixed(self, prefix: str | None) -> Registry:
        """As `fresh`, with that prefix."""
        return self._kept(self.make_prefixed_registry(prefix))

    def _kept(self, registry: Registry) -> Registry:
        # Test classes of pytest have no __init__.
        made: list[object] = self.__dict__.setdefault("_made", [])
        made.append(registry)
        return registry

    def teardown_method(self) -> None:
        """Close what was made."""
        for registry in self.__dict__.pop("_made", []):
            with suppress(Exception):  # there is a check of its own for this
                if isinstance(registry, Closable):
                    registry.close()

    def need(self, capability: bool, reason: str) -> None:
        """Skip the check for `reason` where the registry does not declare what it needs."""
        if not capability:
            raise SkipTest(reason)

    def need_keeping(self) -> None:
        """Skip where nothing is held."""
        self.need(self.keeps_collectors, "keeps_collectors = False: this registry holds nothing")

    def need_registrations(self) -> None:
        """Skip where nothing is held, or can be registered."""
        self.need_keeping()
        self.need(self.takes_registrations, "takes_registrations = False: this registry can only be read")

    def need_originals(self) -> None:
        """Skip where `collect()` gives objects of its own."""
        self.need_keeping()
        self.need(self.gives_originals, "gives_originals = False: this registry gives objects of its own")

    def filled(self, *collectors: Collector) -> Registry:
        """A new registry that shows `collectors`."""
        registry = self.fresh()
        for collector in collectors:
            with promised("register(collector) takes any object with a method collect()"):
                self.write_to(registry).register(collector)
        return registry

    def held(self, registry: Registry) -> list[Collector]:
        """What `collect()` gives."""
        with promised("collect() gives an iterable of the collectors held"):
            return list(registry.collect())

    def require_held(self, registry: Registry, expected: Sequence[Collector], promise: str) -> None:
        """Fail with `promise` unless `collect()` gives what stands for `expected`, in that order."""
        self.require_same(self.held(registry), expected, promise)

    def require_same(self, given: Sequence[Collector], expected: Sequence[Collector], promise: str) -> None:
        """Fail with `promise` unless `given` stands for `expected`, in that order."""
        got = [self._original(collector, expected) for collector in given]
        if len(got) != len(expected) or any(one is not other for one, other in zip(got, expected, strict=True)):
            raise AssertionError(f"{promise}: expected {_listed(expected)} but got {_listed(given)}")

    def _original(self, given: Collector, expected: Sequence[Collector]) -> object:
        if self.gives_originals:
            return given
        names = {self._family(given).removeprefix(self.inner_prefix)}
        return next((collector for collector in expected if self._family(collector) in names), given)

    @staticmethod
    def _family(collector: Collector) -> str:
        return next((str(getattr(part, "name", "")) for part in collector.collect()), "")

    def exposed(self, registry: Registry, name: str) -> str:
        """What the family `name` of `registry` is called in an exposition."""
        return prefix_lead(registry.prefix) + self.inner_prefix + name

    def unless_it_hangs(self, function: Callable[[], None], promise: str) -> None:
        """Call `function` in a thread, and fail with `promise` if it does not come to an end."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                function()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self.patience_seconds)
        if thread.is_alive():
            raise AssertionError(f"{promise}: waited {self.patience_seconds:g} s in vain; is a lock held meanwhile?")
        if failures:
            raise failures[0]


def _listed(collectors: Sequence[Collector]) -> str:
    names = [getattr(collector, "probe", None) or collector_name(collector) for collector in collectors]
    return ", ".join(map(str, names)) or "nothing"


@contextmanager
def promised(promise: str) -> Iterator[None]:
    """Turn any error of the block into one that says what was promised."""
    try:
        yield
    except (AssertionError, SkipTest):
        raise
    except Exception as error:
        raise AssertionError(f"{promise}: raised {type(error).__name__}: {error}") from error


# Why each check of a class cannot be relied on, or None where it can.
_verdicts: Final[weakref.WeakKeyDictionary[type, dict[str, str | None]]] = weakref.WeakKeyDictionary()


def check(*after: str) -> Callable[[Callable[[Checks], None]], Callable[[Checks], None]]:
    """Mark a check, with the names of those that it rests on, which are run first where they were not yet."""

    def mark(method: Callable[[Checks], None]) -> Callable[[Checks], None]:
        name = method.__name__

        @functools.wraps(method)
        def checked(self: Checks) -> None:
            verdicts = _verdicts.setdefault(type(self), {})
            for needed in after:
                if needed not in verdicts:
                    with suppress(Exception):  # it is told under its own name
                        getattr(self, needed)()
                reason = verdicts.get(needed)
                if reason is not None:
                    verdicts[name] = reason
                    raise SkipTest(reason)
            try:
                method(self)
            except SkipTest as skipped:
                verdicts[name] = str(skipped)
                raise
            except BaseException:
                verdicts[name] = f"left out, for it rests on {name}, which fails"
                raise
            verdicts[name] = None

        return checked

    return mark
