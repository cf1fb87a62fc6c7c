"""Metrics that measure code, and a stopwatch that shows what they measured."""

from __future__ import annotations

import asyncio
import time

import pytest

from pytheus import Counter, Gauge, Histogram


class Stopwatch:
    """Works until the clock has moved on, and knows for how long: what was measured around it took longer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def work(self) -> None:
        start = time.perf_counter()
        while self.seconds < 0.001:
            self.seconds = time.perf_counter() - start

    async def work_async(self) -> None:
        start = time.perf_counter()
        while self.seconds < 0.001:
            await asyncio.sleep(0)
            self.seconds = time.perf_counter() - start


@pytest.fixture
def latency() -> Histogram:
    return Histogram("latency_seconds", "Latency.", registry=None)


@pytest.fixture
def progress() -> Gauge:
    return Gauge("in_progress", "In progress.", registry=None)


@pytest.fixture
def failures() -> Counter:
    return Counter("failures_total", "Failures.", registry=None)


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()
