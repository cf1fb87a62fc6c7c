"""``pytheus check``: what it takes, what it finds, and how it ends."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SOUND, Files, Install, Pytheus
from tests.cli.programs import Ended, execute

SHOP = """
from __future__ import annotations

from pytheus.registry import CollectorRegistry, Registry


class ShopRegistry(CollectorRegistry):
    pass


class Forgetful(CollectorRegistry):
    def unregister(self, collector: object, /) -> None:
        pass


def make() -> Registry:
    return ShopRegistry()


registry = ShopRegistry()
half = object()
"""


@pytest.fixture(autouse=True)
def without_mypy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave mypy out, which takes its time; tests/cli/test_check_types.py is about it."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name == "mypy" else find_spec(name, package)
    )


def checks(ended: Ended) -> dict[str, tuple[str, str]]:
    return {finding["check"]: (finding["status"], finding["message"] or "") for finding in ended.document["checks"]}


def failed(ended: Ended) -> list[str]:
    return [check for check, (status, _) in checks(ended).items() if status == "failed"]


def test_a_sound_plugin_passes(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    ended = pytheus("check", "kitchen")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("kitchen: entry point 'kitchen = kitchen_module' of kitchen-dist 1.0\n")
    assert "\nprotocol and signatures: 1 passed\n" in ended.out
    assert "\ndistribution: 7 passed\n" in ended.out
    assert "\npassed: " in ended.out
    assert "FAILED" not in ended.out


def test_json_tells_each_check_and_why_it_was_left_out(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    ended = pytheus("check", "kitchen", "--json")
    assert ended.code == 0
    found = checks(ended)
    assert found["test_a_prefix_applies_once"] == ("passed", "")
    assert found["test_the_plugin_is_typed"] == ("left out", "mypy is not installed")
    assert ended.document["sound"] is True


def test_a_plugin_with_an_import_that_does_something_fails(pytheus: Pytheus, install: Install) -> None:
    install("kitchen", "import threading; threading.Thread(target=int).start()\n" + SOUND)
    ended = pytheus("check", "kitchen")
    assert ended.code == 1
    assert "  failed test_importing_the_plugin_does_nothing\n" in ended.out
    assert "\nFAILED: " in ended.out


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("raise ConnectionError('away')", "ConnectionError: away"),
        ("return 1", "'register' is missing; it should be a method register(collector)"),
    ],
)
def test_a_plugin_that_makes_no_registry_fails(result: str, words: str, pytheus: Pytheus, install: Install) -> None:
    install("kitchen", SOUND.replace("return CollectorRegistry(options.parse(Options).prefix)", result))
    ended = pytheus("check", "kitchen", "--json")
    assert ended.code == 1
    assert failed(ended) == ["test_it_satisfies_the_protocol", "test_the_plugin_makes_a_registry"]
    assert words in checks(ended)["test_it_satisfies_the_protocol"][1]


@pytest.mark.parametrize(
    "arguments",
    [["nosuch"], ["shop:Nosuch"], ["nowhere.py:Shop"], ["nosuch_module:Shop"], ["a b"], [], ["default", "--no"]],
    ids=["plugin", "object", "file", "module", "grammar", "nothing", "option"],
)
def test_what_is_not_there_is_one_line(arguments: list[str], pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP})
    assert pytheus("check", *arguments).refusal.startswith("pytheus check: ")


def test_an_import_error_is_told_in_one_line(pytheus: Pytheus, files: Files) -> None:
    files({"broken_shop.py": "raise RuntimeError('out of tea')\n"})
    assert "RuntimeError: out of tea" in pytheus("check", "broken_shop:Shop").refusal


@pytest.mark.parametrize("subject", ["shop:ShopRegistry", "shop:make", "shop:registry", "shop.py:ShopRegistry"])
def test_classes_factories_and_registries_are_checked(subject: str, pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP})
    ended = pytheus("check", subject, "--json")
    assert ended.code == 0, ended.out
    found = checks(ended)
    assert found["test_collect_keeps_the_order_of_registration"][0] == "passed"
    assert not any("distribution" in finding["section"] for finding in ended.document["checks"])


def test_a_defect_is_named(pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP})
    ended = pytheus("check", "shop:Forgetful")
    assert ended.code == 1
    assert "  failed test_unregister_lets_go\n      unregister lets go of one collector" in ended.out


def test_an_object_that_is_no_registry_fails(pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP})
    ended = pytheus("check", "shop:half", "--json")
    assert ended.code == 1
    assert failed(ended) == ["test_it_satisfies_the_protocol"]
    assert "'register' is missing" in checks(ended)["test_it_satisfies_the_protocol"][1]


CONFORMANCE = """
from pytheus.registry import CollectorRegistry, Registry
from pytheus.testing import RegistryConformance


class TestKitchen(RegistryConformance):
    on_conflict = "keep"

    def make_registry(self) -> Registry:
        return CollectorRegistry(on_conflict="warn")
"""


def test_a_conformance_class_declares_what_is_different(pytheus: Pytheus, install: Install, files: Files) -> None:
    install("kitchen", SOUND.replace("options.parse(Options).prefix", 'options.parse(Options).prefix, "warn"'))
    files({"test_kitchen.py": CONFORMANCE})
    ended = pytheus("check", "kitchen", "--conformance", "test_kitchen.py:TestKitchen", "--json")
    assert ended.code == 0, ended.out
    found = checks(ended)
    assert "test_the_error_names_the_incumbent" not in found
    assert found["test_the_plugin_makes_a_registry"][0] == "passed"


def test_a_class_that_is_no_conformance_class_is_refused(pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP})
    line = pytheus("check", "default", "--conformance", "shop:ShopRegistry").refusal
    assert "'shop:ShopRegistry' is not a subclass of pytheus.testing.RegistryConformance" in line


@pytest.mark.parametrize("name", ["default", "none"])
def test_registries_of_pytheus_itself_pass(name: str, pytheus: Pytheus) -> None:
    assert pytheus("check", name).code == 0


def test_what_is_configured_here_takes_no_part(
    pytheus: Pytheus, install: Install, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen")
    files({"pyproject.toml": "[tool.pytheus]\nwrap = ['read_only']\nregistries.kitchen.burners = 4\n"})
    monkeypatch.setenv("PYTHEUS_REGISTRY", "nosuch")
    assert pytheus("check", "kitchen").code == 0


def test_a_plugin_that_is_blocked_is_not_imported(
    pytheus: Pytheus, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen", "raise RuntimeError('imported')")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:kitchen")
    assert "is blocked by 'no:kitchen' in PYTHEUS_PLUGINS" in pytheus("check", "kitchen").refusal


def test_verbose_shows_what_passed(pytheus: Pytheus) -> None:
    assert "  passed test_collect_keeps_the_order_of_registration\n" in pytheus("check", "default", "--verbose").out


def test_a_module_is_found_in_the_working_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the console script is run: its own folder comes first on the path, and the working directory is not on it.
    (home / "shop.py").write_text(SHOP, "utf-8")
    script = tmp_path / "script.py"
    script.write_text("import sys\nfrom pytheus.cli.__main__ import main\nsys.exit(main())\n", "utf-8")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    ended = execute(sys.executable, str(script), "check", "shop:Forgetful", cwd=home)
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("shop:Forgetful: a class\n")
