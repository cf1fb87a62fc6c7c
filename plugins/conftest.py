"""The plugins' tests have the fixtures of pytheus's own: see tests/conftest.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_FILE = Path(__file__).resolve().parents[1] / "tests" / "conftest.py"


def _share() -> None:
    # By its file, because no directory of tests is on sys.path. Under the name that pytest gives it where it runs both.
    module = sys.modules.get("tests.conftest")
    if module is None:
        spec = importlib.util.spec_from_file_location("tests.conftest", _FILE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    names = ["checkout", "make_venv", "start", "start_for_module", "start_prometheus", "together"]
    names += ["_unused_port", "_wait_until", "pytest_collection_modifyitems"]
    globals().update({name: getattr(module, name) for name in names})


_share()
