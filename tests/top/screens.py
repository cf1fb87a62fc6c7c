"""A screen with the readings of some metrics, and the keys that are pressed."""

from __future__ import annotations

import math

from pytheus.native_buckets import NativeHistogram
from pytheus.top.history import History
from pytheus.top.lines import text_of
from pytheus.top.screen import Screen, Status
from pytheus.top.state import State
from pytheus.top.table import Table
from pytheus.top.values import Distribution, FamilyInfo, Series, Snapshot, Value

FAMILIES = (
    FamilyInfo("requests_total", "counter", "Requests."),
    FamilyInfo("queue_size", "gauge", "Jobs that wait.\x1b[2J"),
    FamilyInfo("wait_seconds", "histogram", "Times.", "seconds"),
    FamilyInfo("query_seconds", "histogram", "Times of queries."),
    FamilyInfo("sizes_bytes", "summary"),
    FamilyInfo("process_start_time_seconds", "gauge"),
)
TARGET = "http://localhost:9464/metrics"


def snapshot(number: int) -> Snapshot:
    """The reading of that number, a second after the one before."""
    values: dict[Series, Value] = {}
    for index, path in enumerate(["/", "/a\x1b[31m", "/中文", "/" + "x" * 200]):
        values[Series("requests_total", "requests_total", (("code", "200"), ("path", path)))] = float(number * index)
    values[Series("queue_size", "queue_size", (("queue", "mail"),))] = float(number % 3)
    values[Series("queue_size", "queue_size", (("queue", "\u202elogs"),))] = math.nan
    counts = (2.0 * number, 3.0 * number, 3.0 * number)
    values[Series("wait_seconds", "wait_seconds", ())] = Distribution(
        counts[-1], 1.0 * number, (0.1, 0.5, math.inf), counts
    )
    native = NativeHistogram(0, 0.0, 1.0 * number, {-1: 2.0 * number, 2: 1.0 * number}, {})
    values[Series("query_seconds", "query_seconds", ())] = Distribution(4.0 * number, 1.0 * number, (), (), (), native)
    values[Series("sizes_bytes", "sizes_bytes", ())] = Distribution(
        1.0 * number, 2048.0 * number, quantiles=((0.5, 2048.0), (0.99, math.nan))
    )
    values[Series("process_start_time_seconds", "process_start_time_seconds", ())] = 1.5e9
    return Snapshot(FAMILIES, list(values), list(values.values()))


class Shown:
    """A screen of a size, without a terminal."""

    def __init__(
        self, columns: int = 80, height: int = 24, *, readings: int = 3, ascii_only: bool = False, error: str = ""
    ) -> None:
        self.columns, self.height = columns, height
        self.history = History()
        for number in range(1, readings + 1):
            self.history.add(float(number), snapshot(number))
        self.state = State()
        self.screen = Screen(self.state, Table(self.history, ascii_only=ascii_only))
        self.status = Status(TARGET, error=error)

    def press(self, *keys: str) -> Shown:
        for key in keys:
            self.state.press(key, self.screen.rows, self.screen.page(self.height))
        return self

    @property
    def lines(self) -> list[str]:
        """The lines as a terminal shows them."""
        return [text_of(line) for line in self.screen.lines(self.columns, self.height, self.status)]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def chosen(self) -> str:
        """The row of the cursor."""
        [line] = [line for line in self.lines if line.startswith(">")]
        return line
