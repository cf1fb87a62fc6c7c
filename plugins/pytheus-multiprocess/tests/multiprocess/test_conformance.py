"""The registry keeps the contract, also where no series fits into a file, and its distribution does as a plugin's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import pytest

from pytheus.registry import Registry
from pytheus.shards import ShardedRegistry
from pytheus.testing import RegistryConformance
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore


class TestMultiprocessRegistry(RegistryConformance):
    plugin_name = "multiprocess"
    gives_originals = False
    _parent: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _in_a_directory(self, tmp_path: Path) -> None:
        type(self)._parent = str(tmp_path)
        type(self).plugin_address = f"multiprocess://{quote(str(tmp_path))}/plugin?process_metrics=false"

    def make_registry(self) -> Registry:
        return multiprocess_registry(tempfile.mkdtemp(dir=self._parent), process_metrics=False)

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return multiprocess_registry(tempfile.mkdtemp(dir=self._parent), prefix=prefix, process_metrics=False)


class TestMultiprocessRegistryWithoutSpace(RegistryConformance):
    gives_originals = False
    own_metrics = ("pytheus_multiprocess_unshared_series",)

    @pytest.fixture(autouse=True)
    def _in_a_directory(self, tmp_path: Path) -> None:
        self._parent = str(tmp_path)

    def make_registry(self) -> Registry:
        options = MultiprocessOptions(
            tempfile.mkdtemp(dir=self._parent),
            index_step_bytes=1 << 17,
            max_size_bytes=1 << 16,
            process_metrics=False,
        )
        return ShardedRegistry(MultiprocessStore(options))
