"""One plugin's way from its entry point to its registry, and every way in which that fails."""

from __future__ import annotations

import pytest

from pytheus.exceptions import IncompatiblePluginError, NotARegistryError, OptionError, PluginLoadError
from pytheus.plugins import resolve_registry
from tests.plugins.conftest import COUNTING, ENTRY, FACTORY, Site, made, refused

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
    assert (type(first).__name__, first.prefix, bool(first)) == ("Memory", prefix, False)
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
        ("not a reference", "entry point 'memory = not a reference' of memory-dist 1.0 is malformed: it names"),
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


# What is no factory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attribute", "message"),
    [
        pytest.param(
            "",
            "",
            f"{ENTRY} does not provide a registry: the module has no function pytheus_make_registry(options) marked"
            " with @hookimpl (from pytheus.plugins); add it, or let the entry point name an object: MODULE:ATTRIBUTE",
            id="without the hook",
        ),
        pytest.param(
            "def pytheus_make_registry(options): ...",
            "",
            f"{ENTRY} has pytheus_make_registry, which is not marked as an implementation of the hook; write @hookimpl"
            " (from pytheus.plugins) above the function",
            id="without the mark",
        ),
        pytest.param(
            "@hookimpl\ndef pytheus_make_registri(options): ...",
            "",
            f"{ENTRY} implements the hook 'pytheus_make_registri', which this pytheus does not have; did you mean"
            " 'pytheus_make_registry'? If another version has it, mark it with @hookimpl(optionalhook=True)",
            id="misspelt",
        ),
        pytest.param(
            "@hookimpl\ndef pytheus_make_registry(options): ...",
            ":pytheus_make_registry",
            "entry point 'memory = memory_module:pytheus_make_registry' of memory-dist 1.0 does not provide a registry:"
            " it names a function; name the module, 'memory = memory_module'",
            id="the function itself",
        ),
        pytest.param(
            """
            class Plugin:
                @hookimpl
                def pytheus_make_registry(self, options): ...
            """,
            ":Plugin",
            "entry point 'memory = memory_module:Plugin' of memory-dist 1.0 is a class, whose method"
            " pytheus_make_registry needs an instance; name an instance, or make it a staticmethod",
            id="a class with a method",
        ),
    ],
)
def test_what_is_no_factory_is_refused(body: str, attribute: str, message: str, site: Site) -> None:
    site.plugin("memory", body, value=f"memory_module{attribute}")
    assert str(refused(PluginLoadError)) == (f"registry plugin 'memory' (as argument) could not be loaded: {message}")


def test_a_hook_that_does_not_exist_is_refused(site: Site) -> None:
    site.plugin("memory", "@hookimpl\ndef zzz_frobnicate(): ...\n@hookimpl\ndef pytheus_make_registry(): ...")
    error = str(refused(PluginLoadError))
    assert (
        "implements the hook 'zzz_frobnicate', which this pytheus does not have; there are: pytheus_collect_error,"
        in error
    )
    assert error.endswith(". If another version has it, mark it with @hookimpl(optionalhook=True)")


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (
            "opts",
            "with the parameter 'opts', and this hook has the parameters: 'options'; did you mean 'options'? write def"
            " pytheus_make_registry(options), or leave out parameters that are not needed",
        ),
        ("options, extra", "with the parameter 'extra', and this hook has the parameters: 'options'; write def"),
        ("options=None", "with the parameter 'options=None', which would never be passed"),
        ("*, options", "with the parameter 'options', which would never be passed"),
        ("*options", "with the parameter '*options', which would never be passed"),
    ],
)
def test_a_factory_with_other_parameters_is_refused(signature: str, words: str, site: Site) -> None:
    site.plugin("memory", f"@hookimpl\ndef pytheus_make_registry({signature}): ...")
    error = str(refused(PluginLoadError))
    assert f"registry plugin 'memory' (as argument) could not be loaded: {ENTRY}" in error
    assert words in error


# What is no registry --------------------------------------------------------------------------------------------------


def test_what_a_factory_gives_is_checked_member_by_member(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Half:
            prefix = 5
            register = 1

            def collect(self):
                return []

        @hookimpl
        def pytheus_make_registry(options):
            return Half()
        """,
    )
    error = refused(NotARegistryError)
    assert str(error).startswith(f"registry plugin 'memory' (as argument), {ENTRY}, gave Half <")
    assert [problem.split()[0] for problem in error.problems] == ["'prefix'", "'register'", "'unregister'"]


def test_a_factory_that_gives_nothing_is_refused(site: Site) -> None:
    site.plugin("memory", "@hookimpl\ndef pytheus_make_registry(options): ...")
    assert "gave None, which is not a registry: 'prefix' is missing" in str(refused(NotARegistryError))


def test_a_class_that_was_never_called_is_refused(site: Site) -> None:
    site.plugin("memory", value="memory_module:Memory")
    assert "it is a class, not an object; call it: Memory()" in str(refused(NotARegistryError))


# Options that are not read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://?size=2", "takes no options, but got 'size' (as argument); remove it"),
        ("memory://db", "takes no host, but 'memory://db' (as argument) has one; remove it"),
    ],
)
def test_what_the_factory_does_not_take_is_refused_and_the_registry_closed(
    address: str, message: str, site: Site
) -> None:
    site.plugin("memory", COUNTING)
    assert str(refused(OptionError, address)) == f"registry plugin 'memory' {message}"
    assert getattr(made()[0], "closed") is True  # noqa: B009  # the protocol has no such attribute


def test_a_named_registry_takes_no_options(site: Site) -> None:
    site.plugin("memory", "registry = Memory()", value="memory_module:registry")
    assert "takes no options, but got 'size'" in str(refused(OptionError, "memory://?size=2"))


def test_an_option_error_of_the_factory_is_not_wrapped(site: Site) -> None:
    site.plugin(
        "memory",
        """
        @hookimpl
        def pytheus_make_registry(options):
            raise options.error("size", "a power of two")
        """,
    )
    assert str(refused(OptionError, "memory://?size=3")) == (
        "registry plugin 'memory': option 'size' must be a power of two but got '3' (as argument)"
    )


# The plugin API -------------------------------------------------------------------------------------------------------


def test_another_plugin_api_is_refused_with_both_versions(site: Site) -> None:
    site.plugin("memory", "pytheus_plugin_api = 2")
    assert str(refused(IncompatiblePluginError)) == (
        f"registry plugin 'memory' (as argument) cannot be used: {ENTRY} has pytheus_plugin_api = 2, and this pytheus"
        " supports plugin API 1; install another version of it, or of pytheus"
    )


@pytest.mark.parametrize("version", ["'1'", "True", "1.0", "None"])
def test_a_plugin_api_that_is_no_int_is_refused(version: str, site: Site) -> None:
    site.plugin("memory", f"pytheus_plugin_api = {version}")
    assert str(refused(IncompatiblePluginError)).endswith("supports plugin API 1; it must be an int")


def test_a_plugin_api_that_cannot_be_read_is_told(site: Site) -> None:
    site.plugin("memory", "def __getattr__(name):\n    raise RuntimeError(name)")
    error = refused(PluginLoadError)
    assert str(error).endswith("raised RuntimeError when its pytheus_plugin_api was read")
    assert isinstance(error.__cause__, RuntimeError)
