"""How much is measured: the whole run, and the quick one."""

from __future__ import annotations

from typing import NamedTuple

from bench.rows import BIGGEST, SCALES

__all__ = ["QUICK", "WHOLE", "Plan"]


class Plan(NamedTuple):
    """The settings that each library's process gets; the Go program reads them as well.

    `rounds` is how often each library has its turn at calls and small scrapes. In a turn each call is timed in
    `windows` windows of `window_seconds`; each scrape as often as fits into `scrape_seconds`, and the biggest into
    `biggest_seconds`, once at least. `largest` is the number of series of the biggest scrape. `imports` is how many
    interpreters are started for each library, `footprints` how many series are made to weigh one.
    """

    rounds: int
    windows: int
    window_seconds: float
    scrape_seconds: float
    biggest_seconds: float
    largest: int
    imports: int
    footprints: int

    def scales(self) -> dict[str, int]:
        """The rows of growing scrapes that are measured, with their number of series."""
        return {row: count for row, count in SCALES.items() if count <= self.largest}


WHOLE = Plan(
    rounds=5,
    windows=30,
    window_seconds=0.002,
    scrape_seconds=0.25,
    biggest_seconds=3.0,
    largest=BIGGEST,
    imports=15,
    footprints=10_000,
)

QUICK = Plan(
    rounds=2,
    windows=10,
    window_seconds=0.001,
    scrape_seconds=0.05,
    biggest_seconds=0.0,
    largest=SCALES["scale_100k"],
    imports=4,
    footprints=10_000,
)
