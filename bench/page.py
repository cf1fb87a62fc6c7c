"""Measures the page for browsers in a headless Chromium, by the browser's own timings, and the CPU of its server.

    python3 bench/page.py                 the table
    python3 bench/page.py --seconds 5     shorter
    python3 bench/page.py --shot page.png a screenshot as well

Needs Chromium (on Debian: apt-get install chromium), websockets, and the pytheus that is to be measured, importable.

Rules:

- The server is a process of its own, whose numbers all change ten times a second. The browser has a fresh profile.
- The paint is "first-contentful-paint". The rows are there when the first family of the list has its number.
- A task is long from 50 ms on (https://www.w3.org/TR/longtasks-1/). The longest one of each step counts, and that of
  all animation frames (https://w3c.github.io/long-animation-frames/), of which the browser reports those over 50 ms.
- The CPU is that of the thread in the task that used most, by the browser's trace. On a machine with other work, tasks
  last longer than that.
- A delay is the time from an input event of the step until the next frame, as the browser's Event Timing has it.
- The CPU of the server is that of its process, while the page is open and nothing else asks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

if __name__ == "__main__":
    # The checkout in the place of this directory; last for a server, whose pytheus is the installed one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if "--serve" in sys.argv:
        sys.path.append(sys.path.pop(0))

__all__ = ["main"]

SERIES_OF_FAMILY: Final = 20
LARGE: Final = 10_000
MARK: Final = "pytheus-bench"

OBSERVE: Final = """
globalThis.seen = { tasks: [], frames: [], events: [] };
const keep = (list, options) => new PerformanceObserver((entries) => {
  for (const entry of entries.getEntries()) list.push([entry.startTime, entry.duration]);
}).observe({ ...options, buffered: true });
keep(seen.tasks, { type: "longtask" });
keep(seen.frames, { type: "long-animation-frame" });
keep(seen.events, { type: "event", durationThreshold: 16 });
"""


class Step(NamedTuple):
    """The report of the browser on a step: the number of long tasks, and the longest times in milliseconds or 0."""

    name: str
    long_tasks: int
    longest_cpu_ms: float
    longest_task_ms: float
    longest_frame_ms: float
    longest_delay_ms: float


def main() -> int:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--serve", type=int, metavar="SERIES", help=argparse.SUPPRESS)
    arguments.add_argument("--seconds", type=float, default=15.0, help="of updates, and of the server's CPU")
    arguments.add_argument("--shot", type=Path, help="where to save a screenshot")
    options = arguments.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return 0
    steps, paint = browse(options.seconds, options.shot)
    times = f"first paint {paint['paint']:.0f} ms, rows with numbers {paint['rows']:.0f} ms"
    print(f"{times}, at 20,000 series in 501 families\n")
    print(f"{'step':32}{'CPU ms':>8}{'long tasks':>12}{'longest ms':>12}{'frame ms':>10}{'input ms':>10}")
    for step in steps:
        longest = f"{step.longest_task_ms:12.0f}{step.longest_frame_ms:10.0f}{step.longest_delay_ms:10.0f}"
        print(f"{step.name:32}{step.longest_cpu_ms:8.0f}{step.long_tasks:12}{longest}")
    for series in (1_000, 10_000):
        share, idle = server_share(series, options.seconds)
        print(f"\nserver at {series:,} series, page at 1 Hz: {share:.2%} of a core ({idle:.2%} without the page)")
    return 0


def serve(series: int) -> None:
    """Serve `series` series in families of 20, and one family of 10,000 if there are more than 1,000."""
    from pytheus import Counter, Gauge, start_http_server
    from pytheus.registry import CollectorRegistry

    registry = CollectorRegistry()
    writes: list[Callable[[], None]] = []
    for number in range(series // SERIES_OF_FAMILY):
        if number % 2:
            counter = Counter(
                f"part{number % 23}_events{number}_total", "Events of a part.", ["kind"], registry=registry
            )
            writes += [counter.labels(str(kind)).inc for kind in range(SERIES_OF_FAMILY)]
        else:
            gauge = Gauge(f"part{number % 23}_depth{number}", "Depth of a part.", ["kind"], registry=registry)
            writes += [gauge.labels(str(kind)).inc for kind in range(SERIES_OF_FAMILY)]
    if series > 1_000:
        large = Gauge("zz_large_bytes", "A family of many series.", ["user", "shard"], registry=registry)
        for number in range(LARGE):
            large.labels(f"user-{number}", str(number % 16)).set(number * 1000.5)
    server = start_http_server(0, registry=registry)
    print(server.url, flush=True)
    # Slow enough that the writes are a small part of the process's CPU.
    while True:
        for write in writes[:: max(1, len(writes) // 500)]:
            write()
        time.sleep(0.1)


class Served:
    """The server as a process."""

    def __init__(self, series: int) -> None:
        command = [sys.executable, __file__, "--serve", str(series)]
        self._process: Final = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url: Final = self._process.stdout.readline().strip()

    def cpu_seconds(self) -> float:
        """The CPU of the process so far."""
        with open(f"/proc/{self._process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def browse(seconds: float, shot: Path | None) -> tuple[list[Step], dict[str, float]]:
    """Return the steps at 10,000 series, and when the page and its rows were painted."""
    from bench.chromium import Chromium, Tab

    served = Served(10_000)
    steps: list[Step] = []
    rows = paint = 0.0

    def measured(tab: Tab, name: str, act: Callable[[], object], *, is_load: bool = False) -> None:
        config = {"includedCategories": ["toplevel", "blink.user_timing"]}
        browser.send("Tracing.start", transferMode="ReportEvents", traceConfig=config)
        begun = 0 if is_load else tab.run("performance.now()")
        act()
        tab.run(f"performance.mark({MARK!r})")
        tab.run("await new Promise((resolve) => setTimeout(resolve, 1500))")  # an event is reported later
        browser.send("Tracing.end")
        tab.wait_for(lambda: "Tracing.tracingComplete" in dict(browser.events), "the trace")
        cpu = longest_cpu_ms([part for method, event in browser.events for part in event.get("value", [])])
        browser.events.clear()
        later = f"list.filter(([at]) => at >= {begun}).map(([, length]) => length)"
        seen = tab.run(f"Object.fromEntries(Object.entries(seen).map(([kind, list]) => [kind, {later}]))")
        longest = [max(seen[kind], default=0.0) for kind in ("tasks", "frames", "events")]
        steps.append(Step(name, len(seen["tasks"]), cpu, *longest))

    def scroll(tab: Tab, selector: str) -> None:
        box = tab.run(
            f"(({{ x, y }}) => [x + 200, y + 100])(document.querySelector('{selector}').getBoundingClientRect())"
        )
        for _ in range(40):
            tab.send("Input.dispatchMouseEvent", type="mouseWheel", x=box[0], y=box[1], deltaX=0, deltaY=400)

    def wait_seconds(tab: Tab, length: float) -> None:
        tab.run(f"await new Promise((resolve) => setTimeout(resolve, {length * 1000}))")

    def type_words(tab: Tab) -> None:
        tab.press("/")
        for word in "events4", "depth", "part2 depth1", "nothing":
            tab.type(word)
            for _ in word:
                tab.press("Backspace")
        tab.press("Escape")

    def sort(tab: Tab) -> None:
        for column in "series", "rate", "change", "name":
            tab.run(f"byId('sort').value = '{column}'; byId('sort').dispatchEvent(new Event('change'))")
            wait_seconds(tab, 1)

    try:
        with Chromium() as browser, browser.tab() as tab:
            tab.emulate()
            tab.send("Page.addScriptToEvaluateOnNewDocument", source=OBSERVE)

            def load() -> None:
                nonlocal rows
                tab.open(served.url)
                tab.wait("list.families.some((family) => family.reading)")
                rows = tab.run("performance.now()")

            measured(tab, "load", load, is_load=True)
            paint = tab.run("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            measured(tab, f"updates for {seconds:.0f} s", lambda: wait_seconds(tab, seconds))
            measured(tab, "typing in the search", lambda: type_words(tab))
            measured(tab, "scrolling the list", lambda: scroll(tab, "#list"))
            measured(tab, "sorting by each column", lambda: sort(tab))
            if shot is not None:
                tab.screenshot(shot)
            measured(tab, "opening 10,000 series", lambda: tab.run("openFamily(page.families.get('zz_large_bytes'))"))
            measured(tab, f"their updates for {seconds:.0f} s", lambda: wait_seconds(tab, seconds))
            measured(tab, "scrolling them", lambda: scroll(tab, "#series"))
            measured(
                tab,
                "sorting them",
                lambda: tab.run("document.querySelector('#series [data-column=value] button').click()"),
            )
            measured(tab, "counting their cardinality", lambda: tab.run("detail.openTab('cardinality')"))
            if tab.errors:
                raise RuntimeError(f"the page has errors: {tab.errors}")
    finally:
        served.close()
    return steps, {"paint": paint, "rows": rows}


def longest_cpu_ms(trace: Sequence[dict[str, Any]]) -> float:
    """Return the CPU of the task that used most in the main thread of the page, which left the mark."""
    process = next(part["pid"] for part in trace if part["name"] == MARK)
    thread = next(
        part["tid"]
        for part in trace
        if part["name"] == "thread_name" and part["pid"] == process and part["args"]["name"] == "CrRendererMain"
    )
    tasks = [part.get("tdur", 0) for part in trace if (part["pid"], part["tid"]) == (process, thread)]
    return max(tasks, default=0) / 1000


def server_share(series: int, seconds: float) -> tuple[float, float]:
    """Return the share of a core that the server uses with the page open, and without."""
    from bench.chromium import Chromium

    served = Served(series)
    try:
        time.sleep(1)
        start, begun = served.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        idle = (served.cpu_seconds() - start) / (time.monotonic() - begun)
        with Chromium() as browser, browser.tab() as tab:
            tab.open(served.url)
            tab.wait("list.families.some((family) => family.reading > 2)")
            start, begun = served.cpu_seconds(), time.monotonic()
            tab.run(f"await new Promise((resolve) => setTimeout(resolve, {seconds * 1000}))")
            share = (served.cpu_seconds() - start) / (time.monotonic() - begun)
    finally:
        served.close()
    return share - idle, idle


if __name__ == "__main__":
    sys.exit(main())
