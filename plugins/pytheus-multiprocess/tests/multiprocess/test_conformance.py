"""The registry keeps the contract, and its distribution does what a plugin's should."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import pytest

from pytheus.registry import Registry
from pytheus.testing import RegistryConformance
from pytheus_multiprocess import multiprocess_registry


class TestMultiprocessRegistry(RegistryConformance):
    plugin_name = "multiprocess"
    gives_originals = False
    _place: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _in_a_directory(self, tmp_path: Path) -> None:
        type(self)._place = str(tmp_path)
        type(self).plugin_address = f"multiprocess://{quote(str(tmp_path))}/plugin?process_metrics=false"

    def make_registry(self) -> Registry:
        return multiprocess_registry(tempfile.mkdtemp(dir=self._place), process_metrics=False)

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return multiprocess_registry(tempfile.mkdtemp(dir=self._place), prefix=prefix, process_metrics=False)
