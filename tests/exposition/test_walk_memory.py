"""Scrapes use the memory of those before them."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the allocator of glibc")

_PROGRAM = """
import mmap, resource, sys
from pytheus import Histogram, generate_metrics
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry

registry = CollectorRegistry()
histogram = Histogram("latency_seconds", "Latency.", ["path"], registry=registry)
for number in range(1000):
    histogram.labels(f"/{number}").observe(0.3)
scrape = {
    "text": lambda: generate_metrics(registry).encode(),
    "exposition": lambda: expose(registry, "text/plain").body,
}[sys.argv[1]]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    scrape()
before = faults()
for _ in range(10):
    scrape()
print((faults() - before) * mmap.PAGESIZE / 10 / len(scrape()))
"""


@pytest.mark.parametrize("scrape", ["text", "exposition"])
def test_a_scrape_gets_little_memory_from_the_system(scrape: str) -> None:
    command = [sys.executable, "-P", "-c", _PROGRAM, scrape]
    share = float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    # Of the size of its text; more than 3 without memory that stays with the process.
    assert share < 0.5
