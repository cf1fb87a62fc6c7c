"""What the thread of a store imports."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.redis.conftest import Server

PRINTS_WHAT_THREADS_IMPORT = """
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


def test_the_thread_imports_nothing_because_a_fork_would_leave_the_child_with_half_a_module(
    shared_server: Server, namespace: str
) -> None:
    command = [sys.executable, "-P", "-c", PRINTS_WHAT_THREADS_IMPORT, str(shared_server.port), namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")
