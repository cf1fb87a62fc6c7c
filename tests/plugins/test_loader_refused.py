"""Plugins that are refused: no factory, no registry, unknown options, another plugin API."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytheus.exceptions import IncompatiblePluginError, NotARegistryError, OptionError, PluginLoadError

if TYPE_CHECKING:
    from tests.plugins.conftest import Site
from tests.plugins.conftest import ENTRY, refused

# What is no factory ---------------------------------------------------------------------------------------------------


def test_a_module_without_the_hook_is_refused(site: Site) -> None:
    site.plugin("memory", "")
    assert str(refused(PluginLoadError)) == (
        f"registry plugin 'memory' (as argument) could not be loaded: {ENTRY} does not provide a registry: the module"
        " has no function pytheus_make_registry(options) marked with @hookimpl (from pytheus.plugins); add it, or let"
        " the entry point name an object: MODULE:ATTRIBUTE"
    )


def test_a_function_without_the_mark_is_refused(site: Site) -> None:
    site.plugin("memory", "def pytheus_make_registry(options): ...")
    assert str(refused(PluginLoadError)) == (
        f"registry plugin 'memory' (as argument) could not be loaded: {ENTRY} has pytheus_make_registry, which is not"
        " marked as an implementation of the hook; write @hookimpl (from pytheus.plugins) above the function"
    )


def test_a_hook_that_is_misspelt_is_refused(site: Site) -> None:
    site.plugin("memory", "@hookimpl\ndef pytheus_make_registri(options): ...")
    assert str(refused(PluginLoadError)).endswith(
        f"could not be loaded: {ENTRY} implements the hook 'pytheus_make_registri', which this pytheus does not have;"
        " did you mean 'pytheus_make_registry'? If another version has it, mark it with @hookimpl(optionalhook=True)"
    )


def test_a_hook_that_does_not_exist_is_refused(site: Site) -> None:
    site.plugin("memory", "@hookimpl\ndef zzz_frobnicate(): ...\n@hookimpl\ndef pytheus_make_registry(): ...")
    error = str(refused(PluginLoadError))
    assert (
        "implements the hook 'zzz_frobnicate', which this pytheus does not have; there are: pytheus_collect_error,"
        in error
    )
    assert error.endswith(". If another version has it, mark it with @hookimpl(optionalhook=True)")


def test_the_function_itself_is_refused_with_the_right_entry_point(site: Site) -> None:
    site.plugin(
        "memory",
        "@hookimpl\ndef pytheus_make_registry(options): ...",
        value="memory_module:pytheus_make_registry",
    )
    assert str(refused(PluginLoadError)).endswith(
        "does not provide a registry: it names a function; name the module, 'memory = memory_module'"
    )


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


def test_a_class_with_a_method_is_refused(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Plugin:
            @hookimpl
            def pytheus_make_registry(self, options): ...
        """,
        value="memory_module:Plugin",
    )
    assert str(refused(PluginLoadError)).endswith(
        "is a class, whose method pytheus_make_registry needs an instance; name an instance, or make it a staticmethod"
    )


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
    assert isinstance(error, NotARegistryError)
    assert [problem.split()[0] for problem in error.problems] == ["'prefix'", "'register'", "'unregister'"]


def test_a_factory_that_gives_nothing_is_refused(site: Site) -> None:
    site.plugin("memory", "@hookimpl\ndef pytheus_make_registry(options): ...")
    assert "gave None, which is not a registry: 'prefix' is missing" in str(refused(NotARegistryError))


def test_a_class_that_was_never_called_is_refused(site: Site) -> None:
    site.plugin("memory", value="memory_module:Memory")
    assert "it is a class, not an object; call it: Memory()" in str(refused(NotARegistryError))


# Options that are not read --------------------------------------------------------------------------------------------


def test_options_that_the_factory_does_not_take_are_refused(site: Site) -> None:
    site.plugin("memory")
    assert str(refused(OptionError, "memory://?size=2")) == (
        "registry plugin 'memory' takes no options, but got 'size' (as argument); remove it"
    )


def test_a_host_that_the_factory_does_not_take_is_refused(site: Site) -> None:
    site.plugin("memory")
    assert str(refused(OptionError, "memory://db")) == (
        "registry plugin 'memory' takes no host, but 'memory://db' (as argument) has one; remove it"
    )


def test_a_named_registry_takes_no_options(site: Site) -> None:
    site.plugin("memory", "registry = Memory()", value="memory_module:registry")
    assert "takes no options, but got 'size'" in str(refused(OptionError, "memory://?size=2"))


def test_a_registry_that_is_not_returned_is_closed(site: Site) -> None:
    site.plugin(
        "memory",
        """
        made = []

        @hookimpl
        def pytheus_make_registry(options):
            made.append(Memory())
            return made[0]
        """,
    )
    refused(OptionError, "memory://?size=2")
    assert sys.modules["memory_module"].made[0].closed


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
