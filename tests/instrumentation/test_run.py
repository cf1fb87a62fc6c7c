"""`pytheus run --instrument`, by flag, variable and file, in the program and in processes that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.conftest import Start

pytestmark = pytest.mark.once

FLASK = """
import os
from flask import Flask

app = Flask("shop")
app.get("/items/<item>")(lambda item: item)

if __name__ == "__main__":
    print(app.test_client().get("/items/5").text, os.environ["PYTHEUS_INSTRUMENT"])
"""
FASTAPI = """
from fastapi import FastAPI

app = FastAPI()
app.get("/items/{item}")(lambda item: int(item))
"""
LITESTAR = """
from litestar import Litestar, get
from litestar.params import FromPath

@get("/items/{item:int}")
async def item(item: FromPath[int]) -> int:
    return item

app = Litestar([item])
"""
DJANGO = """
import sys
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-", DEBUG=True)
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("items/<item>", lambda request, item: HttpResponse(item))]
execute_from_command_line(sys.argv)
"""
RUN = (sys.executable, "-P", "-m", "pytheus", "run", "--port", "0")


def ran(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (directory / "shop.py").write_text(FLASK)
    command = [*RUN, *arguments]
    return subprocess.run(command, cwd=directory, env=os.environ | environ, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_by_flag_variable_and_file(way: str, tmp_path: Path) -> None:
    if way == "file":
        (tmp_path / "pyproject.toml").write_text('[tool.pytheus.run]\ninstrument = "auto"\n')
    flags = ["--instrument", "auto"] if way == "flag" else []
    done = ran(tmp_path, *flags, "shop.py", **({"PYTHEUS_INSTRUMENT": "auto"} if way == "variable" else {}))
    assert (done.returncode, done.stdout) == (0, "5 auto\n")
    serving, measuring = done.stderr.splitlines()
    assert serving.startswith("pytheus: serving metrics at ")
    assert measuring.startswith("pytheus: measuring flask 3")


def test_quiet_says_nothing(tmp_path: Path) -> None:
    done = ran(tmp_path, "--quiet", "--instrument", "flask", "shop.py")
    assert (done.stdout, done.stderr) == ("5 flask\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--instrument", "flsk"), "--instrument takes frameworks, or auto for all (starlette, fastapi, "),
        (("--instrument=",), "--instrument takes a value but got an empty one"),
        (("--instrument",), "no program was given"),
    ],
)
def test_what_is_not_valid_is_refused_before_the_program_starts(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = ran(tmp_path, *arguments, "shop.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (FLASK, "-m flask --app shop run --port {port}"),
        (FLASK, "-m waitress --listen 127.0.0.1:{port} shop:app"),
        (FASTAPI, "-m uvicorn shop:app --port {port}"),
        pytest.param(FASTAPI, "-m hypercorn shop:app --workers 0 -b 127.0.0.1:{port}", marks=pytest.mark.slow),
        pytest.param(LITESTAR, "-m litestar --app shop:app run --port {port}", marks=pytest.mark.slow),
        pytest.param(DJANGO, "shop.py runserver --noreload 127.0.0.1:{port}"),
    ],
)
def test_a_server(
    source: str,
    command: str,
    tmp_path: Path,
    start: Start,
    unused_port: Callable[[], int],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    (tmp_path / "shop.py").write_text(source)
    port = unused_port()
    program = start(*RUN, "--instrument", "auto", *command.format(port=port).split(), cwd=tmp_path)
    metrics = program.wait_for(r"pytheus: serving metrics at (\S+)")[1]

    def answer() -> str | None:
        assert program.process.poll() is None, program.output
        try:
            return httpx.get(f"http://127.0.0.1:{port}/items/5", timeout=60).text
        except httpx.TransportError:
            return None

    wait_until(answer, "the server")
    assert answer() == "5"

    def counted() -> bool:
        return re.search(r'_count{.*http_route="/items/.*item.*} 2\.0$', httpx.get(metrics).text, re.M) is not None

    wait_until(counted, "both requests to be counted")
    assert len([line for line in program.lines if line.startswith("pytheus: measuring ")]) == 1
