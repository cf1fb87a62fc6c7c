"""Which programs `pytheus run` runs: scripts, packages, directories, zip files, compiled files."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import textwrap
import zipfile

import pytest

from tests.cli.programs import FAILS, PATIENCE_SECONDS, SEES_ITSELF, Programs


@pytest.mark.parametrize(
    "program", ["./program.py", "../programs/program.py", "{directory}/program.py", "link.py", "linked/program.py"]
)
def test_a_script_may_be_named_in_any_way(programs: Programs, program: str) -> None:
    programs.write("program.py", SEES_ITSELF)
    (programs.directory / "link.py").symlink_to("program.py")
    (programs.directory / "linked").symlink_to(programs.directory, target_is_directory=True)
    programs.expect_the_same(program.format(directory=programs.directory))


@pytest.mark.parametrize("program", ["app", "./app", "app/", "app.zip"])
@pytest.mark.parametrize("source", [SEES_ITSELF, FAILS])
def test_directories_and_zip_files_are_programs(programs: Programs, program: str, source: str) -> None:
    programs.write("app/__main__.py", source)
    with zipfile.ZipFile(programs.directory / "app.zip", "w") as archive:
        archive.write(programs.directory / "app" / "__main__.py", "__main__.py")
    programs.expect_the_same(program, "a")


@pytest.mark.parametrize("module", ["shop", "shop.web", "shop.web.app"])
def test_packages_and_what_is_in_them_are_programs(programs: Programs, module: str) -> None:
    programs.write("shop/__init__.py", "print('imported', __name__)")
    programs.write("shop/__main__.py", "from .web import app\n" + textwrap.dedent(SEES_ITSELF))
    programs.write("shop/web/__init__.py", "print('imported', __name__)")
    programs.write("shop/web/__main__.py", SEES_ITSELF)
    programs.write(
        "shop/web/app.py", "from . import __name__ as parent; print(parent)\n" + textwrap.dedent(SEES_ITSELF)
    )
    programs.expect_the_same("-m", module, "a")


@pytest.mark.parametrize(
    ("files", "module"),
    [
        pytest.param(
            {"shop/__init__.py": "__path__.append(__path__[0] + '/../more')", "more/app.py": SEES_ITSELF},
            "shop.app",
            id="in a package that extends its path",
        ),
        pytest.param(
            {"shop/__init__.py": "raise ImportError('no shop today')", "shop/__main__.py": ""},
            "shop",
            id="package that fails to import",
        ),
        pytest.param({}, "sys", id="module without code"),
    ],
)
def test_a_module_is_found_or_reported_by_python(programs: Programs, files: dict[str, str], module: str) -> None:
    for path, source in files.items():
        programs.write(path, source)
    programs.expect_the_same("-m", module)


def test_a_compiled_script_is_a_program(programs: Programs) -> None:
    import py_compile

    programs.write("program.py", "import sys; print(sys.argv, __file__, type(__loader__).__name__)")
    py_compile.compile(str(programs.directory / "program.py"), cfile=str(programs.directory / "compiled.pyc"))
    programs.expect_the_same("compiled.pyc")


@pytest.mark.parametrize(
    "source",
    [
        b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n",
        b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\n",
        b"print('a')\r\nprint('b')\r\n",
        b"",
    ],
    ids=["declared encoding", "byte order mark", "carriage returns", "empty"],
)
def test_a_script_is_decoded_as_python_decodes_it(programs: Programs, source: bytes) -> None:
    programs.write("program.py", source)
    programs.expect_the_same("program.py")


@pytest.mark.parametrize(
    "options",
    [["-P"], ["-O"], ["-X", "dev"], ["-W", "error"], ["-X", "faulthandler", "-u"]],
    ids=" ".join,
)
@pytest.mark.parametrize("program", [["program.py"], ["-m", "program"], ["app"]], ids=" ".join)
def test_the_interpreters_options_hold(programs: Programs, options: list[str], program: list[str]) -> None:
    programs.write("program.py", SEES_ITSELF)
    programs.write("app/__main__.py", SEES_ITSELF)
    if options == ["-P"] and program[0] == "-m":
        pytest.skip("the module is not found with that")
    programs.expect_the_same(*program, options=options)


def test_a_program_can_start_itself_again(programs: Programs) -> None:
    programs.write(
        "program.py",
        """
        import os, sys
        print(sys.argv)
        if "again" not in sys.argv:
            os.execv(sys.executable, [*sys.orig_argv, "again"])
        """,
    )
    programs.expect_the_same("program.py")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_from_outside_ends_it_the_same_way(programs: Programs, number: signal.Signals) -> None:
    programs.write("program.py", "import time; print('ready', flush=True)\nwhile True: time.sleep(0.05)\n")
    statuses = []
    for entry in ([], ["-m", "pytheus", "run", "--quiet", "--port", "0"]):
        with subprocess.Popen(
            [sys.executable, *entry, "program.py"],
            cwd=programs.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert select.select([process.stdout], [], [], PATIENCE_SECONDS)[0]
                assert process.stdout.readline() == "ready\n"
                process.send_signal(number)
                statuses.append(process.wait(PATIENCE_SECONDS))
            finally:
                process.kill()

    assert statuses == [-number, -number]
