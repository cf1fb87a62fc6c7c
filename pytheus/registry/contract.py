"""The contract: the protocols `Registry` and `Collector`, and the check that an object is a registry.

These two protocols are all that any part of pytheus may rely on; `capabilities` has the optional ones.

`isinstance` against a runtime-checkable protocol is too weak: it executes properties on Python 3.11, and it accepts
``register = 1``, modules, and classes instead of their instances. `check_registry` runs once, when a registry is passed
in or made by a plugin, never per call.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Final, NoReturn, Protocol, cast, runtime_checkable

from pytheus.exceptions import InvalidNameError, NotACollectorError, NotARegistryError, NotTextError
from pytheus.interruption import is_interruption
from pytheus.names import validate_prefix
from pytheus.samples import Family

__all__ = [
    "Collector",
    "Registry",
    "check_collector",
    "check_registry",
    "RefusesPeers",
    "collector_name",
    "is_of_peer",
    "refused_by_peer",
]


@runtime_checkable
class Collector(Protocol):
    """An object that reports numbers: a metric, or one that gathers them from elsewhere.

    Error messages and `pytheus_collector_errors_total` call it by its attribute `name` if it has one, and otherwise by
    the name of its class.
    """

    def collect(self) -> Iterable[Family | Collector]:
        """Return the families with their current values.

        May yield `Family` objects, metrics, or other collectors, which are collected in turn. Called once per scrape,
        from any thread, by several threads at once; each call returns a new, independent iterable. May block: this
        delays the scrape, not the application. May raise anything: only this collector's families are missing from that
        scrape.
        """
        ...


def collector_name(collector: object) -> str:
    """Return the name of `collector` in messages: its attribute `name`, or its class's name."""
    try:
        name = getattr(collector, "name", None)
    except BaseException as error:
        if is_interruption(error):
            raise
        name = None
    return name if isinstance(name, str) and name else type(collector).__qualname__


@runtime_checkable
class Registry(Protocol):
    """The object that holds an application's collectors and decides where their values are kept.

    Any object with these four members is a registry; no base class is needed. Every member may be called from any
    thread at any time.

    After a fork, every member works in the child as in the parent, also if another thread of the parent was within one
    at that moment: locks, threads and connections are renewed, not inherited (`os.register_at_fork`). The child has the
    collectors of the parent, and changes of one process do not show in the other. In a registry of one process the
    child's metrics continue from a copy of the parent's values; in one that adds several processes up they start at
    zero, so that nothing counts twice.

    A registry with something to release is also `pytheus.registry.Closable`. One that exposes nothing, because it
    pushes its numbers elsewhere, returns no collectors from `collect` and is `pytheus.registry.HoldsCollectors`.
    """

    @property
    def prefix(self) -> str | None:
        """The text before ``_name`` in every exposed family name; None or "" for no prefix. Read at each scrape."""
        ...

    def register(self, collector: Collector, /) -> None:
        """Hold `collector` until it is unregistered.

        Idempotent: registering an object again changes nothing. A collector that would expose a name that another one
        occupies is refused with `pytheus.exceptions.ConflictError`, and nothing changes. Must not hold a lock while it
        calls the collector's `collect()`, because that may create metrics, which register themselves.
        """
        ...

    def unregister(self, collector: Collector, /) -> None:
        """Remove `collector`, found by identity, and keep no reference to it.

        A collector that is not registered raises `pytheus.exceptions.NotRegisteredError`, and nothing changes. In
        particular, unregistering a collector that `register` refused never removes the one that has its name.
        """
        ...

    def collect(self) -> Iterable[Collector]:
        """Return the registered collectors, in the order of registration.

        Those that a scrape exposes; a registry that pushes its numbers may return none (see `HoldsCollectors`).
        A snapshot: later registrations neither break the iteration nor appear in it. Does not call their `collect()`.
        """
        ...


# Flags of a code object: CO_COROUTINE, CO_ASYNC_GENERATOR. `inspect` has them, but takes long to import.
_ASYNC: Final = 0x80 | 0x200

# Objects of another metrics library, and objects of pytheus in a registry of that library. Neither can collect the
# families of the other. Without a check the mistake would show at each scrape only, and in prometheus_client no scrape
# would work at all. The library is not imported for this.
BOTH_LIBRARIES: Final = "see docs/how-to/from-prometheus-client.md"


def check_collector(candidate: object) -> None:
    """Raise `NotACollectorError` if `candidate` could not be collected: its form is wrong, or it is another library's.

    Calls nothing, so an object whose `collect()` yields wrong objects is found only when it is scraped.
    """
    collect = getattr(candidate, "collect", None)
    if isinstance(candidate, type) or not callable(collect):
        raise NotACollectorError(
            f"{candidate!r} is not a collector: a collector is an object (not a class) with a method collect()"
        )
    if is_of_peer(candidate):
        raise NotACollectorError(
            f"{_described(candidate)} is of prometheus_client, whose families pytheus does not expose;"
            f" {_bridge_for(candidate)}"
        )
    if _is_async_code(collect):
        raise NotACollectorError(
            f"collect() of {collector_name(candidate)!r} is async, and a scrape does not await it; make it a plain"
            " method that returns numbers which a task of the program has stored"
        )


def _bridge_for(candidate: object) -> str:
    if type(candidate).__module__.startswith("pytheus_prometheus_client."):
        return "it exposes a registry of pytheus in one of prometheus_client, and PeerCollector(...) does the reverse"
    return f"define it with pytheus, or register pytheus_prometheus_client.PeerCollector(...) of it; {BOTH_LIBRARIES}"


def is_of_peer(candidate: object) -> bool:
    """Return whether `candidate` is an object of prometheus_client, or of a class derived from one of its classes."""
    return any(base.__module__.partition(".")[0] == "prometheus_client" for base in type(candidate).__mro__)


def refused_by_peer(subject: str) -> NotACollectorError:
    """Return the error for a registry of another library that asks `subject` to describe itself."""
    return NotACollectorError(
        f"{subject} is of pytheus, and the registry of another library, such as prometheus_client, cannot collect it;"
        " register it in a pytheus registry, and that registry there, as"
        f" pytheus_prometheus_client.PytheusCollector(registry); {BOTH_LIBRARIES}"
    )


class RefusesPeers:
    """The base of collectors and registries that the registry of another library would take for its own collectors."""

    __slots__ = ()

    def describe(self) -> NoReturn:
        """Raise `NotACollectorError`. prometheus_client calls this method when a collector is registered there."""
        raise refused_by_peer(type(self).__qualname__)


def _is_async_code(function: object) -> bool:
    """Return whether calling `function` gives a coroutine or an asynchronous generator, as far as that shows."""
    for _ in range(8):  # partial objects of methods of objects, and so on
        function = getattr(function, "__func__", function)
        code = getattr(function, "__code__", None)
        if code is not None:
            return bool(getattr(code, "co_flags", 0) & _ASYNC)
        called: object = getattr(type(function), "__call__", None)  # noqa: B004  # its code is needed
        function = getattr(function, "func", None) or called
    return False


_CALLS: dict[str, int] = {"register": 1, "unregister": 1, "collect": 0}
_SHAPES: dict[str, str] = {
    "register": "a method register(collector)",
    "unregister": "a method unregister(collector)",
    "collect": "a method collect() that returns the collectors",
}


def check_registry(candidate: object, source: str = "registry") -> Registry:
    """Return `candidate` if it satisfies `Registry`.

    Raises `NotARegistryError`, which names each missing or wrong member and its correct form; `source` says where the
    candidate comes from. Reads `prefix` once and calls no method.
    """
    problems = _problems(candidate)
    if problems and is_of_peer(candidate):
        problems = ["it is of prometheus_client; register pytheus_prometheus_client.PeerCollector(...) of it"]
    if problems:
        raise NotARegistryError(
            f"{source} gave {_described(candidate)}, which is not a registry: {'; '.join(problems)}."
            " A registry has a prefix, register(collector), unregister(collector) and collect()",
            problems=tuple(problems),
        )
    # isinstance would not do: from 3.12 on it does not see members that a __getattr__ passes on.
    return cast(Registry, candidate)


def _described(candidate: object) -> str:
    if isinstance(candidate, type):
        return f"the class {candidate.__qualname__}"
    if isinstance(candidate, types.ModuleType):
        return f"the module {candidate.__name__}"
    if candidate is None:
        return "None"
    try:
        shown = f" {candidate!r:.80}"
    except Exception:  # a broken repr must not hide the error that is reported
        shown = ""
    return f"{type(candidate).__qualname__}{shown}"


def _problems(candidate: object) -> list[str]:
    if isinstance(candidate, str):
        return [f"it is a name, not an object; resolve it: pytheus.plugins.resolve_registry({candidate!r})"]
    if isinstance(candidate, type):
        return [f"it is a class, not an object; call it: {candidate.__qualname__}()"]
    if isinstance(candidate, types.ModuleType):
        return ["it is a module, not an object"]
    problems: list[str] = []
    try:
        prefix = candidate.prefix  # type: ignore[attr-defined]  # whether it has one is checked here
    except AttributeError:
        problems.append("'prefix' is missing; it should be a str or None")
    except Exception as error:
        problems.append(f"'prefix' raised {error!r}; it should be a str or None")
    else:
        try:
            validate_prefix(prefix)
        except (InvalidNameError, NotTextError) as error:
            problems.append(f"'prefix' is {prefix!r}: {error}")
    for name, arguments in _CALLS.items():
        try:
            member = getattr(candidate, name)
        except AttributeError:
            problems.append(f"{name!r} is missing; it should be {_SHAPES[name]}")
            continue
        except Exception as error:
            problems.append(f"{name!r} raised {error!r}; it should be {_SHAPES[name]}")
            continue
        if not callable(member):
            problems.append(f"{name!r} is {member!r:.60}, which cannot be called; it should be {_SHAPES[name]}")
        elif _is_async(member):
            problems.append(f"{name!r} is async, and pytheus does not await it; it should be {_SHAPES[name]}")
        elif not _takes(member, arguments):
            problems.append(f"{name!r} does not take {arguments} argument(s); it should be {_SHAPES[name]}")
    return problems


def _is_async(member: object) -> bool:
    import inspect

    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


def _takes(member: object, arguments: int) -> bool:
    import inspect

    try:
        signature = inspect.signature(member)  # type: ignore[arg-type]  # a callable, as the caller has checked
    except (TypeError, ValueError):
        return True  # a function written in C may have no signature
    try:
        signature.bind(*([None] * arguments))
    except TypeError:
        return False
    return True
