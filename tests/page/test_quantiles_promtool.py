"""Quantiles are those that Prometheus itself computes of the same buckets, by its `promtool test rules`."""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from bench.chromium import Tab
from pytheus.metrics import NativeBuckets
from tests.e2e.scraped import DOWNLOADED
from tests.page.conftest import literal, number
from tests.page.test_quantiles import as_native, observed

QUANTILES: Final = (0.0, 0.1, 0.37, 0.5, 0.8, 0.95, 0.999, 1.0)
PROGRAMS: Final = [
    *[program for program in [shutil.which("promtool")] if program],
    *map(str, sorted(DOWNLOADED.glob("*/usr/bin/promtool"))),
]


def version(program: str) -> tuple[int, int]:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", output.stdout + output.stderr)
    assert found is not None
    return int(found[1]), int(found[2])


def computed(program: str, folder: Path, series: dict[str, str], expressions: list[str]) -> list[float]:
    """The value of each expression, NaN where it has none. What promtool gets it tells as failures."""
    lines = ["evaluation_interval: 1m", "tests:", "  - interval: 1m", "    input_series:"]
    for name, values in series.items():
        lines += [f"      - series: '{name}'", f"        values: '{values}'"]
    lines.append("    promql_expr_test:")
    for expression in expressions:
        # Never equal, so that each expression is told.
        lines += [
            f"      - expr: {expression}",
            "        eval_time: 0",
            "        exp_samples: [{labels: 'x', value: -1}]",
        ]
    file = folder / "tests.yml"
    file.write_text("\n".join(lines), "utf-8")
    done = subprocess.run([program, "test", "rules", str(file)], capture_output=True, text=True)
    got = re.findall(r"expr: \"(.*?)\".*?got: (nil|\{[^}]*\} \S+)", done.stdout + done.stderr, re.DOTALL)
    results = {expression: math.nan if text == "nil" else float(text.split()[-1]) for expression, text in got}
    return [results[expression] for expression in expressions]


def agree(ours: float, theirs: float) -> bool:
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.skipif(not PROGRAMS, reason="needs promtool (Debian: apt-get install prometheus)")
def test_classic_quantiles_are_those_of_prometheus(scripts: Tab, tmp_path: Path) -> None:
    chance = random.Random(11)
    series: dict[str, str] = {}
    expressions: list[str] = []
    ours: list[float] = []
    for case in range(20):
        bounds = sorted(
            {round(chance.uniform(-3 if case % 3 == 0 else 0.01, 10), 3) for _ in range(chance.randint(1, 8))}
        )
        counts: list[int] = []
        for _ in range(len(bounds) + 1):
            counts.append((counts[-1] if counts else 0) + chance.choice([0, 0, 1, 5, 40]))
        for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
            series[f'h{case}_bucket{{le="{bound}"}}'] = str(count)
        every = [*bounds, math.inf]
        for q in QUANTILES:
            expressions.append(f"histogram_quantile({q}, h{case}_bucket)")
            ours.append(number(scripts.run(f"String(classicQuantile({q}, {literal(every)}, {literal(counts)}))")))
    theirs = computed(PROGRAMS[-1], tmp_path, series, expressions)
    wrong = [each for each in zip(expressions, ours, theirs, strict=True) if not agree(*each[1:])]
    assert wrong == []


def test_native_quantiles_are_those_of_prometheus(scripts: Tab, tmp_path: Path) -> None:
    programs = [program for program in PROGRAMS if version(program) >= (3, 0)]
    if not programs:
        pytest.skip("needs promtool 3 (tools/newer_prometheus.py downloads one)")
    chance = random.Random(12)
    series: dict[str, str] = {}
    expressions: list[str] = []
    ours: list[float] = []
    for case in range(20):
        signs = (1,) if case % 3 else (1, -1)
        values = [chance.choice(signs) * chance.lognormvariate(0, 2) for _ in range(chance.randint(1, 80))]
        values += [0.0] * chance.choice([0, 3])
        options = NativeBuckets(growth=chance.choice([1.01, 1.1, 2.0, 100.0]), max_buckets=0, zero_threshold=0.01)
        native, total = observed(values, options)
        parts = [
            f"schema:{native.schema} sum:{total!r} count:{native.total} z_bucket:{native.zero_count} z_bucket_w:0.01"
        ]
        for prefix, buckets in ("", native.positive), ("n_", native.negative):
            if buckets:
                span = range(min(buckets), max(buckets) + 1)
                parts.append(
                    f"{prefix}offset:{span.start} {prefix}buckets:[{' '.join(str(buckets.get(i, 0)) for i in span)}]"
                )
        series[f"n{case}"] = f"{{{{{' '.join(parts)}}}}}"
        for q in QUANTILES:
            expressions.append(f"histogram_quantile({q}, n{case})")
            ours.append(number(scripts.run(f"String(nativeQuantile({q}, {literal(as_native(native, total))}))")))
    theirs = computed(programs[-1], tmp_path, series, expressions)
    wrong = [each for each in zip(expressions, ours, theirs, strict=True) if not agree(*each[1:])]
    assert wrong == []
