"""The plan: what would be used, or why not, without an import of a plugin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytheus.exceptions import (
    AmbiguousPluginError,
    ConfigurationError,
    OptionError,
    PluginBlockedError,
    PytheusError,
    RegistryAddressError,
    UnknownRegistryError,
)
from pytheus.plugins import available_plugins, resolve_registry
from pytheus.plugins.plan import plan
from pytheus.version import __version__
from tests.plugins.conftest import Site


def chosen() -> dict[str, str]:
    """By name, the setting that chooses each plugin."""
    planned = plan()
    return {plugin.name: by for plugin in available_plugins() if (by := planned.chosen_by(plugin)) is not None}


def test_the_default_is_provided_by_pytheus() -> None:
    planned = plan()
    assert (planned.choice.origin, planned.claim, planned.problem) == ("default", None, None)
    assert planned.provider == ("pytheus", __version__)
    assert chosen() == {"default": "by default"}


def test_a_plugin_is_planned_and_not_imported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory", "raise AssertionError('imported')")
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")
    planned = plan()
    assert planned.provider == ("memory-dist", "1.0")
    assert planned.claim is not None
    assert planned.claim.address == "memory@memory-dist"
    assert chosen() == {"memory": "from PYTHEUS_REGISTRY"}
    assert "memory_module" not in sys.modules


def test_options_are_planned_with_their_sources(pyproject: Path) -> None:
    pyproject.write_text("[tool.pytheus.registries.default]\nprefix = 'a'\non_conflict = 'warn'\n")
    described = plan("default://?prefix=b").options.describe()
    assert set(described) == {
        ("prefix", "b", "as argument"),
        ("on_conflict", "warn", f"from [tool.pytheus.registries.default] in {pyproject}"),
    }


@pytest.mark.parametrize(
    ("choice", "blocks", "kind"),
    [
        ("surely_not_installed", "", UnknownRegistryError),
        ("none@thief", "", UnknownRegistryError),
        ("memory", "no:memory", PluginBlockedError),
        ("none", "no:none", PluginBlockedError),
        ("memory", "", AmbiguousPluginError),
    ],
)
def test_a_problem_is_the_error_of_the_resolution(
    choice: str, blocks: str, kind: type[PytheusError], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("memory")
    site.distribution("rival", {"memory": "rival_module"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", blocks)
    planned = plan(choice)
    with pytest.raises(kind) as caught:
        resolve_registry(choice)
    assert type(planned.problem) is kind
    assert planned.problems == [str(caught.value)]
    assert (planned.claim, planned.provider) == (None, None)


@pytest.mark.parametrize(
    ("choice", "kind"), [("a:b", RegistryAddressError), ("x://h:1?port=2", OptionError), ("none", ConfigurationError)]
)
def test_a_setting_that_is_not_valid_in_itself_is_raised(
    choice: str, kind: type[PytheusError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:" if kind is ConfigurationError else "")
    with pytest.raises(kind):
        plan(choice)


def test_named_plugins_are_planned_in_order_with_their_problems(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory")
    site.distribution("kitchen-dist", {"kitchen": "k"})
    site.distribution("rival", {"kitchen": "k"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", "memory,kitchen,absent,none,kitchen2@x")
    planned = plan()
    named = {one.named.name: one for one in planned.activation.plugins}
    assert list(named) == ["memory", "kitchen", "absent", "none", "kitchen2"]
    assert (named["memory"].problem, named["none"].problem) == (None, None)
    assert isinstance(named["kitchen"].problem, AmbiguousPluginError)
    assert isinstance(named["absent"].problem, UnknownRegistryError)
    assert "did you mean 'kitchen'?" in str(named["kitchen2"].problem)
    assert len(planned.problems) == 3
    assert chosen() == {"default": "by default", "memory": "by 'memory' in PYTHEUS_PLUGINS"}


def test_settings_without_effect_are_warnings(pyproject: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyproject.write_text("[tool.pytheus.registries.defualt]\n")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:defalut")
    planned = plan()
    assert "did you mean [tool.pytheus.registries.default]?" in planned.warnings[0]
    assert planned.activation.warnings[0].endswith("so there is nothing to block; did you mean 'no:default'?")
