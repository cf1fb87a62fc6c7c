"""Lets the tests import the package `bench`, which is no part of any distribution."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent.parent / "bench"

# By its own path: with the checkout on sys.path, its pytheus would be imported in place of the installed one.
_spec = spec_from_file_location("bench", _PACKAGE / "__init__.py", submodule_search_locations=[str(_PACKAGE)])
assert _spec is not None
assert _spec.loader is not None
sys.modules["bench"] = module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["bench"])
