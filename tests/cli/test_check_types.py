"""``pytheus check``, with mypy."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Files, Pytheus
from tests.cli.programs import Ended

pytest.importorskip("mypy", reason="mypy is not installed, and these checks need it")

SHOP = """
from __future__ import annotations

from pytheus.registry import CollectorRegistry, Registry


def make() -> Registry:
    return CollectorRegistry()
"""


def typed(ended: Ended) -> tuple[str, str]:
    (finding,) = [finding for finding in ended.document["checks"] if finding["check"] == "test_it_is_typed"]
    return finding["status"], finding["message"] or ""


def test_it_finds_what_is_wrongly_typed(pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP.replace("def make() -> Registry", "def make() -> object")})
    ended = pytheus("check", "shop:make", "--json")
    assert ended.code == 1
    status, message = typed(ended)
    assert status == "failed"
    assert "Incompatible types in assignment" in message


@pytest.mark.parametrize("subject", ["shop:make", "shop.py:make"])
def test_it_accepts_what_is_rightly_typed(subject: str, pytheus: Pytheus, files: Files) -> None:
    files({"shop.py": SHOP})
    assert typed(pytheus("check", subject, "--json")) == ("passed", "")
