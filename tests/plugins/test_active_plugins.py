"""Which plugins are active, in which order, and what becomes of those that cannot be."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from tests.plugins.conftest import Audit, Site

PREFIXING = """
from pytheus.compose import prefixed

@hookimpl
def pytheus_wrap_registry(registry, options):
    return prefixed(registry, "{prefix}")
"""


def refused(kind: type[PytheusError], choice: str | None = None) -> str:
    with pytest.raises(kind) as caught:
        resolve_registry(choice)
    assert type(caught.value) is kind
    return str(caught.value)


def warned(choice: str | None = None) -> str:
    with pytest.warns(PytheusWarning) as caught:
        resolve_registry(choice)
    (warning,) = caught
    return str(warning.message)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The plugins "a" and "b" are named."""
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a,b")
    return monkeypatch


# Order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "prefix"), [("a,b", "b_a"), ("b,a", "a_b")])
def test_each_gets_what_the_former_gave(order: str, prefix: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.plugin("b", PREFIXING.format(prefix="b"))
    monkeypatch.setenv("PYTHEUS_PLUGINS", order)
    assert resolve_registry().prefix == prefix


def test_several_of_one_distribution_are_active(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        site.module(f"{name}_module", "from pytheus.plugins import hookimpl\n" + PREFIXING.format(prefix=name))
    site.distribution("both", {"a": "a_module", "b": "b_module"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a,b")
    assert resolve_registry().prefix == "b_a"


def test_the_plugin_of_the_registry_comes_first(site: Site, named: pytest.MonkeyPatch) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.plugin("b", PREFIXING.format(prefix="b") + "\n@hookimpl\ndef pytheus_make_registry(): return Memory()")
    named.setenv("PYTHEUS_PLUGINS", "a")
    assert resolve_registry("b").prefix == "a_b"


def test_a_plugin_that_is_chosen_and_named_is_asked_once(site: Site, named: pytest.MonkeyPatch) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.plugin("b", PREFIXING.format(prefix="b") + "\n@hookimpl\ndef pytheus_make_registry(): return Memory()")
    assert resolve_registry("b").prefix == "a_b"


def test_the_file_names_plugins_as_well(site: Site, home: Path) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    (home / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["a@a-dist"]\n')
    assert resolve_registry().prefix == "a"


def test_a_plugin_that_was_not_named_is_not_imported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.plugin("b", "raise RuntimeError('imported')")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    resolve_registry()
    assert "a_module" in sys.modules
    assert "b_module" not in sys.modules


# Wrapping -------------------------------------------------------------------------------------------------------------


def test_none_leaves_the_registry_as_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", "@hookimpl\ndef pytheus_wrap_registry(registry, options): ...")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert type(resolve_registry()) is CollectorRegistry


def test_a_falsy_registry_is_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", "@hookimpl\ndef pytheus_wrap_registry(registry): return Memory()")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert type(resolve_registry()).__name__ == "Memory"


def test_what_it_gives_is_checked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", "@hookimpl\ndef pytheus_wrap_registry(registry, options): return 3")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert refused(NotARegistryError).startswith(
        "plugin 'a' ('a' in PYTHEUS_PLUGINS), entry point 'a = a_module' of a-dist 1.0, in"
        " pytheus_wrap_registry, gave int 3, which is not a registry: 'prefix' is missing;"
    )


def test_what_it_raises_is_told_and_chained(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", "@hookimpl\ndef pytheus_wrap_registry(registry, options): raise OSError('no disk')")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    with pytest.raises(PluginLoadError) as caught:
        resolve_registry()
    assert str(caught.value) == (
        "plugin 'a' ('a' in PYTHEUS_PLUGINS) could not wrap the registry: entry point 'a = a_module' of a-dist 1.0"
        " raised OSError: no disk"
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_a_registry_that_was_made_for_nothing_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin(
        "memory",
        "made = []\n@hookimpl\ndef pytheus_make_registry():\n    made.append(Memory())\n    return made[0]",
    )
    site.plugin("a", "@hookimpl\ndef pytheus_wrap_registry(registry, options): raise OSError('no disk')")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    refused(PluginLoadError, "memory")
    assert sys.modules["memory_module"].made[0].closed


def test_its_options_are_its_own(site: Site, home: Path) -> None:
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
    (home / "pyproject.toml").write_text(
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


def test_options_that_it_does_not_take_are_refused(site: Site, home: Path) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    (home / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["a"]\n[tool.pytheus.registries.a]\nprefx = "x"\n')
    assert "takes no options, but got 'prefx' (from [tool.pytheus.registries.a] in" in refused(OptionError)


def test_a_plugin_that_builds_on_another_registry_gets_it_bare(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.plugin(
        "memory",
        """
        from pytheus.plugins import resolve_registry

        @hookimpl
        def pytheus_make_registry():
            return resolve_registry("default")
        """,
    )
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    registry = resolve_registry("memory")
    assert isinstance(registry, PrefixedRegistry)
    assert registry.prefix == "a"


def test_a_plugin_that_asks_for_the_configured_registry_to_wrap_it_is_stopped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin(
        "a",
        """
        from pytheus.plugins import resolve_registry

        @hookimpl
        def pytheus_wrap_registry(registry):
            return resolve_registry()
        """,
    )
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert "asks for itself while it creates or wraps a registry" in refused(PluginLoadError)


def test_an_object_is_wrapped_by_configure(site: Site, monkeypatch: pytest.MonkeyPatch, serving: Registry) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    configure(CollectorRegistry(prefix="b"))
    assert REGISTRY.prefix == "a_b"


def test_configure_checks_an_object_before_it_is_wrapped(
    site: Site, monkeypatch: pytest.MonkeyPatch, serving: Registry
) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    with pytest.raises(NotARegistryError, match=r"configure\(\.\.\.\) gave int 3"):
        configure(3)  # type: ignore[arg-type]  # the very mistake
    assert REGISTRY.registry is serving


# Plugins that are not available ---------------------------------------------------------------------------------------


def test_a_name_that_no_plugin_has_is_warned_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("audit", PREFIXING.format(prefix="a"))
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audti")
    assert warned() == (
        "plugin 'audti' ('audti' in PYTHEUS_PLUGINS) is not installed and has no effect; did you mean 'audit'?"
    )


def test_a_distribution_that_has_it_not_is_warned_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("audit", PREFIXING.format(prefix="a"))
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit@other")
    assert warned().endswith("is not installed and has no effect; did you mean 'audit@audit-dist'?")


def test_a_name_that_resembles_none_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "xyzzy")
    assert warned().endswith("has no effect; install the distribution that provides it, or remove the entry")


def test_blocking_what_is_not_installed_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:nonne")
    assert warned() == (
        "plugin 'nonne' ('no:nonne' in PYTHEUS_PLUGINS) is not installed, so there is nothing to block; did you mean"
        " 'no:none'?"
    )


@pytest.mark.parametrize("setting", ["no:none", "no:memory", "default"])
def test_what_is_there_is_not_warned_of(setting: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory")
    monkeypatch.setenv("PYTHEUS_PLUGINS", setting)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_registry("default")


def test_a_plugin_without_hooks_is_warned_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "memory")
    assert warned().endswith(
        "has no effect: entry point 'memory = memory_module' of memory-dist 1.0 implements at most"
        " pytheus_make_registry, which only creates a registry that was chosen: PYTHEUS_REGISTRY=memory"
    )


def test_a_broken_plugin_stops_the_choice_before_a_registry_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("memory", "made = []\n@hookimpl\ndef pytheus_make_registry():\n    made.append(1)\n    return Memory()")
    site.plugin("a", "raise RuntimeError('no disk')")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert refused(PluginLoadError, "memory") == (
        "plugin 'a' ('a' in PYTHEUS_PLUGINS) could not be imported: entry point 'a = a_module' of a-dist 1.0 raised"
        " RuntimeError: no disk"
    )
    assert sys.modules["memory_module"].made == []


def test_a_name_that_several_claim_is_ambiguous(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", PREFIXING.format(prefix="a"))
    site.distribution("other", {"a": "a_module"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    message = refused(AmbiguousPluginError)
    assert message.startswith("plugin 'a' ('a' in PYTHEUS_PLUGINS) is claimed by several distributions:")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a@other")
    assert resolve_registry().prefix == "a"


def test_another_plugin_api_is_refused_with_both_versions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", "pytheus_plugin_api = 7\n" + PREFIXING.format(prefix="a"))
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert "has pytheus_plugin_api = 7, and this pytheus supports plugin API 1;" in refused(IncompatiblePluginError)


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
def test_a_hook_that_is_implemented_otherwise_is_refused(
    signature: str, words: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("a", f"@hookimpl\ndef {signature}: ...")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    message = refused(PluginLoadError)
    assert message.startswith("plugin 'a' ('a' in PYTHEUS_PLUGINS) could not be loaded: entry point 'a = a_module' of")
    assert words in message


def test_a_forgotten_mark_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("a", "def pytheus_collect_error(collector, error): ...")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "a")
    assert "has pytheus_collect_error, which is not marked as an implementation" in refused(PluginLoadError)


def test_all_that_the_chosen_plugin_implements_is_checked(site: Site) -> None:
    site.plugin("memory", "@hookimpl\ndef pytheus_make_registry(): ...\n@hookimpl\ndef pytheus_collect_error(err): ...")
    assert "implements pytheus_collect_error with the parameter 'err'" in refused(PluginLoadError, "memory")


def test_the_chosen_plugin_observes(audit: Audit, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHEUS_PLUGINS")
    site.plugin(
        "memory",
        """
        seen = []

        @hookimpl
        def pytheus_make_registry():
            return Memory()

        @hookimpl
        def pytheus_collector_registered(collector):
            seen.append(collector.name)
        """,
    )
    Counter("jobs_total", "Jobs.", registry=resolve_registry("memory"))
    assert sys.modules["memory_module"].seen == ["jobs_total"]


def test_a_registry_object_may_have_hooks(site: Site) -> None:
    site.plugin(
        "memory",
        """
        class Watching(Memory):
            seen = []

            @hookimpl
            def pytheus_collector_registered(self, collector):
                self.seen.append(collector.name)

        registry = Watching()
        """,
        value="memory_module:registry",
    )
    Counter("jobs_total", "Jobs.", registry=resolve_registry("memory"))
    assert sys.modules["memory_module"].registry.seen == ["jobs_total"]
