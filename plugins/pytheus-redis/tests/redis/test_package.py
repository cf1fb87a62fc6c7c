"""The distribution."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytheus_redis
from pytheus_redis.options import SCHEMES

if TYPE_CHECKING:
    from tests.redis.conftest import Server

_TELLS_WHAT_THREADS_IMPORT = """
import sys, threading

class Watcher:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            imported.append(name)

imported = []
from pytheus import Counter, generate_metrics
from pytheus_redis import RedisOptions, redis_registry

sys.meta_path.insert(0, Watcher)
registry = redis_registry(RedisOptions(host="localhost", port=int(sys.argv[1]), namespace=sys.argv[2]))
Counter("hits_total", "H.", registry=registry).inc(0.1)
text = generate_metrics(registry)
assert "hits_total 0.1" in text, text
registry.close()
print(imported)
"""


def test_every_scheme_is_an_entry_point_of_the_one_module() -> None:
    found = {point.name: point.load() for point in entry_points(group="pytheus") if point.value == "pytheus_redis"}
    assert found == dict.fromkeys(SCHEMES, pytheus_redis)


def test_threads_import_nothing_for_a_fork_in_between_would_leave_the_child_with_half_a_module(
    shared_server: Server, namespace: str
) -> None:
    command = [sys.executable, "-P", "-c", _TELLS_WHAT_THREADS_IMPORT, str(shared_server.port), namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")
