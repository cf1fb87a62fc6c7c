"""The page for browsers: one HTML document, made of the files beside this module when it is first imported.

Rules:

- `page.html` refers to a style sheet as ``<link rel="stylesheet" href="page.css">``, and to a script as
  ``<script src="page.js"></script>``, each in a line of its own. The text of the file comes in the place of either.
- Comments in lines of their own, types and indentation of scripts are left out. No text of theirs has several lines,
  begins a line with two slashes, or has the beginning of a comment with types.
- The document has no text of the program and none of the request: the server never writes HTML.
- The content security policy allows the scripts and styles of the document, by their hashes, and connections to its own
  origin. Nothing else is loaded or run, and no text becomes markup (``require-trusted-types-for``).
  https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Final

from pytheus.registry.contract import Registry

__all__ = ["PAGE", "Page"]

_STYLE: Final = re.compile(r'<link rel="stylesheet" href="([\w-]+\.css)">')
_SCRIPT: Final = re.compile(r'<script src="([\w-]+\.js)"></script>')
_COMMENT: Final = r"/\*\*(?:(?!\*/).)*\*/"
_FOR_AUTHORS: Final = re.compile(
    rf"^[ \t]*//[^\n]*\n|^[ \t]*{_COMMENT}[ \t]*\n|{_COMMENT} ?|^[ \t]+", re.MULTILINE | re.DOTALL
)


class Page:
    """The format of the page, which is the same for every registry."""

    __slots__ = ("__weakref__", "body", "media_type", "response_headers")

    def __init__(self) -> None:
        self.media_type: Final = "text/html; charset=utf-8"
        styles: list[str] = []
        scripts: list[str] = []

        def inlined(tag: str, found: re.Match[str], hashes: list[str]) -> str:
            text = _FOR_AUTHORS.sub("", _file(found[1]))
            if f"</{tag}" in text.lower():
                raise ValueError(f"{found[1]} has the text '</{tag}', which would end the element that it is put into")
            hashes.append(_hash(text))
            return f"<{tag}>{text}</{tag}>"

        html = _STYLE.sub(lambda found: inlined("style", found, styles), _file("page.html"))
        html = _SCRIPT.sub(lambda found: inlined("script", found, scripts), html)
        self.body: Final = html.encode()
        """The document."""
        self.response_headers: Final = (
            ("Content-Security-Policy", "; ".join(_policy(styles, scripts))),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-cache"),
        )
        """The header fields that it needs besides those of every response."""

    def render(self, registry: Registry, /) -> list[bytes]:
        """Return the document, in one part."""
        return [self.body]

    def __repr__(self) -> str:
        return f"<{self.media_type}>"


def _file(name: str) -> str:
    return files("pytheus.exposition.page").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _policy(styles: list[str], scripts: list[str]) -> Iterator[str]:
    yield "default-src 'none'"
    yield " ".join(["script-src", *(scripts or ["'none'"])])
    yield " ".join(["style-src", *(styles or ["'none'"])])
    yield "img-src data:"  # the icon; without one, browsers ask for /favicon.ico
    yield "connect-src 'self'"
    yield "base-uri 'none'"
    yield "form-action 'none'"
    yield "frame-ancestors 'none'"
    yield "require-trusted-types-for 'script'"
    yield "trusted-types 'none'"


PAGE: Final = Page()
"""The page."""
