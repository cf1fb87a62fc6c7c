"""The marker of a plugin's implementations of hooks.

A plugin imports this module, and it imports nothing: the marker writes the attribute that pluggy reads
(``pytheus_impl``), so that a plugin can be imported, and its classes used, without pluggy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar, overload

if TYPE_CHECKING:
    from typing import Concatenate

    from pytheus.plugins.shapes import (
        AnyHookWithItsNamesAndTypes,
        CollectErrorHook,
        CollectorRegisteredHook,
        CollectorRejectedHook,
        ExpositionFormatsHook,
        HookWithItsNamesAndTypes,
        MakeRegistryHook,
        Mark,
        Method,
        ObjectThatStatesItsPluginAPI,
        Parameters,
        Result,
        Wrapper,
        WrapRegistryHook,
    )

__all__ = ["hookimpl"]

Marked = TypeVar("Marked", bound=Callable[..., object])


# The overloads for a function stand in this order for the reason that `Mark` has for its own.
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
    """Mark a function as a plugin's implementation of the hook that bears its name, or `specname`.

        >>> from pytheus.plugins import RegistryOptions, hookimpl
        >>> from pytheus.registry import CollectorRegistry, Registry
        >>> @hookimpl
        ... def pytheus_make_registry(options: RegistryOptions) -> Registry:
        ...     return CollectorRegistry(prefix="shop")

    The function is given back as it is, and can be called as before. mypy and pyright refuse one that has the
    parameters and the return type of no hook (see `pytheus.plugins.hooks`). They cannot see a function's name: that it
    has those of the very hook they check where `specname` names it, and loading the plugin checks it anyway. A method
    passes if its class has a `pytheus_plugin_api`, and its other parameters are checked when the plugin is loaded.

    The arguments mean what they mean in pluggy, whose own ``HookimplMarker("pytheus")`` does as well:
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
        # pluggy before 1.7 looks for the mark behind a staticmethod or classmethod, not on it.
        setattr(getattr(function, "__func__", function), "pytheus_impl", marks)  # noqa: B010
        return function

    return mark if function is None else mark(function)
