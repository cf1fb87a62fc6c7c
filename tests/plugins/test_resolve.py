"""Names on their way to a registry: who decides, what is found, and what the user reads where nothing is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytheus.exceptions import (
    AmbiguousPluginError,
    OptionError,
    PluginBlockedError,
    PluginLoadError,
    PytheusWarning,
    RegistryAddressError,
    UnknownRegistryError,
)
from pytheus.plugins import available_plugins, configure, resolve_registry
from pytheus.registry import REGISTRY, CollectorRegistry, NullRegistry, Registry
from tests.plugins.conftest import Site, refused

OPTIONS = """
@dataclass
class Options:
    prefix: str | None = None
    size: int = 0

@hookimpl
def pytheus_make_registry(options):
    return Memory(prefix=options.parse(Options).prefix)
"""


# What else the environment has installed, such as our own plugins.
INSTALLED = frozenset(plugin.name for plugin in available_plugins())


def listed(*names: str) -> tuple[str, ...]:
    """What a message lists as available where a test has installed `names`."""
    return tuple(sorted(INSTALLED | set(names)))


# Who decides ----------------------------------------------------------------------------------------------------------


def test_the_default_is_a_new_collector_registry() -> None:
    first, second = resolve_registry(), resolve_registry()
    assert isinstance(first, CollectorRegistry)
    assert first is not second


@pytest.mark.parametrize(
    ("argument", "variable", "file"),
    [("none", "of_variable", "of_file"), (None, "none", "of_file"), (None, "", "none")],
    ids=["argument", "variable", "file"],
)
def test_the_argument_chooses_before_the_variable_and_that_before_the_file(
    argument: str | None, variable: str, file: str, pyproject: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject.write_text(f'[tool.pytheus]\nregistry = "{file}"\n')
    monkeypatch.setenv("PYTHEUS_REGISTRY", variable)
    assert isinstance(resolve_registry(argument), NullRegistry)


@pytest.mark.parametrize("name", ["my_memory", "my-memory", "my.memory"])
def test_an_installed_plugin_is_found(name: str, site: Site) -> None:
    site.plugin("memory")
    site.distribution("other", {name: "memory_module"})
    assert type(resolve_registry(name)).__name__ == "Memory"
    assert type(resolve_registry(f"{name}://")).__name__ == "Memory"


def test_a_plugin_that_was_installed_meanwhile_is_found(site: Site) -> None:
    refused(UnknownRegistryError)
    site.plugin("other")
    resolve_registry("other")
    info = site.folder / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytheus]\nlate = other_module\n")
    assert type(resolve_registry("late")).__name__ == "Memory"


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "prefix"), [(None, "shop"), ("default", "shop"), ("default://?prefix=store", "store")]
)
def test_the_options_of_the_file_apply_wherever_the_name_came_from_and_the_url_wins(
    choice: str | None, prefix: str, pyproject: Path
) -> None:
    pyproject.write_text('[tool.pytheus.registries.default]\nprefix = "shop"\n')
    assert resolve_registry(choice).prefix == prefix


def test_a_plugin_gets_the_options_of_the_file_and_of_the_url(pyproject: Path, site: Site) -> None:
    site.plugin("memory", OPTIONS)
    pyproject.write_text('[tool.pytheus.registries.memory]\nprefix = "shop"\n')
    assert resolve_registry("memory@memory-dist").prefix == "shop"
    assert resolve_registry("memory://?prefix=url").prefix == "url"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            "default://?prefx=shop",
            "'default' has no option 'prefx' (from PYTHEUS_REGISTRY); did you mean 'prefix'? it takes: on_conflict,"
            " prefix",
        ),
        (
            "default://?on_conflict=x",
            "'default': option 'on_conflict' must be 'raise' or 'warn' but got 'x' (from PYTHEUS_REGISTRY)",
        ),
        (
            "default://?prefix=a-b",
            "'default': option 'prefix' must be a valid metric name but got 'a-b' (from PYTHEUS_REGISTRY)",
        ),
        (
            "default://localhost",
            "'default' takes no host, but 'default://localhost' (from PYTHEUS_REGISTRY) has one; remove it",
        ),
        ("none://?prefix=shop", "'none' takes no options, but got 'prefix' (from PYTHEUS_REGISTRY); remove it"),
        ("memory://?size=big", "'memory': option 'size' must be int but got 'big' (from PYTHEUS_REGISTRY)"),
        (
            "memory://?sise=1",
            "'memory' has no option 'sise' (from PYTHEUS_REGISTRY); did you mean 'size'? it takes: prefix, size",
        ),
    ],
)
def test_a_bad_option_is_refused(choice: str, message: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory", OPTIONS)
    monkeypatch.setenv("PYTHEUS_REGISTRY", choice)
    assert str(refused(OptionError, None)) == f"registry plugin {message}"


def test_a_bad_option_of_the_file_is_refused_with_its_table(pyproject: Path, site: Site) -> None:
    site.plugin("memory", OPTIONS)
    pyproject.write_text('[tool.pytheus.registries.memory]\nsize = "big"\n')
    assert str(refused(OptionError)) == (
        "registry plugin 'memory': option 'size' must be int but got 'big'"
        f" (from [tool.pytheus.registries.memory] in {pyproject})"
    )


def test_a_table_of_almost_the_same_name_is_warned_of(pyproject: Path) -> None:
    pyproject.write_text('[tool.pytheus.registries.defualt]\nprefix = "shop"\n')
    with pytest.warns(PytheusWarning) as caught:
        resolve_registry()
    assert [str(warning.message) for warning in caught] == [
        f"{pyproject}: [tool.pytheus.registries.defualt] applies to no installed plugin;"
        " did you mean [tool.pytheus.registries.default]?"
    ]


def test_a_table_of_another_plugin_is_not_warned_of(pyproject: Path, site: Site) -> None:
    site.plugin("memory")
    site.plugin("memory2")
    pyproject.write_text("[tool.pytheus.registries.memory2]\nsize = 1\n")
    resolve_registry("memory")


# What is not there ----------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_closest_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.distribution("kitchen-dist", {"kitchen": "k"})
    site.distribution("cellar-dist", {"cellar": "c"})
    monkeypatch.setenv("PYTHEUS_REGISTRY", "kitchne")
    error = refused(UnknownRegistryError, None)
    assert str(error) == (
        "registry plugin 'kitchne' (from PYTHEUS_REGISTRY) is not installed; did you mean 'kitchen'?"
        f" available: {', '.join(listed('cellar', 'kitchen'))}"
    )
    assert (error.name, error.suggestion) == ("kitchne", "kitchen")
    assert error.available == listed("cellar", "kitchen")


def test_an_unknown_name_that_is_like_no_other_is_to_be_installed(pyproject: Path) -> None:
    pyproject.write_text('[tool.pytheus]\nregistry = "0surely0://:hunter2@db"\n')
    assert str(refused(UnknownRegistryError, None)) == (
        f"registry plugin '0surely0' (from {pyproject}) is not installed; install the distribution that"
        f" provides it; available: {', '.join(listed())}"
    )


def test_an_unknown_name_tells_what_is_blocked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.distribution("memory-dist", {"memory": "m"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:memory")
    assert str(refused(UnknownRegistryError, "zzz")) == (
        "registry plugin 'zzz' (as argument) is not installed; install the distribution that provides it;"
        f" available: {', '.join(listed())}; blocked: memory (by 'no:memory' in PYTHEUS_PLUGINS)"
    )


def test_an_unknown_name_tells_what_could_not_be_read(site: Site) -> None:
    info = site.distribution("broken", {"memory": "b"})
    (info / "entry_points.txt").write_bytes(b"[pytheus]\nmemory = \xff\n")
    assert f"; could not be read: {info} (UnicodeDecodeError: " in str(refused(UnknownRegistryError))


def test_the_wrong_distribution_is_refused_with_the_right_one(site: Site) -> None:
    site.distribution("kitchen-dist", {"kitchen": "k"})
    assert str(refused(UnknownRegistryError, "kitchen@fast-kitchen")) == (
        "registry plugin 'kitchen@fast-kitchen' (as argument) is not installed; did you mean 'kitchen@kitchen-dist'?"
        f" available: {', '.join(listed('kitchen'))}"
    )


def test_a_modules_attribute_is_refused(pyproject: Path) -> None:
    pyproject.write_text('[tool.pytheus]\nregistry = "shop.metrics:registry"\n')
    error = str(refused(RegistryAddressError, None))
    assert error.startswith(f"registry (from {pyproject}) looks like MODULE:ATTR")
    assert "REGISTRY.set_registry(the_object)" in error


# What is there twice --------------------------------------------------------------------------------------------------


def test_a_name_with_two_owners_is_refused_with_the_way_to_choose(site: Site) -> None:
    site.plugin("memory")
    site.distribution("rival", {"memory": "rival_module"}, version="2.0")
    error = refused(AmbiguousPluginError)
    assert str(error) == (
        "registry plugin 'memory' (as argument) is claimed by several distributions: memory-dist 1.0, rival 2.0;"
        " choose with 'memory@memory-dist' or 'memory@rival'"
    )
    assert error.distributions == ("memory-dist", "rival")
    assert "memory_module" not in sys.modules


@pytest.mark.parametrize("choice", ["memory@memory-dist", "memory@Memory.Dist", "memory@memory_dist://"])
def test_the_distribution_decides_between_two_owners(choice: str, site: Site) -> None:
    site.plugin("memory")
    site.distribution("rival", {"memory": "rival_module"})
    assert type(resolve_registry(choice)).__name__ == "Memory"


def test_a_name_that_its_own_distribution_gives_twice_is_refused(site: Site) -> None:
    info = site.distribution("memory-dist", {"memory": "a"})
    (info / "entry_points.txt").write_text("[pytheus]\nmemory = a\nmemory = b\n")
    assert str(refused(PluginLoadError)) == (
        "registry plugin 'memory' (as argument) could not be loaded: memory-dist 1.0 declares it 2 times, as a and b;"
        " ask its authors to keep one"
    )


@pytest.mark.parametrize("name", ["default", "none"])
def test_a_built_in_name_is_never_anybody_elses(name: str, site: Site) -> None:
    site.module("thief", "raise AssertionError('imported')")
    site.distribution("thief", {name: "thief"})
    for choice in (name, f"{name}@pytheus"):
        assert isinstance(resolve_registry(choice), CollectorRegistry | NullRegistry)
    assert str(refused(UnknownRegistryError, f"{name}@thief")) == (
        f"registry plugin '{name}@thief' (as argument) is not available: {name!r} is reserved for pytheus itself, and a"
        f" plugin of another distribution with that name is never used; write {name!r} for the built-in one"
    )


# What is blocked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "file", "choice", "message"),
    [
        ("no:memory", "", "memory", "'memory' (as argument) is blocked by 'no:memory' in PYTHEUS_PLUGINS"),
        ("no:default", "", None, "'default' (by default) is blocked by 'no:default' in PYTHEUS_PLUGINS"),
        (
            "",
            "no:memory",
            "memory@memory-dist",
            "'memory' (as argument) is blocked by 'no:memory' in 'plugins' in [tool.pytheus] of {pyproject}",
        ),
    ],
    ids=["variable", "built-in", "file"],
)
def test_a_plugin_that_is_blocked_is_refused(
    variable: str,
    file: str,
    choice: str | None,
    message: str,
    pyproject: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site.plugin("memory")
    monkeypatch.setenv("PYTHEUS_PLUGINS", variable)
    pyproject.write_text(f"[tool.pytheus]\nplugins = {[file] if file else []}\n")
    assert str(refused(PluginBlockedError, choice)) == (
        f"registry plugin {message.format(pyproject=pyproject)}; remove that entry to allow it, or choose another"
        " registry"
    )
    assert "memory_module" not in sys.modules


def test_a_name_of_a_plugin_that_is_asked_for_blocks_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "memory,default")
    assert type(resolve_registry("memory")).__name__ == "Memory"


# At boot --------------------------------------------------------------------------------------------------------------


def test_configure_gives_the_registry_that_serves(serving: Registry) -> None:
    assert configure() is serving
    assert configure("default://?prefix=shop") is REGISTRY.registry
    assert REGISTRY.prefix == "shop"
    registry = CollectorRegistry()
    assert configure(registry) is registry
    assert REGISTRY.registry is registry


def test_configure_that_fails_changes_nothing(serving: Registry) -> None:
    with pytest.raises(UnknownRegistryError):
        configure("surely_not_installed")
    assert REGISTRY.registry is serving
