"""One plugin's way from its entry point to its registry, and every way in which that fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytheus.exceptions import PluginLoadError
from pytheus.plugins import resolve_registry

if TYPE_CHECKING:
    from tests.plugins.conftest import Site

from tests.plugins.conftest import ENTRY, refused

# What works -----------------------------------------------------------------------------------------------------------


def test_a_module_makes_a_registry_each_time_it_is_asked(site: Site) -> None:
    site.plugin("memory")
    first, second = resolve_registry("memory"), resolve_registry("memory")
    assert type(first).__name__ == "Memory"
    assert first is not second


def test_an_object_makes_a_registry(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Plugin:
            @hookimpl
            def pytheus_make_registry(self, options):
                return Memory(prefix=options.name)

        plugin = Plugin()
        """,
        value="memory_module:plugin",
    )
    assert resolve_registry("memory").prefix == "memory"


def test_a_class_makes_a_registry_with_a_static_method(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Plugin:
            @hookimpl
            @staticmethod
            def pytheus_make_registry(options):
                return Memory()
        """,
        value="memory_module:Plugin",
    )
    assert type(resolve_registry("memory")).__name__ == "Memory"


def test_a_registry_itself_may_be_named(site: Site) -> None:
    site.plugin("memory", "registry = Memory(prefix='x')", value="memory_module:registry")
    registry = resolve_registry("memory")
    assert registry.prefix == "x"
    assert resolve_registry("memory") is registry


def test_no_property_of_a_named_registry_is_executed_but_its_prefix(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Proud(Memory):
            @property
            def expensive(self):
                raise AssertionError("executed")

        registry = Proud()
        """,
        value="memory_module:registry",
    )
    assert type(resolve_registry("memory")).__name__ == "Proud"


def test_a_factory_may_do_without_options(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @hookimpl
        def pytheus_make_registry():
            return Memory()
        """,
    )
    assert type(resolve_registry("memory")).__name__ == "Memory"


def test_a_factory_may_have_another_name(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @hookimpl(specname="pytheus_make_registry")
        def make(options):
            return Memory()
        """,
    )
    assert type(resolve_registry("memory")).__name__ == "Memory"


def test_a_factory_may_be_marked_by_pluggy_itself(site: Site) -> None:
    site.plugin(
        "memory",
        """
        import pluggy

        @pluggy.HookimplMarker("pytheus")
        def pytheus_make_registry(options):
            return Memory()
        """,
    )
    assert type(resolve_registry("memory")).__name__ == "Memory"


def test_a_factory_takes_options(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @dataclass
        class Options:
            prefix: str = ""
            size: int = 0

        @hookimpl
        def pytheus_make_registry(options):
            wanted = options.parse(Options)
            return Memory(prefix=wanted.prefix * wanted.size)
        """,
    )
    assert resolve_registry("memory://?prefix=ab&size=2").prefix == "abab"


def test_a_hook_of_another_version_may_be_optional(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @hookimpl(optionalhook=True)
        def pytheus_of_the_future(everything): ...

        @hookimpl
        def pytheus_make_registry(options):
            return Memory()
        """,
    )
    assert type(resolve_registry("memory")).__name__ == "Memory"


def test_a_broken_neighbour_is_not_imported(site: Site) -> None:
    site.plugin("memory")
    site.plugin("broken", "raise RuntimeError('imported')")
    resolve_registry("memory")
    assert "memory_module" in sys.modules
    assert "broken_module" not in sys.modules


def test_the_plugin_api_may_be_stated(site: Site) -> None:
    site.plugin("memory", "pytheus_plugin_api = 1\n@hookimpl\ndef pytheus_make_registry():\n    return Memory()")
    assert type(resolve_registry("memory")).__name__ == "Memory"


# What the plugin raises -----------------------------------------------------------------------------------------------


def test_what_its_import_raises_is_told_and_chained(site: Site) -> None:
    site.plugin("memory", "raise RuntimeError('no disk')")
    error = refused(PluginLoadError)
    assert str(error) == (
        f"registry plugin 'memory' (as argument) could not be imported: {ENTRY} raised RuntimeError: no disk"
    )
    assert isinstance(error.__cause__, RuntimeError)


def test_its_own_import_error_does_not_read_as_not_found(site: Site) -> None:
    site.plugin("memory", "import surely_not_installed")
    error = refused(PluginLoadError)
    assert str(error) == (
        f"registry plugin 'memory' (as argument) could not be imported: {ENTRY} raised"
        " ModuleNotFoundError: No module named 'surely_not_installed'"
    )
    assert isinstance(error.__cause__, ModuleNotFoundError)


def test_a_module_that_is_missing_is_told(site: Site) -> None:
    site.distribution("memory-dist", {"memory": "memory_module"})
    assert str(refused(PluginLoadError)).endswith(
        f"{ENTRY} raised ModuleNotFoundError: No module named 'memory_module'"
    )


def test_an_attribute_that_is_missing_is_told(site: Site) -> None:
    site.plugin("memory", value="memory_module:missing")
    assert str(refused(PluginLoadError)).endswith(
        "raised AttributeError: module 'memory_module' has no attribute 'missing'"
    )


def test_an_entry_point_that_is_no_reference_is_told(site: Site) -> None:
    site.plugin("memory", value="not a reference")
    assert "entry point 'memory = not a reference' of memory-dist 1.0 raised" in str(refused(PluginLoadError))


def test_what_its_factory_raises_is_told_and_chained(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @hookimpl
        def pytheus_make_registry(options):
            raise ConnectionError("no answer")
        """,
    )
    error = refused(PluginLoadError)
    assert str(error) == (
        f"registry plugin 'memory' (as argument) could not be created: {ENTRY} raised ConnectionError: no answer"
    )
    assert isinstance(error.__cause__, ConnectionError)


@pytest.mark.parametrize(
    "body", ["raise SystemExit(0)", "@hookimpl\ndef pytheus_make_registry(options):\n    raise SystemExit(0)"]
)
def test_a_plugin_does_not_end_the_program_without_a_word(body: str, site: Site) -> None:
    site.plugin("memory", body)
    assert str(refused(PluginLoadError)).endswith(f"{ENTRY} raised SystemExit: 0")


def test_an_interrupt_is_not_the_plugins(site: Site) -> None:
    site.plugin("memory", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        resolve_registry("memory")


def test_an_error_that_cannot_be_shown_is_told_by_its_class(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Shy(Exception):
            def __str__(self):
                raise RuntimeError

        raise Shy
        """,
    )
    assert str(refused(PluginLoadError)).endswith(f"{ENTRY} raised Shy")


def test_no_message_shows_a_credential(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @hookimpl
        def pytheus_make_registry(options):
            raise ConnectionError(f"cannot reach {options.host} with {options.password}")
        """,
    )
    assert str(refused(PluginLoadError, "memory://:hunter2@db")).endswith(
        "raised ConnectionError: cannot reach db with ***"
    )


def test_a_failed_plugin_may_be_tried_again(site: Site) -> None:
    site.plugin(
        "memory",
        """
        tries = []

        @hookimpl
        def pytheus_make_registry(options):
            tries.append(1)
            if len(tries) == 1:
                raise ConnectionError
            return Memory()
        """,
    )
    refused(PluginLoadError)
    assert type(resolve_registry("memory")).__name__ == "Memory"


def test_a_plugin_that_asks_for_itself_is_stopped(site: Site) -> None:
    site.plugin(
        "memory",
        """
        from pytheus.plugins import resolve_registry

        @hookimpl
        def pytheus_make_registry(options):
            return resolve_registry("memory")
        """,
    )
    assert "asks for itself while it creates or wraps a registry" in str(refused(PluginLoadError))


def test_a_plugin_may_build_on_another_one(site: Site) -> None:
    site.plugin("inner")
    site.plugin(
        "memory",
        """
        from pytheus.plugins import resolve_registry

        @hookimpl
        def pytheus_make_registry(options):
            return Memory(prefix=type(resolve_registry("inner")).__module__)
        """,
    )
    assert resolve_registry("memory").prefix == "inner_module"


def test_what_a_plugin_that_it_builds_on_fails_with_is_its_own_failure(site: Site) -> None:
    site.plugin(
        "memory",
        """
        from pytheus.plugins import resolve_registry

        @hookimpl
        def pytheus_make_registry(options):
            return resolve_registry("surely_not_installed")
        """,
    )
    assert f"{ENTRY} raised UnknownRegistryError: registry plugin 'surely_not_installed'" in str(
        refused(PluginLoadError)
    )
