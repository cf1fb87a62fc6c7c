"""One plugin's way from its entry point to its registry, and every way in which that fails."""

from __future__ import annotations

import sys

import pytest

from pytheus.exceptions import PluginLoadError
from pytheus.plugins import resolve_registry
from tests.plugins.conftest import ENTRY, FACTORY, Site, refused

# What works -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attribute", "prefix"),
    [
        pytest.param(FACTORY, "", None, id="module"),
        pytest.param("pytheus_plugin_api = 1\n" + FACTORY, "", None, id="module that states the plugin API"),
        pytest.param(
            """
            class Plugin:
                @hookimpl
                def pytheus_make_registry(self, options):
                    return Memory(prefix=options.name)

            plugin = Plugin()
            """,
            ":plugin",
            "memory",
            id="object",
        ),
        pytest.param(
            """
            class Plugin:
                @hookimpl
                @staticmethod
                def pytheus_make_registry(options):
                    return Memory()
            """,
            ":Plugin",
            None,
            id="class with a static method",
        ),
        pytest.param("@hookimpl\ndef pytheus_make_registry(): return Memory()", "", None, id="factory without options"),
        pytest.param(
            "@hookimpl(specname='pytheus_make_registry')\ndef make(options): return Memory(options.name)",
            "",
            "memory",
            id="factory of another name",
        ),
        pytest.param(
            "import pluggy\n@pluggy.HookimplMarker('pytheus')\ndef pytheus_make_registry(options): return Memory()",
            "",
            None,
            id="factory marked by pluggy itself",
        ),
        pytest.param(
            "@hookimpl(optionalhook=True)\ndef pytheus_of_the_future(everything): ...\n" + FACTORY,
            "",
            None,
            id="optional hook of another version",
        ),
    ],
)
def test_a_factory_makes_a_registry_each_time_it_is_asked(
    body: str, attribute: str, prefix: str | None, site: Site
) -> None:
    site.plugin("memory", body, value=f"memory_module{attribute}")
    first, second = resolve_registry("memory"), resolve_registry("memory")
    assert (type(first).__name__, first.prefix) == ("Memory", prefix)
    assert first is not second


def test_a_registry_itself_may_be_named_and_none_of_its_properties_is_executed_but_its_prefix(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Proud(Memory):
            @property
            def expensive(self):
                raise AssertionError("executed")

        registry = Proud(prefix="x")
        """,
        value="memory_module:registry",
    )
    registry = resolve_registry("memory")
    assert (type(registry).__name__, registry.prefix) == ("Proud", "x")
    assert resolve_registry("memory") is registry


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


def test_a_broken_neighbour_is_not_imported(site: Site) -> None:
    site.plugin("memory")
    site.plugin("broken", "raise RuntimeError('imported')")
    resolve_registry("memory")
    assert "memory_module" in sys.modules
    assert "broken_module" not in sys.modules


# What the plugin raises -----------------------------------------------------------------------------------------------


def failing(error: str) -> str:
    """A factory that raises `error`."""
    return f"@hookimpl\ndef pytheus_make_registry(options):\n    raise {error}\n"


SHY = """
class Shy(Exception):
    def __str__(self):
        raise RuntimeError

raise Shy
"""


@pytest.mark.parametrize(
    ("body", "message", "cause"),
    [
        pytest.param(
            "raise RuntimeError('no disk')",
            f"imported: {ENTRY} raised RuntimeError: no disk",
            RuntimeError,
            id="import",
        ),
        pytest.param(
            "import surely_not_installed",
            f"imported: {ENTRY} raised ModuleNotFoundError: No module named 'surely_not_installed'",
            ModuleNotFoundError,
            id="import of a missing module",
        ),
        pytest.param(SHY, f"imported: {ENTRY} raised Shy", Exception, id="error without a text"),
        pytest.param("raise SystemExit(0)", f"imported: {ENTRY} raised SystemExit: 0", SystemExit, id="exit"),
        pytest.param(
            failing("ConnectionError('no answer')"),
            f"created: {ENTRY} raised ConnectionError: no answer",
            ConnectionError,
            id="factory",
        ),
        pytest.param(
            failing("SystemExit(0)"), f"created: {ENTRY} raised SystemExit: 0", SystemExit, id="factory that exits"
        ),
    ],
)
def test_what_it_raises_is_told_and_chained(body: str, message: str, cause: type[BaseException], site: Site) -> None:
    site.plugin("memory", body)
    error = refused(PluginLoadError)
    assert str(error) == f"registry plugin 'memory' (as argument) could not be {message}"
    assert isinstance(error.__cause__, cause)


def test_a_module_that_is_missing_is_told(site: Site) -> None:
    site.distribution("memory-dist", {"memory": "memory_module"})
    assert str(refused(PluginLoadError)).endswith(
        f"{ENTRY} raised ModuleNotFoundError: No module named 'memory_module'"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("memory_module:missing", "raised AttributeError: module 'memory_module' has no attribute 'missing'"),
        ("not a reference", "entry point 'memory = not a reference' of memory-dist 1.0 raised "),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_told(value: str, words: str, site: Site) -> None:
    site.plugin("memory", value=value)
    assert words in str(refused(PluginLoadError))


def test_an_interrupt_is_not_the_plugins(site: Site) -> None:
    site.plugin("memory", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        resolve_registry("memory")


def test_no_message_shows_a_credential(site: Site) -> None:
    site.plugin("memory", failing('ConnectionError(f"cannot reach {options.host} with {options.password}")'))
    message = str(refused(PluginLoadError, "memory://:hunter2@db"))
    assert message.endswith("raised ConnectionError: cannot reach db with ***")


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


BUILDS_ON = """
from pytheus.plugins import resolve_registry

@hookimpl
def pytheus_make_registry(options):
    return Memory(prefix=type(resolve_registry("{name}")).__module__)
"""


def test_a_plugin_may_build_on_another_one(site: Site) -> None:
    site.plugin("inner")
    site.plugin("memory", BUILDS_ON.format(name="inner"))
    assert resolve_registry("memory").prefix == "inner_module"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("memory", "asks for itself while it creates or wraps a registry"),
        ("surely_not_installed", f"{ENTRY} raised UnknownRegistryError: registry plugin 'surely_not_installed'"),
    ],
)
def test_what_a_plugin_that_it_builds_on_fails_with_is_its_own_failure(name: str, words: str, site: Site) -> None:
    site.plugin("memory", BUILDS_ON.format(name=name))
    assert words in str(refused(PluginLoadError))
