"""``pytheus check``: what it takes, what it finds, and how it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytheus.cli.__main__ import main
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


def test_a_plugin_that_is_one_registry_passes(pytheus: Pytheus, install: Install) -> None:
    install("kitchen", SHOP, value="kitchen_module:registry")
    ended = pytheus("check", "kitchen", "--json")
    assert ended.code == 0, ended.out
    assert checks(ended)["test_an_empty_prefix_is_none"] == (
        "left out",
        "its plugin gives one registry, whose prefix cannot be chosen",
    )


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


# The report -----------------------------------------------------------------------------------------------------------

SHARED = """
from pytheus import CollectorRegistry, generate_metrics
from pytheus.samples import Family

registry = CollectorRegistry()


class Merged:
    prefix = None

    def __init__(self):
        self.collectors = []

    def register(self, collector, /):
        self.collectors.append(collector)

    def unregister(self, collector, /):
        self.collectors.remove(collector)

    def collect(self):
        return [Copy(list(collector.collect())) for collector in self.collectors]


class Copy:
    def __init__(self, families):
        self.families = families

    def collect(self):
        return self.families
"""


def test_failures_come_first_and_the_rest_is_folded(pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHARED})
    ended = pytheus("check", "shop:Merged")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[1] == ""
    assert lines[2].startswith("  failed ")
    assert len(lines) < 40
    (folded,) = (line for line in lines if "left out: not run: it relies on" in line)
    assert int(folded.split()[0]) > 5
    assert "left out test_" not in ended.out
    verbose = pytheus("check", "shop:Merged", "--verbose").out.splitlines()
    assert verbose[2].startswith("  failed ")
    assert sum(line.startswith("  left out test_") for line in verbose) == sum(
        int(line.split()[0]) for line in lines if " left out: " in line and line.startswith("  ")
    )


def test_a_registry_that_gives_others_gets_the_hint(pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP + SHARED})
    hint = "declare gives_originals = False in a conformance class"
    ended = pytheus("check", "shop:Merged", "--json")
    assert [hint in told for told in ended.document["hints"]] == [True]
    assert "\nhint: collect() of this registry gives other collectors than those" in pytheus("check", "shop:Merged").out
    forgetful = pytheus("check", "shop:Forgetful").out
    assert hint not in forgetful
    assert "\nhint: if a difference is intended, declare it in a conformance class: --conformance" in forgetful
    assert "hint" not in pytheus("check", "shop:ShopRegistry").out


NOISY = """
import atexit, ctypes, os, subprocess, sys, threading
from sys import stdout
from pytheus import CollectorRegistry
from pytheus.registry import Registry

# Each text in one piece: print() writes its arguments one by one, and another thread prints between them.
def shout(where):
    print(f"printed {where}")
    print(f"printed to the original {where}", file=stdout, flush=True)
    print(f"printed to the interpreter's {where}", file=sys.__stdout__, flush=True)
    os.write(1, b"written in Python\\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"written in C")
    libc.fflush(None)
    subprocess.run(["echo", "written by a child process"], check=True)
    subprocess.run([sys.executable, "-c", "print('written by another')"], check=True)

shout("at import")
atexit.register(shout, "at exit")
threading.Thread(target=shout, args=["in a thread"]).start()

class Noisy(CollectorRegistry):
    def __init__(self) -> None:
        super().__init__()
        print("printed when it is made")
        os.write(1, b"written when it is made\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the C library has another name there")
@pytest.mark.parametrize("arguments", [["--json"], []], ids=["json", "text"])
def test_the_report_is_alone_on_stdout(arguments: list[str], home: Path) -> None:
    (home / "noisy.py").write_text(NOISY, "utf-8")
    # Without mypy, which takes its time.
    program = (
        "import sys; sys.modules['mypy'] = None; import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'mypy' else find(name, *rest)\n"
        "from pytheus.cli.__main__ import main; sys.exit(main())"
    )
    ended = execute(sys.executable, "-c", program, "check", "noisy:Noisy", *arguments, cwd=home)
    assert ended.code == 0, ended.err
    if arguments:
        assert ended.document["sound"] is True
    else:
        assert ended.out.startswith("noisy:Noisy: a class\n")
    assert "printed" not in ended.out
    assert "written" not in ended.out
    for words in (
        "printed at import",
        "printed to the original at exit",
        "printed to the interpreter's in a thread",
        "written in Python",
        "written in C",
        "written by a child process",
        "written by another",
        "printed when it is made",
    ):
        assert words in ended.err


def test_stdout_is_given_back(pytheus: Pytheus, files: Files, capfd: pytest.CaptureFixture[str]) -> None:
    files({"noisy_shop.py": SHOP + "print('hello')\n"})
    ended = pytheus("check", "noisy_shop:ShopRegistry", "--json")
    assert ended.document["sound"] is True
    assert ended.err == "hello\n"
    print("after", flush=True)
    os.system("echo by a child")
    assert capfd.readouterr().out == "after\nby a child\n"


def test_a_caller_that_replaced_stdout_gets_the_report(files: Files) -> None:
    files({"noisy_shop2.py": SHOP + "print('hello')\n"})
    with contextlib.redirect_stdout(io.StringIO()) as written:
        assert main(["check", "noisy_shop2:ShopRegistry", "--json"]) == 0
    assert json.loads(written.getvalue())["sound"] is True


@pytest.mark.parametrize("command", [["check", "kitchen"], ["plugins", "--check"]], ids=" ".join)
def test_a_plugin_that_hangs_is_told(command: list[str], install: Install, home: Path) -> None:
    install("kitchen", "import time\nwhile True: time.sleep(1)\n")
    program = "import sys; from pytheus.cli.__main__ import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", program, *command],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            assert running.stderr is not None
            told = running.stderr.readline()
        finally:
            # With the interpreter in which the plugin is imported, which would go on without end.
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
    assert told.startswith(f"pytheus {command[0]}: ")
    assert ("importing kitchen" if command[0] == "plugins" else "running test_") in told
    assert told.endswith(" s)\n")


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
    assert ended.code == 1
    assert all(line.startswith("pytheus check: ") for line in ended.err.splitlines())  # on a busy machine
    assert ended.out.startswith("shop:Forgetful: a class\n")
