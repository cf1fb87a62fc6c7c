"""Whether an object really is a registry.

`isinstance` against a runtime-checkable protocol is not enough: it executes properties on Python 3.11, and it passes
``register = 1``, modules, and classes instead of their instances. This check runs once, where a registry is handed in
by hand or made by a plugin, never per call.
"""

from __future__ import annotations

import types
from typing import cast

from pytheus.exceptions import InvalidNameError, NotARegistryError, NotTextError
from pytheus.names import validate_prefix
from pytheus.registry.protocols import Layered, Registry

__all__ = ["check_registry", "layers_of"]

_CALLS: dict[str, int] = {"register": 1, "unregister": 1, "collect": 0}
_SHAPES: dict[str, str] = {
    "register": "a method register(collector)",
    "unregister": "a method unregister(collector)",
    "collect": "a method collect() that gives the collectors held",
}


def check_registry(candidate: object, source: str = "registry") -> Registry:
    """`candidate`, if it satisfies `Registry`.

    Raises `NotARegistryError` that names each missing or wrong member and what it should be; `source` says where the
    candidate came from. Reads `prefix` once and calls nothing.
    """
    problems = _problems(candidate)
    if problems:
        raise NotARegistryError(
            f"{source} gave {_described(candidate)}, which is no registry: {'; '.join(problems)}."
            " A registry has a prefix, register(collector), unregister(collector) and collect()",
            problems=tuple(problems),
        )
    # Not by isinstance: from 3.12 on it does not see what a wrapper's __getattr__ passes on.
    return cast(Registry, candidate)


def layers_of(registry: object) -> tuple[Registry, ...]:
    """The registries directly below `registry`, where it is `Layered`; none for one whose `layers` are something else.

    Resolves no proxy.
    """
    layers: object = registry.layers if isinstance(registry, Layered) else ()
    if not isinstance(layers, tuple):
        return ()
    for layer in layers:
        if not (callable(getattr(layer, "register", None)) and callable(getattr(layer, "collect", None))):
            return ()
    return layers


def _described(candidate: object) -> str:
    if isinstance(candidate, type):
        return f"the class {candidate.__qualname__}"
    if isinstance(candidate, types.ModuleType):
        return f"the module {candidate.__name__}"
    if candidate is None:
        return "None"
    try:
        shown = f" {candidate!r:.80}"
    except Exception:  # its repr is not what is being found out
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
        prefix = candidate.prefix  # type: ignore[attr-defined]  # the very thing that is being found out
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
            problems.append(f"{name!r} is async, and nobody would await it; it should be {_SHAPES[name]}")
        elif not _takes(member, arguments):
            problems.append(f"{name!r} does not take {arguments} argument(s); it should be {_SHAPES[name]}")
    return problems


def _is_async(member: object) -> bool:
    import inspect  # loaded late: as below

    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


def _takes(member: object, arguments: int) -> bool:
    import inspect  # loaded late: it is only needed where a registry is changed, and slow to import

    try:
        signature = inspect.signature(member)  # type: ignore[arg-type]  # a callable, as the caller has checked
    except (TypeError, ValueError):
        return True  # built in C without a signature: nothing to hold against it
    try:
        signature.bind(*([None] * arguments))
    except TypeError:
        return False
    return True
