"""The tables that the bench writes: in README.md and docs/explanation/speed.md, the first of a section each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.libraries import Library
from bench.results import Results
from bench.rows import ROWS
from bench.table import as_markdown, markdown_line, rounded

__all__ = ["README_ROWS", "SPEED", "figures_table", "replace_table", "write_results"]

CHECKOUT = Path(__file__).resolve().parent.parent
SPEED = CHECKOUT / "docs" / "explanation" / "speed.md"

README_ROWS = {
    "inc": "`counter.inc()`",
    "labels_by_keyword": '`labels(method="GET", code="200").inc()`',
    "observe": "`histogram.observe(0.3)`, 11 buckets",
    "scrape_changed": "scrape of 10,000 counters, all changed",
    "histogram_scraped": "memory per histogram with 2 labels, scraped",
}
"""The rows of README.md, with their titles there."""

README_COLUMNS = {
    "pytheus": "pytheus, compiled",
    "pytheus_pure": "pytheus, pure Python",
    "prometheus_client": "prometheus_client",
}


def write_results(results: Results, columns: Sequence[Library], checkout: Path = CHECKOUT) -> None:
    """Write the table of all rows, and the few rows of README.md."""
    replace_table(checkout / SPEED.relative_to(CHECKOUT), "Results", as_markdown(results, columns))
    units = {row.key: row.unit for row in ROWS}
    lines = [["", *README_COLUMNS.values()]]
    for row, title in README_ROWS.items():
        values = [results.value(column, row) for column in README_COLUMNS]
        lines.append([title, *("-" if value is None else f"{rounded(value)} {units[row]}" for value in values)])
    replace_table(checkout / "README.md", "Speed", figures_table(lines))


def figures_table(lines: Iterable[Sequence[str]]) -> str:
    """Return the lines as Markdown, the first as heads; all columns but the first have figures."""
    heads, *others = lines
    return "\n".join(map(markdown_line, [heads, ["---", *(["---:"] * (len(heads) - 1))], *others]))


def replace_table(document: Path, section: str, text: str) -> None:
    """Replace the section's table and the list that follows it; raises `LookupError` unless there is one."""
    table = re.compile(rf"(^## {section}\n(?:(?![#|]).*\n)*)(?:\|.*\n)+(?:\n(?:- .*\n)+)?", re.MULTILINE)
    after, found = table.subn(lambda match: f"{match[1]}{text.strip()}\n", document.read_text("utf-8"))
    if found != 1:
        raise LookupError(f"{document} has {found} sections {section!r} with a table, but expected one")
    document.write_text(after, "utf-8")
