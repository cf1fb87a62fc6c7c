"""The storm of pytheus-multiprocess, whose processes count with metrics of prometheus_client.

Both libraries are asked for the sums.

See plugins/pytheus-multiprocess/tests/multiprocess/storm.py, which has the arguments as well.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prometheus_client

from pytheus import generate_metrics
from pytheus_multiprocess import multiprocess_registry
from pytheus_prometheus_client import install

if TYPE_CHECKING:
    from pytheus.registry import Registry

_STORM = Path(__file__).resolve().parents[3] / "pytheus-multiprocess/tests/multiprocess/storm.py"


class Metrics:
    """What every process counts, as `storm.Metrics`; sizes are a summary, because the other library has no more."""

    def __init__(self, directory: str) -> None:
        self.registry: Registry = multiprocess_registry(directory, process_metrics=False)
        theirs = self.theirs = prometheus_client.CollectorRegistry()
        install(self.registry, merged_endpoints=[theirs])
        self._scrapes = 0
        self.jobs = prometheus_client.Counter("jobs", "Jobs.", ["worker"], registry=theirs)
        self.seconds = prometheus_client.Histogram("seconds", "Seconds.", buckets=[1, 2], registry=theirs)
        self.sizes = prometheus_client.Summary("sizes", "Sizes.", registry=theirs)
        options: dict[str, Any] = {"registry": theirs, "multiprocess_mode": "livesum"}
        self.depth = prometheus_client.Gauge("depth", "Depth.", **options)
        self.passing = prometheus_client.Gauge("passing", "Comes and goes.", ["number"], **options)

    def half_observed(self, found: dict[str, float]) -> float:
        """The observations that kills cut in half, because each is added to the sum first."""
        return found["seconds_sum"] / 1.5 - found["seconds_count"]

    def scrape(self) -> dict[str, float]:
        """The samples as pytheus shows them and, in every second scrape, as an endpoint of prometheus_client does."""
        self._scrapes += 1
        is_theirs = self._scrapes % 2 == 0
        text = prometheus_client.generate_latest(self.theirs).decode() if is_theirs else generate_metrics(self.registry)
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines if not name.endswith("_created")}


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("storm", _STORM)
    assert spec is not None
    assert spec.loader is not None
    storm: Any = importlib.util.module_from_spec(spec)
    sys.modules["storm"] = storm
    spec.loader.exec_module(storm)
    storm.main(__file__, sys.argv[1:], Metrics)
