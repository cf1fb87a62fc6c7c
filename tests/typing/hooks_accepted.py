"""Implementations of hooks that type checkers must accept; read by them and never executed.

`tests/typing/test_checkers.py` runs them over it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from tempfile import TemporaryDirectory
from typing import assert_type

from pytheus.compose import PrefixedRegistry, prefixed
from pytheus.exposition import ExpositionFormat, NegotiatedFormat, RenderRequest
from pytheus.plugins import RegistryOptions, hookimpl, implemented_hooks, plugin_settings
from pytheus.registry import Collector, CollectorRegistry, Registry

# The fixed forms ------------------------------------------------------------------------------------------------------


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> Registry:
    return CollectorRegistry()


@hookimpl
def pytheus_shared_path(options: RegistryOptions) -> AbstractContextManager[str | None]:
    return nullcontext()


@hookimpl
def pytheus_wrap_registry(registry: Registry, options: RegistryOptions) -> Registry | None:
    return None


@hookimpl
def pytheus_collector_registered(collector: Collector, registry: Registry) -> None: ...


@hookimpl
def pytheus_collector_unregistered(collector: Collector, registry: Registry) -> None: ...


@hookimpl
def pytheus_collector_rejected(collector: Collector, registry: Registry, error: Exception) -> None: ...


@hookimpl
def pytheus_collect_error(collector: Collector, error: Exception) -> None: ...


@hookimpl
def pytheus_exposition_formats() -> Iterable[ExpositionFormat]:
    return []


# A marked function is still the function.
assert_type(pytheus_make_registry(RegistryOptions("acme")), Registry)
assert_type(pytheus_wrap_registry(CollectorRegistry(), options=RegistryOptions("acme")), Registry | None)

# Fewer parameters, in another order, wider ones, and narrower results -------------------------------------------------


@hookimpl
def makes_without_options() -> CollectorRegistry:
    return CollectorRegistry()


@hookimpl
def wraps_the_other_way_round(options: object, registry: Registry) -> PrefixedRegistry:
    return prefixed(registry, "app")


@hookimpl
def wraps_without_options(registry: Registry) -> Registry:
    return registry


@hookimpl
def takes_options_only(options: RegistryOptions) -> None: ...


@hookimpl
def sees_errors(error: BaseException) -> None: ...


@hookimpl
def sees_refusals(registry: Registry, error: Exception) -> None: ...


@hookimpl
def sees_everything(error: object, collector: object, registry: object) -> None: ...


@hookimpl
def sees_nothing() -> None: ...


class Names:
    media_type = "text/x-names"

    def render(self, registry: Registry) -> list[bytes]:
        return []


@hookimpl
def offers() -> tuple[Names, ...]:
    return (Names(),)


assert_type(makes_without_options(), CollectorRegistry)

# With arguments -------------------------------------------------------------------------------------------------------


@hookimpl(specname="pytheus_make_registry")
def makes(options: RegistryOptions) -> CollectorRegistry:
    return CollectorRegistry()


@hookimpl(specname="pytheus_shared_path")
def shares() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


@hookimpl(specname="pytheus_shared_path")
@contextmanager
def shares_for_a_while(options: RegistryOptions) -> Generator[str, None, None]:
    yield "/run/shop"


@hookimpl(specname="pytheus_wrap_registry", tryfirst=True)
def wraps(registry: Registry) -> Registry | None:
    return None


@hookimpl(specname="pytheus_collector_unregistered")
def unregistered(collector: Collector) -> None: ...


@hookimpl(specname="pytheus_collector_rejected", trylast=True)
def rejected(error: Exception) -> None: ...


@hookimpl(specname="pytheus_collect_error")
def failed(collector: Collector) -> None: ...


@hookimpl(specname="pytheus_exposition_formats")
def formats() -> list[Names]:
    return [Names()]


class Escaped:
    media_type = "text/x-escaped"

    def render(self, registry: Registry, request: RenderRequest) -> Iterable[bytes]:
        return [request.escaping.encode()]

    def content_type(self, request: RenderRequest) -> str:
        return self.media_type


@hookimpl(specname="pytheus_exposition_formats")
def negotiated_formats() -> Iterable[NegotiatedFormat]:
    return [Escaped()]


@hookimpl(specname="pytheus_exposition_formats")
def both_kinds_of_formats() -> Iterable[ExpositionFormat | NegotiatedFormat]:
    return [Names(), Escaped()]


@hookimpl(trylast=True)
def late(options: RegistryOptions) -> Registry:
    return CollectorRegistry()


@hookimpl(wrapper=True, specname="pytheus_make_registry")
def around(options: RegistryOptions) -> Generator[None, Registry, Registry]:
    made = yield
    return made


@hookimpl(optionalhook=True)
def pytheus_of_the_future(anything: int) -> str:
    return str(anything)


assert_type(makes(RegistryOptions("acme")), CollectorRegistry)
assert_type(late(RegistryOptions("acme")), Registry)
assert_type(pytheus_of_the_future(3), str)

# Static methods, and methods of an object that states its plugin API --------------------------------------------------


class Static:
    @hookimpl
    @staticmethod
    def pytheus_make_registry(options: RegistryOptions) -> Registry:
        return CollectorRegistry()

    @staticmethod
    @hookimpl
    def pytheus_wrap_registry(registry: Registry) -> None: ...


class Plugin:
    pytheus_plugin_api = 1

    @hookimpl
    def pytheus_make_registry(self, options: RegistryOptions) -> Registry:
        return CollectorRegistry()

    @hookimpl(tryfirst=True)
    def pytheus_collect_error(self, error: Exception) -> None: ...


assert_type(Static.pytheus_make_registry(RegistryOptions("acme")), Registry)
assert_type(Plugin().pytheus_make_registry(RegistryOptions("acme")), Registry)

# What is configured ---------------------------------------------------------------------------------------------------

assert_type(implemented_hooks(Plugin()), tuple[str, ...])
assert_type([named.distribution for named in plugin_settings().named], list[str | None])
