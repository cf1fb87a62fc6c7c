"""The kit's checks of a plugin's distribution, on one that is sound and on ones that are not."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from pytheus.plugins import refresh_plugins
from pytheus.registry import CollectorRegistry, Registry
from pytheus.testing import RegistryConformance, run_conformance
from pytheus.testing.checks.distribution import DistributionChecks

SOUND = """
from pytheus.plugins import RegistryOptions, hookimpl
from pytheus.registry import CollectorRegistry, Registry


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> Registry:
    return CollectorRegistry()
"""

CHECKS = sorted(name for name in vars(DistributionChecks) if name.startswith("test_"))


class Kitchen(RegistryConformance):
    plugin_name = "kit_kitchen"

    def make_registry(self) -> Registry:
        return CollectorRegistry()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that interpreters started from here, and mypy, take for installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("MYPYPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    refresh_plugins()
    return folder


def install(site: Path, source: str, *, entry_point: str = "kit_kitchen = kit_kitchen_plugin") -> None:
    (site / "kit_kitchen_plugin.py").write_text(textwrap.dedent(source), "utf-8")
    info = site / "kit_kitchen-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kit-kitchen\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[pytheus]\n{entry_point}\n", "utf-8")
    refresh_plugins()


def outcomes(checked: type[RegistryConformance]) -> dict[str, tuple[str, str]]:
    """Of the checks of the distribution alone."""

    class Packaging(checked):  # type: ignore[misc, valid-type]  # made at run time, so that nothing is remembered
        pass

    return {
        outcome.check: (outcome.status, outcome.message)
        for outcome in run_conformance(Packaging)
        if outcome.check in CHECKS
    }


def failed(checked: type[RegistryConformance] = Kitchen) -> dict[str, str]:
    return {check: message for check, (status, message) in outcomes(checked).items() if status == "failed"}


def require_failed(check: str, message: str, checked: type[RegistryConformance] = Kitchen) -> None:
    """Fail unless `check` alone failed, and said `message` among other things."""
    found = failed(checked)
    assert list(found) == [check]
    assert message in found[check]


def test_a_sound_plugin_passes(site: Path) -> None:
    install(site, SOUND)
    pytest.importorskip("mypy", reason="mypy is not installed, and one of the checks needs it")
    assert {check: status for check, (status, _) in outcomes(Kitchen).items()} == dict.fromkeys(CHECKS, "passed")


def test_an_entry_point_may_name_an_object(site: Path) -> None:
    source = "from pytheus.registry import CollectorRegistry\nregistry = CollectorRegistry()\n"
    install(site, source, entry_point="kit_kitchen = kit_kitchen_plugin:registry")
    assert failed() == {}


def test_without_a_name_they_are_left_out() -> None:
    class Nameless(RegistryConformance):
        def make_registry(self) -> Registry:
            return CollectorRegistry()

    assert outcomes(Nameless) == {}


def test_one_that_is_not_installed_is_told(site: Path) -> None:
    require_failed(
        "test_the_plugin_is_listed_without_being_imported", "it is not listed; is its distribution installed?"
    )


def test_one_that_cannot_make_a_registry_is_told(site: Path) -> None:
    install(site, SOUND.replace("return CollectorRegistry()", "raise ConnectionError('away')"))
    require_failed("test_the_plugin_makes_a_registry", "ConnectionError: away")


@pytest.mark.parametrize(
    ("statement", "deed"),
    [
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import threading; threading.Thread(target=int).start()", "threading.Thread.start"),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', ''])", "subprocess.Popen"),
        ("from pytheus import Counter; Counter('made_total', 'Made.')", "counter 'made_total'"),
    ],
    ids=["socket", "thread", "process", "metric"],
)
def test_an_import_that_does_something_is_told(site: Path, statement: str, deed: str) -> None:
    install(site, SOUND + statement + "\n")
    require_failed("test_importing_the_plugin_does_nothing", deed)


def test_an_import_beyond_its_budget_is_told(site: Path) -> None:
    class Hasty(Kitchen):
        import_budget_seconds = -1.0

    install(site, SOUND)
    require_failed("test_importing_the_plugin_is_quick", "at most import_budget_seconds = -1", Hasty)


def test_options_that_are_swallowed_are_told(site: Path) -> None:
    # A factory that reads `values` accepts all options and has to check them.
    install(site, SOUND.replace("return CollectorRegistry()", "dict(options.values); return CollectorRegistry()"))
    require_failed("test_the_plugin_refuses_unknown_options", "take options with options.parse(...)")


def test_a_factory_of_another_type_is_told(site: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed, and the check needs it")
    install(site, SOUND.replace("-> Registry:", "-> object:"))
    require_failed("test_the_plugin_is_typed", "Incompatible types in assignment")
