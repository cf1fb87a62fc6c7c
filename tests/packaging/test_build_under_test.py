"""The tests test the build that they say they test, and not the checkout that they lie in."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

import pytheus

BUILD = os.environ.get("PYTHEUS_TEST_BUILD")

installed = pytest.mark.skipif(BUILD is None, reason="PYTHEUS_TEST_BUILD is not set, as `dev.py test` does")


@installed
def test_the_package_is_the_installed_one() -> None:
    assert Path(pytheus.__file__).is_relative_to(sysconfig.get_path("purelib"))


@installed
def test_the_checkout_is_not_on_the_path(checkout: Path) -> None:
    assert checkout not in [Path(entry or os.curdir).resolve() for entry in sys.path]


@installed
def test_the_build_is_the_one_asked_for() -> None:
    assert {"pure": False, "compiled": True}[str(BUILD)] is pytheus.COMPILED
