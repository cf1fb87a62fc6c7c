"""What holds of the sources of the page, without a browser."""

from __future__ import annotations

import gzip
import re

import pytest

from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry
from tests.page.conftest import SOURCES

SCRIPTS = sorted(SOURCES.glob("*.js"))

SINKS = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment",
    "setHTML", "srcdoc", "eval(", "new Function", "javascript:", "import(", "Worker(", "XMLHttpRequest", "sendBeacon",
    "http://", "document.cookie",
)  # fmt: skip
"""What could make markup or a request of a text. The name space of SVG is an address that nothing requests."""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_makes_no_markup_of_text(path: object) -> None:
    text = path.read_text("utf-8").replace('"http://www.w3.org/2000/svg"', "")  # type: ignore[attr-defined]  # a Path
    assert [sink for sink in SINKS if sink in text] == []


def test_the_document_has_no_handlers_and_no_styles_of_elements() -> None:
    html = (SOURCES / "page.html").read_text("utf-8")
    assert re.findall(r"<[^>]*\s(?:on\w+|style)\s*=", html) == []
    assert re.findall(r'(?:src|href)="(?!data:|[a-z]+\.(?:js|css)")', html) == []


def test_every_script_is_part_of_the_document() -> None:
    html = (SOURCES / "page.html").read_text("utf-8")
    assert sorted(re.findall(r'<script src="([\w-]+\.js)"></script>', html)) == [path.name for path in SCRIPTS]


def test_the_page_is_small() -> None:
    body = expose(CollectorRegistry(), "text/html").body
    assert len(gzip.compress(body, 9)) < 60_000
