from __future__ import annotations

from collections.abc import Callable

import pluggy
import pytest

from pytheus import plugins
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


@pytest.fixture
def manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("pytheus")
    manager.add_hookspecs(hooks)
    return manager


def test_a_static_method_may_be_marked_from_above(manager: pluggy.PluginManager) -> None:
    class Plugin:
        @hookimpl
        @staticmethod
        def pytheus_make_registry(options: object) -> CollectorRegistry:
            return CollectorRegistry(prefix=str(options))

    manager.register(Plugin())
    assert manager.hook.pytheus_make_registry(options="shop").prefix == "shop"


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_each_specification_is_pluggys_own_and_tells_its_contract(name: str, manager: pluggy.PluginManager) -> None:
    caller: pluggy.HookCaller = getattr(manager.hook, name)
    assert caller.spec is not None
    assert caller.spec.argnames == HOOKS[name]
    assert caller.spec.opts["firstresult"] is (name in FIRST_RESULT)
    assert len(str(caller.spec.function.__doc__)) > 100


def test_a_factory_takes_options_and_one_plugin_api_is_spoken() -> None:
    assert HOOKS["pytheus_make_registry"] == ("options",)
    assert frozenset({1}) == PLUGIN_API_VERSIONS


# The package's names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plugins.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(plugins, name) is not None
    assert name in dir(plugins)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match=r"module 'pytheus\.plugins' has no attribute 'nothing'"):
        getattr(plugins, "nothing")  # noqa: B009  # it is the very thing under test
