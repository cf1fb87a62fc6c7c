"""A program may close every descriptor and use the numbers again: they are not written, read or closed afterwards."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.redis.conftest import Server

_REUSES = """
import os, socket, sys
from pytheus import Counter, generate_metrics
from pytheus.plugins import resolve_registry

registry = resolve_registry(sys.argv[1])
jobs = Counter("jobs_total", "Jobs done.", registry=registry)
jobs.inc()
assert "\\njobs_total 1.0\\n" in generate_metrics(registry)

os.closerange(3, 256)
pairs = [socket.socketpair() for _ in range(20)]
for one, other in pairs:
    one.sendall(b"theirs")
    other.sendall(b"answer")

jobs.inc()
assert "\\njobs_total 2.0\\n" in generate_metrics(registry)
child = os.fork()
if child == 0:
    jobs.inc(5)
    registry.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert "\\njobs_total 7.0\\n" in generate_metrics(registry)
registry.close()
for one, other in pairs:
    one.settimeout(60)
    other.settimeout(60)
    assert one.recv(64) == b"answer"
    assert other.recv(64) == b"theirs"
print("unharmed")
"""


def test_descriptors_that_the_program_has_closed_and_uses_again_are_left_alone(
    shared_server: Server, namespace: str
) -> None:
    url = f"redis://127.0.0.1:{shared_server.port}?namespace={namespace}&interval_seconds=9"
    ended = subprocess.run([sys.executable, "-P", "-c", _REUSES, url], capture_output=True, text=True, timeout=100)
    assert ended.stdout == "unharmed\n", ended.stderr
