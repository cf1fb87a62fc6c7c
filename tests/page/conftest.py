"""A Chromium for all tests of the page, and servers of registries to look at.

The tests skip where Chromium is absent. `tests.bench.conftest` makes the package `bench` importable, whose browser is
also the one of the figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import pytheus.exposition
import tests.bench.conftest  # noqa: F401  # see above
from bench.chromium import Chromium, Tab, program
from pytheus import start_http_server
from pytheus.registry import Registry

SOURCES = Path(pytheus.exposition.__file__).parent / "page"

Opener = Callable[..., Tab]


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    """One browser for all tests of a process."""
    if program() is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with Chromium() as browser:
        yield browser


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Tab]:
    """A tab of its own, on no page. The test fails if its console has an error that the test did not remove."""
    with browser.tab() as tab:
        tab.emulate()
        yield tab
        assert tab.errors == []


@pytest.fixture
def show(tab: Tab) -> Iterator[Opener]:
    """Call it with a registry, a fragment, and options of the server: shows the page of the registry, and its families.

    The test fails if the page requests anything but its own path.
    """
    with ExitStack() as servers:
        allowed: list[str] = []

        def open_page(registry: Registry, fragment: str = "", **options: Any) -> Tab:
            server = servers.enter_context(start_http_server(0, registry=registry, **options))
            allowed.append(server.url)
            tab.open(server.url + fragment)
            tab.wait("page.data !== null")
            return tab

        yield open_page
    strange = [url for url in tab.requests if not url.startswith((*allowed, "data:")) and url != "about:blank"]
    assert strange == []


@pytest.fixture(scope="module")
def scripts(browser: Chromium) -> Iterator[Tab]:
    """A blank page with the functions of the page that need no document."""
    with browser.tab() as tab:
        for name in "format", "protobuf", "histogram", "family", "promql":
            tab.run((SOURCES / f"{name}.js").read_text("utf-8"))
        yield tab
        assert tab.errors == []


def literal(value: object) -> str:
    """A value as JavaScript, without loss."""
    if isinstance(value, float):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(value), repr(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{literal(held)}" for key, held in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(literal, value)) + "]"
    return json.dumps(value)


def number(text: object) -> float:
    """A number that JavaScript wrote as text, because JSON has neither infinities nor NaN."""
    return float(str(text).replace("Infinity", "inf"))
