from __future__ import annotations

from collections.abc import Callable

import pluggy
import pytest

from pytheus.plugins import PLUGIN_API_VERSIONS, hookimpl, hooks
from pytheus.plugins.loader import HOOKS
from pytheus.registry import CollectorRegistry


def make(options: object) -> CollectorRegistry:
    return CollectorRegistry()


def test_a_marked_function_is_the_same_function() -> None:
    assert hookimpl(make) is make
    assert hookimpl(tryfirst=True)(make) is make


Marker = Callable[[Callable[[object], None]], object]
FIRST_RESULT = {"pytheus_make_registry", "pytheus_shared_path", "pytheus_wrap_registry"}
PLUGGYS = pluggy.HookimplMarker("pytheus")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (hookimpl, PLUGGYS),
        (hookimpl(tryfirst=True), PLUGGYS(tryfirst=True)),
        (
            hookimpl(trylast=True, specname="pytheus_collect_error"),
            PLUGGYS(trylast=True, specname="pytheus_collect_error"),
        ),
        (hookimpl(optionalhook=True), PLUGGYS(optionalhook=True)),
        (hookimpl(wrapper=True), PLUGGYS(wrapper=True)),
    ],
)
def test_the_mark_is_pluggys_own(ours: Marker, theirs: Marker) -> None:
    def mine(options: object) -> None: ...

    def yours(options: object) -> None: ...

    ours(mine)
    theirs(yours)
    assert vars(mine) == vars(yours)


def test_the_specifications_are_pluggys_own() -> None:
    manager = pluggy.PluginManager("pytheus")
    manager.add_hookspecs(hooks)
    specification = manager.hook.pytheus_make_registry.spec
    assert specification is not None
    assert specification.argnames == ("options",)
    assert specification.opts["firstresult"] is True


def test_a_static_method_may_be_marked_from_above() -> None:
    class Plugin:
        @hookimpl
        @staticmethod
        def pytheus_make_registry(options: object) -> CollectorRegistry:
            return CollectorRegistry(prefix=str(options))

    manager = pluggy.PluginManager("pytheus")
    manager.add_hookspecs(hooks)
    manager.register(Plugin())
    assert manager.hook.pytheus_make_registry(options="shop").prefix == "shop"


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_each_specification_tells_its_contract(name: str) -> None:
    manager = pluggy.PluginManager("pytheus")
    manager.add_hookspecs(hooks)
    caller: pluggy.HookCaller = getattr(manager.hook, name)
    assert caller.spec is not None
    assert caller.spec.argnames == HOOKS[name]
    assert caller.spec.opts["firstresult"] is (name in FIRST_RESULT)
    assert len(str(caller.spec.function.__doc__)) > 100


def test_one_plugin_api_is_spoken() -> None:
    assert frozenset({1}) == PLUGIN_API_VERSIONS
