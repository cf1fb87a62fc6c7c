"""The registry keeps the contract, with a Redis and without."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import pytest

from pytheus.plugins import resolve_registry
from pytheus.registry import Registry
from pytheus.testing import RegistryConformance

if TYPE_CHECKING:
    from tests.redis.conftest import Server

_numbers = itertools.count()


def registry_at(port: int, prefix: str = "") -> Registry:
    """A registry with a namespace of its own."""
    return resolve_registry(f"redis://127.0.0.1:{port}?namespace=kit-{os.getpid()}-{next(_numbers)}&prefix={prefix}")


class TestRedisRegistry(RegistryConformance):
    gives_originals = False
    own_metrics = ("pytheus_redis_",)
    plugin_name = "redis"
    port: ClassVar[int]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _redis(cls, shared_server: Server) -> None:
        cls.port = shared_server.port

    def make_registry(self) -> Registry:
        return registry_at(self.port)

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return registry_at(self.port, prefix or "")


class TestRedisRegistryWithoutARedis(RegistryConformance):
    gives_originals = False
    own_metrics = ("pytheus_",)  # it also exposes that Redis is not available
    port: ClassVar[int]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _nothing(cls, unused_port: Callable[[], int]) -> None:
        cls.port = unused_port()

    def make_registry(self) -> Registry:
        return registry_at(self.port)
