"""Which plugins are active, in which order, and what becomes of those that cannot be."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from pytheus import CollectorRegistry, Counter
from pytheus.compose import PrefixedRegistry
from pytheus.exceptions import (
    AmbiguousPluginError,
    IncompatiblePluginError,
    NotARegistryError,
    OptionError,
    PluginLoadError,
    PytheusError,
    PytheusWarning,
)
from pytheus.plugins import configure, resolve_registry
from pytheus.registry import REGISTRY, Registry
from tests.plugins.conftest import COUNTING, FACTORY, PREFIXING, Site, made, refused


@pytest.fixture
def named(site: Site, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The plugins "a", which prefixes, and "b", which creates registries and prefixes, are installed and named."""
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.plugin("b", PREFIXING.format(prefix="b") + FACTORY)
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a,b")
    return monkeypatch


# Order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "prefix"), [("a,b", "b_a"), ("b,a", "a_b")])
def test_each_gets_what_the_former_gave(order: str, prefix: str, named: pytest.MonkeyPatch) -> None:
    named.setenv("PYTHEUS_PLUGINS", order)
    assert resolve_registry().prefix == prefix


def test_several_of_one_distribution_are_active(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        site.module(f"{name}_module", "from pytheus.plugins import hookimpl\n" + PREFIXING.format(prefix=name))
    site.distribution("both", {"a": "a_module", "b": "b_module"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a,b")
    assert resolve_registry().prefix == "b_a"


@pytest.mark.parametrize("order", ["a", "a,b"], ids=["chosen", "chosen and named"])
def test_the_plugin_of_the_registry_comes_first_and_is_asked_once(order: str, named: pytest.MonkeyPatch) -> None:
    named.setenv("PYTHEUS_PLUGINS", order)
    assert resolve_registry("b").prefix == "a_b"


def test_the_file_names_plugins_as_well(site: Site, pyproject: Path) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    pyproject.write_text('[tool.pytheus]\nplugins = ["a@a-dist"]\n')
    assert resolve_registry().prefix == "a"


def test_a_plugin_that_was_not_named_is_not_imported(site: Site) -> None:
    site.active("a", PREFIXING.format(prefix="a"))
    site.plugin("b", "raise RuntimeError('imported')")
    resolve_registry()
    assert "a_module" in sys.modules
    assert "b_module" not in sys.modules


# Wrapping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [pytest.param("None", "CollectorRegistry", id="nothing"), pytest.param("Memory()", "Memory", id="falsy")],
)
def test_none_alone_leaves_the_registry_as_it_is(given: str, name: str, site: Site) -> None:
    site.active("a", f"@hookimpl\ndef pytheus_wrap_registry(registry, options): return {given}")
    assert type(resolve_registry()).__name__ == name


@pytest.mark.parametrize(
    ("result", "kind", "cause", "message"),
    [
        (
            "return 3",
            NotARegistryError,
            type(None),
            "plugin 'a' ('a' in PYTHEUS_PLUGINS), entry point 'a = a_module' of a-dist 1.0, in pytheus_wrap_registry,"
            " gave int 3, which is not a registry: 'prefix' is missing",
        ),
        (
            "raise OSError('no disk')",
            PluginLoadError,
            OSError,
            "plugin 'a' ('a' in PYTHEUS_PLUGINS) could not wrap the registry: entry point 'a = a_module' of a-dist 1.0"
            " raised OSError: no disk",
        ),
    ],
)
def test_what_it_gives_is_checked_and_the_registry_closed(
    result: str, kind: type[PytheusError], cause: type, message: str, site: Site
) -> None:
    site.plugin("memory", COUNTING)
    site.active("a", f"@hookimpl\ndef pytheus_wrap_registry(registry, options): {result}")
    error = refused(kind)
    assert str(error).partition("; ")[0] == message
    assert type(error.__cause__) is cause
    assert getattr(made()[0], "closed") is True  # noqa: B009  # the protocol has no such attribute


def test_its_options_are_its_own(site: Site, pyproject: Path) -> None:
    site.plugin(
        "a",
        """
        from pytheus.compose import prefixed

        @dataclass
        class Options:
            prefix: str = "none"

        @hookimpl
        def pytheus_wrap_registry(registry, options):
            return prefixed(registry, options.parse(Options).prefix)
        """,
    )
    pyproject.write_text(
        '[tool.pytheus]\nplugins = ["a"]\n[tool.pytheus.registries.a]\nprefix = "shop"\n'
        '[tool.pytheus.registries.default]\nprefix = "inner"\n'
    )
    assert resolve_registry().prefix == "shop_inner"


def test_the_options_of_the_chosen_plugin_are_those_of_its_url(site: Site) -> None:
    site.plugin(
        "memory",
        """
        from pytheus.compose import prefixed

        @hookimpl
        def pytheus_make_registry(options):
            return Memory(prefix=options.values["inner"])

        @hookimpl
        def pytheus_wrap_registry(registry, options):
            return prefixed(registry, options.values["outer"])
        """,
    )
    assert resolve_registry("memory://?inner=a&outer=b").prefix == "b_a"


def test_options_that_it_does_not_take_are_refused(site: Site, pyproject: Path) -> None:
    site.active("a", PREFIXING.format(prefix="a"))
    pyproject.write_text('[tool.pytheus.registries.a]\nprefx = "x"\n')
    words = "takes no options, but got 'prefx' (from [tool.pytheus.registries.a] in"
    assert words in str(refused(OptionError, None))


def test_a_plugin_that_builds_on_another_registry_gets_it_bare(site: Site) -> None:
    site.active("a", PREFIXING.format(prefix="a"))
    site.plugin(
        "memory",
        """
        from pytheus.plugins import resolve_registry

        @hookimpl
        def pytheus_make_registry():
            return resolve_registry("default")
        """,
    )
    registry = resolve_registry("memory")
    assert isinstance(registry, PrefixedRegistry)
    assert registry.prefix == "a"


def test_an_object_is_wrapped_by_configure(site: Site, serving: Registry) -> None:
    site.active("a", PREFIXING.format(prefix="a"))
    configure(CollectorRegistry(prefix="b"))
    assert REGISTRY.prefix == "a_b"


def test_configure_checks_an_object_before_it_is_wrapped(site: Site, serving: Registry) -> None:
    site.active("a", PREFIXING.format(prefix="a"))
    with pytest.raises(NotARegistryError, match=r"configure\(\.\.\.\) gave int 3"):
        configure(3)  # type: ignore[arg-type]  # the very mistake
    assert REGISTRY.registry is serving


# Plugins that are not available ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "memroy",
            "plugin 'memroy' ('memroy' in PYTHEUS_PLUGINS) is not installed and has no effect; did you mean 'memory'?",
        ),
        (
            "memory@other",
            "plugin 'memory@other' ('memory@other' in PYTHEUS_PLUGINS) is not installed and has no effect; did you mean"
            " 'memory@memory-dist'?",
        ),
        (
            "xyzzy",
            "plugin 'xyzzy' ('xyzzy' in PYTHEUS_PLUGINS) is not installed and has no effect; install the distribution"
            " that provides it, or remove the entry",
        ),
        (
            "no:nonne",
            "plugin 'nonne' ('no:nonne' in PYTHEUS_PLUGINS) is not installed, so there is nothing to block; did you"
            " mean 'no:none'?",
        ),
        (
            "memory",
            "plugin 'memory' ('memory' in PYTHEUS_PLUGINS) has no effect: entry point 'memory = memory_module' of"
            " memory-dist 1.0 implements at most pytheus_make_registry, which only creates a registry that was chosen:"
            " PYTHEUS_REGISTRY=memory",
        ),
    ],
)
def test_a_setting_without_effect_is_warned_of(
    setting: str, message: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("memory")
    monkeypatch.setenv("PYTHEUS_PLUGINS", setting)
    with pytest.warns(PytheusWarning) as caught:
        resolve_registry()
    assert [str(warning.message) for warning in caught] == [message]


@pytest.mark.parametrize("setting", ["no:none", "no:memory", "default"])
def test_what_is_there_is_not_warned_of(setting: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory")
    monkeypatch.setenv("PYTHEUS_PLUGINS", setting)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_registry("default")


def test_a_broken_plugin_stops_the_choice_before_a_registry_is_made(site: Site) -> None:
    site.plugin("memory", COUNTING)
    site.active("a", "raise RuntimeError('no disk')")
    assert str(refused(PluginLoadError)) == (
        "plugin 'a' ('a' in PYTHEUS_PLUGINS) could not be imported: entry point 'a = a_module' of a-dist 1.0 raised"
        " RuntimeError: no disk"
    )
    assert made() == []


def test_a_name_that_several_claim_is_ambiguous(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.active("a", PREFIXING.format(prefix="a"))
    site.distribution("other", {"a": "a_module"})
    message = str(refused(AmbiguousPluginError, None))
    assert message.startswith("plugin 'a' ('a' in PYTHEUS_PLUGINS) is claimed by several distributions:")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a@other")
    assert resolve_registry().prefix == "a"


def test_another_plugin_api_is_refused_with_both_versions(site: Site) -> None:
    site.active("a", "pytheus_plugin_api = 7\n" + PREFIXING.format(prefix="a"))
    words = "has pytheus_plugin_api = 7, and this pytheus supports plugin API 1;"
    assert words in str(refused(IncompatiblePluginError, None))


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (
            "pytheus_wrap_registry(registri, options)",
            "implements pytheus_wrap_registry with the parameter 'registri', and this hook has the parameters:"
            " 'registry', 'options'; did you mean 'registry'? write def pytheus_wrap_registry(registry, options), or",
        ),
        ("pytheus_collect_error(collector, exc)", "this hook has the parameters: 'collector', 'error';"),
        (
            "pytheus_collector_registered(*, collector)",
            "with the parameter 'collector', which would never be passed",
        ),
        ("pytheus_exposition_formats(registry)", "this hook has the parameters: none; write"),
        ("pytheus_collector_regsitered(collector)", "did you mean 'pytheus_collector_registered'?"),
    ],
)
def test_a_hook_that_is_implemented_otherwise_is_refused(signature: str, words: str, site: Site) -> None:
    site.active("a", f"@hookimpl\ndef {signature}: ...")
    message = str(refused(PluginLoadError, None))
    assert message.startswith("plugin 'a' ('a' in PYTHEUS_PLUGINS) could not be loaded: entry point 'a = a_module' of")
    assert words in message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            "def pytheus_collect_error(collector, error): ...",
            "has pytheus_collect_error, which is not marked as an implementation",
            id="forgotten mark",
        ),
        pytest.param(
            "from pytheus.plugins import resolve_registry\n@hookimpl\n"
            "def pytheus_wrap_registry(registry): return resolve_registry()",
            "asks for itself while it creates or wraps a registry",
            id="asks for itself",
        ),
    ],
)
def test_a_mistake_in_a_hook_is_refused(body: str, words: str, site: Site) -> None:
    site.active("a", body)
    assert words in str(refused(PluginLoadError, None))


def test_all_that_the_chosen_plugin_implements_is_checked(site: Site) -> None:
    site.plugin("memory", FACTORY + "\n@hookimpl\ndef pytheus_collect_error(err): ...")
    assert "implements pytheus_collect_error with the parameter 'err'" in str(refused(PluginLoadError))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(
            FACTORY
            + "seen = []\n@hookimpl\ndef pytheus_collector_registered(collector):\n    seen.append(collector.name)\n",
            None,
            id="a module",
        ),
        pytest.param(
            """
            seen = []

            class Watching(Memory):
                @hookimpl
                def pytheus_collector_registered(self, collector):
                    seen.append(collector.name)

            registry = Watching()
            """,
            "memory_module:registry",
            id="a registry object",
        ),
    ],
)
def test_the_chosen_plugin_observes(body: str, value: str | None, site: Site) -> None:
    site.plugin("memory", body, value=value)
    Counter("jobs_total", "Jobs.", registry=resolve_registry("memory"))
    assert sys.modules["memory_module"].seen == ["jobs_total"]
