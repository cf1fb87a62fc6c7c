"""The marker of a plugin's implementations of hooks, with the types of each hook's implementations.

Rules:

- A plugin imports this module, which imports nothing at run time: the marker writes the attribute that pluggy reads
  (``pytheus_impl``), so that a plugin can be imported, and its classes used, without pluggy.
- pluggy passes arguments by name, so an implementation may have them in any order and leave out those that it does not
  need: hence the types have keyword-only parameters, and there is one for each selection of them.
- The name of a function is invisible to type checkers. A function marked with a plain ``@hookimpl`` must have the type
  of some hook; one marked with ``@hookimpl(specname="...")`` must have the type of that hook.
- A type without parameters is a ``Callable`` and not a protocol, because then mypy recognizes the intended overload and
  reports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from contextlib import AbstractContextManager
    from typing import Concatenate, Never, ParamSpec, Protocol, TypeAlias

    from pytheus.exposition.formats import AnyFormat
    from pytheus.plugins.options import RegistryOptions
    from pytheus.registry.contract import Collector, Registry

__all__ = ["hookimpl"]

Marked = TypeVar("Marked", bound=Callable[..., object])

if TYPE_CHECKING:

    class _MakesOfOptions(Protocol):
        def __call__(self, *, options: RegistryOptions) -> Registry: ...

    class _SharesByOptions(Protocol):
        def __call__(self, *, options: RegistryOptions) -> AbstractContextManager[str | None]: ...

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
    _Shares: TypeAlias = _SharesByOptions | Callable[[], AbstractContextManager[str | None]]
    _Wraps: TypeAlias = _WrapsByBoth | _WrapsRegistry | _WrapsByOptions | Callable[[], Registry | None]
    _SeesRegistered: TypeAlias = _SeesCollectorAndRegistry | _SeesCollector | _SeesRegistry | Callable[[], None]
    _SeesCollectError: TypeAlias = _SeesCollectorAndError | _SeesCollector | _SeesError | Callable[[], None]
    _SeesRejected: TypeAlias = _SeesAll | _SeesRegistryAndError | _SeesRegistered | _SeesCollectError
    _Offers: TypeAlias = Callable[[], Iterable[AnyFormat]]

    MakeRegistryHook = TypeVar("MakeRegistryHook", bound=_Makes)
    SharedPathHook = TypeVar("SharedPathHook", bound=_Shares)
    WrapRegistryHook = TypeVar("WrapRegistryHook", bound=_Wraps)
    CollectorRegisteredHook = TypeVar("CollectorRegisteredHook", bound=_SeesRegistered)
    CollectorRejectedHook = TypeVar("CollectorRejectedHook", bound=_SeesRejected)
    CollectErrorHook = TypeVar("CollectErrorHook", bound=_SeesCollectError)
    ExpositionFormatsHook = TypeVar("ExpositionFormatsHook", bound=_Offers)

    # Checkers show these names in their messages, so the names have to describe the mistake.
    HookWithItsNamesAndTypes = TypeVar("HookWithItsNamesAndTypes", bound=_Makes | _Shares | _Wraps | _SeesRejected)
    AnyHookWithItsNamesAndTypes = TypeVar(
        "AnyHookWithItsNamesAndTypes", bound=_Makes | _Shares | _Wraps | _SeesRejected | _Offers
    )

    Wrapper = TypeVar("Wrapper", bound=Callable[..., Generator[None, Never, object]])

    class _StatesItsPluginAPI(Protocol):
        @property
        def pytheus_plugin_api(self) -> int: ...

    ObjectThatStatesItsPluginAPI = TypeVar(
        "ObjectThatStatesItsPluginAPI", bound=_StatesItsPluginAPI, contravariant=True
    )
    Parameters = ParamSpec("Parameters")
    Result = TypeVar("Result", covariant=True)

    class Method(Protocol[ObjectThatStatesItsPluginAPI, Parameters, Result]):
        """A method of an object with `pytheus_plugin_api`, which distinguishes it from a function with a wrong name."""

        def __call__(
            self,
            plugin: ObjectThatStatesItsPluginAPI,
            /,
            *args: Parameters.args,
            **kwargs: Parameters.kwargs,
        ) -> Result: ...

    class Mark(Protocol):
        """The decorator ``@hookimpl``: takes an implementation of any hook and returns it unchanged."""

        # Of overloads that take any callable, mypy reports the first and pyright the last, so the method is between.
        @overload
        def __call__(self, function: HookWithItsNamesAndTypes, /) -> HookWithItsNamesAndTypes: ...
        @overload
        def __call__(
            self, function: Method[ObjectThatStatesItsPluginAPI, Parameters, Result], /
        ) -> Callable[Concatenate[ObjectThatStatesItsPluginAPI, Parameters], Result]: ...
        @overload
        def __call__(self, function: AnyHookWithItsNamesAndTypes, /) -> AnyHookWithItsNamesAndTypes: ...


# The overloads for a function are in this order for the reason that `Mark` gives.
@overload
def hookimpl(function: HookWithItsNamesAndTypes, /) -> HookWithItsNamesAndTypes: ...
@overload
def hookimpl(
    function: Method[ObjectThatStatesItsPluginAPI, Parameters, Result], /
) -> Callable[Concatenate[ObjectThatStatesItsPluginAPI, Parameters], Result]: ...
@overload
def hookimpl(function: AnyHookWithItsNamesAndTypes, /) -> AnyHookWithItsNamesAndTypes: ...
@overload
def hookimpl(*, tryfirst: bool = False, trylast: bool = False) -> Mark: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, specname: Literal["pytheus_make_registry"]
) -> Callable[[MakeRegistryHook], MakeRegistryHook]: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, specname: Literal["pytheus_shared_path"]
) -> Callable[[SharedPathHook], SharedPathHook]: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, specname: Literal["pytheus_wrap_registry"]
) -> Callable[[WrapRegistryHook], WrapRegistryHook]: ...
@overload
def hookimpl(
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: Literal["pytheus_collector_registered", "pytheus_collector_unregistered"],
) -> Callable[[CollectorRegisteredHook], CollectorRegisteredHook]: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, specname: Literal["pytheus_collector_rejected"]
) -> Callable[[CollectorRejectedHook], CollectorRejectedHook]: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, specname: Literal["pytheus_collect_error"]
) -> Callable[[CollectErrorHook], CollectErrorHook]: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, specname: Literal["pytheus_exposition_formats"]
) -> Callable[[ExpositionFormatsHook], ExpositionFormatsHook]: ...
@overload
def hookimpl(
    *, tryfirst: bool = False, trylast: bool = False, wrapper: Literal[True], specname: str | None = None
) -> Callable[[Wrapper], Wrapper]: ...
@overload
def hookimpl(
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    wrapper: bool = False,
    optionalhook: Literal[True],
    specname: str | None = None,
) -> Callable[[Marked], Marked]: ...
def hookimpl(
    function: Callable[..., object] | None = None,
    /,
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    wrapper: bool = False,
    optionalhook: bool = False,
    specname: str | None = None,
) -> object:
    """Mark a function as a plugin's implementation of the hook that has its name, or of `specname`.

        >>> from pytheus.plugins import RegistryOptions, hookimpl
        >>> from pytheus.registry import CollectorRegistry, Registry
        >>> @hookimpl
        ... def pytheus_make_registry(options: RegistryOptions) -> Registry:
        ...     return CollectorRegistry(prefix="shop")

    Returns the function unchanged. mypy and pyright refuse a function whose parameters and return type are not those of
    a hook (see `pytheus.plugins.hooks`). They cannot see the function's name; with `specname` they check the parameters
    of that hook, and loading the plugin checks them in any case. A method passes if its class has a
    `pytheus_plugin_api`, and its other parameters are checked when the plugin is loaded.

    The arguments have pluggy's meaning; pluggy's own ``HookimplMarker("pytheus")`` can be used as well:
    https://pluggy.readthedocs.io/en/stable/#implementations
    """

    def mark(function: Marked) -> Marked:
        marks: dict[str, object] = {
            "wrapper": wrapper,
            "hookwrapper": False,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
        }
        # pluggy before 1.7 reads the mark of the function in a staticmethod or classmethod, not of the wrapper.
        setattr(getattr(function, "__func__", function), "pytheus_impl", marks)  # noqa: B010
        return function

    return mark if function is None else mark(function)
