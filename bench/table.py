"""The table, as text for a terminal, as Markdown, and as JSON.

A cell is the figure and, in brackets, how many times as good as prometheus_client's it is. Smaller figures are better.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from bench.libraries import REFERENCE, Library
from bench.results import Results
from bench.rows import ROWS, Row

__all__ = ["as_json", "as_markdown", "as_text", "markdown_line", "print_table", "rounded"]

DASH = "-"


def as_text(results: Results, columns: Sequence[Library]) -> str:
    """The table in aligned columns, with the notes below."""
    cells = [_heads(columns), *(_cells(results, columns, row) for row in ROWS if _measured(results, columns, row))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        title, unit, *figures, goal = line
        middle = [figure.rjust(width) for figure, width in zip(figures, widths[2:-1], strict=True)]
        lines.append("  ".join([title.ljust(widths[0]), unit.ljust(widths[1]), *middle, goal]).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *results.notes, *results.problems]) + "\n"


def as_markdown(results: Results, columns: Sequence[Library]) -> str:
    """The table as docs/explanation/speed.md has it, with the notes as a list below."""
    heads = _heads(columns)
    lines = [markdown_line(heads), markdown_line(["---", "---", *(["---:"] * len(columns)), "---"])]
    for row in ROWS:
        if _measured(results, columns, row):
            lines.append(markdown_line(_cells(results, columns, row)))
    return "\n".join([*lines, "", *(f"- {note}" for note in (*results.notes, *results.problems))]) + "\n"


def as_json(results: Results, columns: Sequence[Library]) -> str:
    """Every figure in its row's unit, unrounded, and every goal."""
    rows = [
        {
            "row": row.key,
            "title": row.title,
            "unit": row.unit,
            "figures": {column.key: results.value(column.key, row.key) for column in columns},
            "goals": [
                {
                    "goal": goal.text,
                    "ratio": results.ratio(goal.column, row.key, goal.against, goal.row),
                    "least_ratio": goal.least_ratio,
                    "reached": results.reached(goal, row.key),
                }
                for goal in row.goals
            ],
        }
        for row in ROWS
    ]
    whole = {
        "rows": rows,
        "added": results.added,
        "lost": results.lost,
        "notes": results.notes,
        "problems": results.problems,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def print_table(rows: Iterable[Sequence[str]], *, markdown: bool) -> None:
    """Print rows of cells as they are measured; the first has the heads."""
    for number, cells in enumerate(rows):
        if markdown:
            print(markdown_line(cells), flush=True)
            if number == 0:
                print(markdown_line(["---"] * len(cells)), flush=True)
        else:
            print(f"{cells[0]:52}{''.join(f'{cell:>20}' for cell in cells[1:])}", flush=True)


def _heads(columns: Sequence[Library]) -> list[str]:
    return ["", "unit", *(column.title for column in columns), "goal"]


def _measured(results: Results, columns: Sequence[Library], row: Row) -> bool:
    return any(results.value(column.key, row.key) is not None for column in columns)


def _cells(results: Results, columns: Sequence[Library], row: Row) -> list[str]:
    figures = [_figure(results, column, row) for column in columns]
    return [row.title, row.unit, *figures, _goals(results, row)]


def _figure(results: Results, column: Library, row: Row) -> str:
    value = results.value(column.key, row.key)
    if value is None:
        return DASH
    text = rounded(value)
    # A bare interpreter is the same whatever is installed beside it.
    ratio = None if row.key in ("bare", "pause_of_nothing") else results.ratio(column.key, row.key)
    if ratio is not None and column.key != REFERENCE:
        text += f" ({rounded(ratio)}x)"
    return text


def _goals(results: Results, row: Row) -> str:
    texts = []
    for goal in row.goals:
        reached = results.reached(goal, row.key)
        if reached is None:
            texts.append(f"{goal.text} ?")
        elif reached:
            texts.append(f"{goal.text} ✓")
        else:
            ratio = results.ratio(goal.column, row.key, goal.against, goal.row) or 0.0
            texts.append(f"{goal.text} ✗ {_got(goal.text, ratio)}")
    return ", ".join(texts)


def _got(goal: str, ratio: float) -> str:
    """The ratio as the goal speaks of it: a goal that says "at most" means the inverse."""
    return f"{1 / ratio if '≤' in goal else ratio:.2f}x"


def rounded(value: float) -> str:
    """The value with three digits, which are more than the noise allows for."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown_line(cells: Sequence[str]) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
