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


@pytest.mark.parametrize("program", ["./program.py", "../programs/program.py", "link.py", "linked/program.py"])
def test_a_script_may_be_named_in_any_way(programs: Programs, program: str) -> None:
    programs.write("program.py", SEES_ITSELF)
    (programs.directory / "link.py").symlink_to("program.py")
    (programs.directory / "linked").symlink_to(programs.directory, target_is_directory=True)

    assert programs.under_pytheus(program) == programs.under_python(program)


def test_a_script_may_be_named_absolutely(programs: Programs) -> None:
    programs.write("program.py", SEES_ITSELF)
    program = str(programs.directory / "program.py")

    assert programs.under_pytheus(program) == programs.under_python(program)


@pytest.mark.parametrize("program", ["app", "./app", "app/", "app.zip"])
@pytest.mark.parametrize("source", [SEES_ITSELF, FAILS])
def test_directories_and_zip_files_are_programs(programs: Programs, program: str, source: str) -> None:
    programs.write("app/__main__.py", source)
    with zipfile.ZipFile(programs.directory / "app.zip", "w") as archive:
        archive.write(programs.directory / "app" / "__main__.py", "__main__.py")

    assert programs.under_pytheus(program, "a") == programs.under_python(program, "a")


@pytest.mark.parametrize("module", ["shop", "shop.web", "shop.web.app"])
def test_packages_and_what_is_in_them_are_programs(programs: Programs, module: str) -> None:
    programs.write("shop/__init__.py", "print('imported', __name__)")
    programs.write("shop/__main__.py", "from .web import app\n" + textwrap.dedent(SEES_ITSELF))
    programs.write("shop/web/__init__.py", "print('imported', __name__)")
    programs.write("shop/web/__main__.py", SEES_ITSELF)
    programs.write(
        "shop/web/app.py", "from . import __name__ as parent; print(parent)\n" + textwrap.dedent(SEES_ITSELF)
    )

    assert programs.under_pytheus("-m", module, "a") == programs.under_python("-m", module, "a")


def test_a_module_of_a_package_that_extends_its_path_is_found(programs: Programs) -> None:
    programs.write("shop/__init__.py", "__path__.append(__path__[0] + '/../more')")
    programs.write("more/app.py", SEES_ITSELF)

    assert programs.under_pytheus("-m", "shop.app") == programs.under_python("-m", "shop.app")


def test_a_package_that_fails_to_import_is_reported_by_python(programs: Programs) -> None:
    programs.write("shop/__init__.py", "raise ImportError('no shop today')")
    programs.write("shop/__main__.py", "")

    assert programs.under_pytheus("-m", "shop") == programs.under_python("-m", "shop")


def test_a_module_without_code_is_reported_by_python(programs: Programs) -> None:
    assert programs.under_pytheus("-m", "sys") == programs.under_python("-m", "sys")


def test_a_compiled_script_is_a_program(programs: Programs) -> None:
    import py_compile

    programs.write("program.py", "import sys; print(sys.argv, __file__, type(__loader__).__name__)")
    py_compile.compile(str(programs.directory / "program.py"), cfile=str(programs.directory / "compiled.pyc"))

    assert programs.under_pytheus("compiled.pyc") == programs.under_python("compiled.pyc")


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

    assert programs.under_pytheus("program.py") == programs.under_python("program.py")


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

    expected = programs.under_python(*program, options=options)

    assert programs.under_pytheus(*program, options=options) == expected


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

    assert programs.under_pytheus("program.py") == programs.under_python("program.py")


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
