"""What implementations of each hook look like to type checkers. Nothing at run time needs this module.

Rules:

- pluggy hands arguments in by name, so an implementation may name them in any order and leave out those that it does
  not want: hence keyword-only parameters, and a shape for each selection of them.
- The name of a function is invisible to type checkers. What is marked with a plain ``@hookimpl`` has to have the shape
  of some hook; what is marked with ``@hookimpl(specname="...")``, that of the very hook.
- A shape without parameters is a ``Callable`` and no protocol: by that mypy recognizes the overload that was meant, and
  tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Concatenate, Never, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from pytheus.exposition.formats import ExpositionFormat
from pytheus.plugins.options import RegistryOptions
from pytheus.registry.contract import Collector, Registry

__all__ = [
    "CollectErrorHook",
    "CollectorRegisteredHook",
    "CollectorRejectedHook",
    "AnyHookWithItsNamesAndTypes",
    "ExpositionFormatsHook",
    "HookWithItsNamesAndTypes",
    "MakeRegistryHook",
    "Mark",
    "Method",
    "ObjectThatStatesItsPluginAPI",
    "Parameters",
    "Result",
    "WrapRegistryHook",
    "Wrapper",
]


class _MakesOfOptions(Protocol):
    def __call__(self, *, options: RegistryOptions) -> Registry: ...


class _WrapsByBoth(Protocol):
    def __call__(self, *, registry: Registry, options: RegistryOptions) -> Registry | None: ...


class _WrapsRegistry(Protocol):
    def __call__(self, *, registry: Registry) -> Registry | None: ...


class _WrapsByOptions(Protocol):
    def __call__(self, *, options: RegistryOptions) -> Registry | None: ...


class _SeesAll(Protocol):
    def __call__(self, *, collector: Collector, registry: Registry, error: Exception) -> None: ...


class _SeesCollectorAndRegistry(Protocol):
    def __call__(self, *, collector: Collector, registry: Registry) -> None: ...


class _SeesCollectorAndError(Protocol):
    def __call__(self, *, collector: Collector, error: Exception) -> None: ...


class _SeesRegistryAndError(Protocol):
    def __call__(self, *, registry: Registry, error: Exception) -> None: ...


class _SeesCollector(Protocol):
    def __call__(self, *, collector: Collector) -> None: ...


class _SeesRegistry(Protocol):
    def __call__(self, *, registry: Registry) -> None: ...


class _SeesError(Protocol):
    def __call__(self, *, error: Exception) -> None: ...


_Makes: TypeAlias = _MakesOfOptions | Callable[[], Registry]
_Wraps: TypeAlias = _WrapsByBoth | _WrapsRegistry | _WrapsByOptions | Callable[[], Registry | None]
_SeesRegistered: TypeAlias = _SeesCollectorAndRegistry | _SeesCollector | _SeesRegistry | Callable[[], None]
_SeesCollectError: TypeAlias = _SeesCollectorAndError | _SeesCollector | _SeesError | Callable[[], None]
_SeesRejected: TypeAlias = _SeesAll | _SeesRegistryAndError | _SeesRegistered | _SeesCollectError
_Offers: TypeAlias = Callable[[], Iterable[ExpositionFormat]]

MakeRegistryHook = TypeVar("MakeRegistryHook", bound=_Makes)
WrapRegistryHook = TypeVar("WrapRegistryHook", bound=_Wraps)
CollectorRegisteredHook = TypeVar("CollectorRegisteredHook", bound=_SeesRegistered)
CollectorRejectedHook = TypeVar("CollectorRejectedHook", bound=_SeesRejected)
CollectErrorHook = TypeVar("CollectErrorHook", bound=_SeesCollectError)
ExpositionFormatsHook = TypeVar("ExpositionFormatsHook", bound=_Offers)

# Checkers name these in their messages, so that the names have to say what is wrong.
HookWithItsNamesAndTypes = TypeVar("HookWithItsNamesAndTypes", bound=_Makes | _Wraps | _SeesRejected)
AnyHookWithItsNamesAndTypes = TypeVar("AnyHookWithItsNamesAndTypes", bound=_Makes | _Wraps | _SeesRejected | _Offers)

Wrapper = TypeVar("Wrapper", bound=Callable[..., Generator[None, Never, object]])


class _StatesItsPluginAPI(Protocol):
    @property
    def pytheus_plugin_api(self) -> int: ...


ObjectThatStatesItsPluginAPI = TypeVar("ObjectThatStatesItsPluginAPI", bound=_StatesItsPluginAPI, contravariant=True)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result", covariant=True)


class Method(Protocol[ObjectThatStatesItsPluginAPI, Parameters, Result]):
    """A method of an object that has `pytheus_plugin_api`, by which it differs from a function with a wrong name."""

    def __call__(
        self,
        plugin: ObjectThatStatesItsPluginAPI,
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result: ...


class Mark(Protocol):
    """What ``@hookimpl`` takes: an implementation of any hook, which it gives back as it is."""

    # mypy tells of the first of these that takes any callable, pyright of the last. A method is never meant.
    @overload
    def __call__(self, function: HookWithItsNamesAndTypes, /) -> HookWithItsNamesAndTypes: ...
    @overload
    def __call__(
        self, function: Method[ObjectThatStatesItsPluginAPI, Parameters, Result], /
    ) -> Callable[Concatenate[ObjectThatStatesItsPluginAPI, Parameters], Result]: ...
    @overload
    def __call__(self, function: AnyHookWithItsNamesAndTypes, /) -> AnyHookWithItsNamesAndTypes: ...
