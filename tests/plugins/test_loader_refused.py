"""Plugins that are refused: no factory, no registry, unknown options, another plugin API."""

from __future__ import annotations

import pytest

from pytheus.exceptions import IncompatiblePluginError, NotARegistryError, OptionError, PluginLoadError
from tests.plugins.conftest import COUNTING, ENTRY, Site, made, refused

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
