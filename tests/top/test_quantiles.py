"""Quantiles: cases by hand, their algebra, and the results of Prometheus itself."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytheus.native_bounds import bucket_index, upper_bound
from pytheus.native_buckets import NativeHistogram
from pytheus.top.quantiles import classic_quantile, native_buckets, native_quantile, quantile_of
from pytheus.top.values import Distribution
from tests.conftest import ROOT

pytestmark = pytest.mark.once

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0)
CASES = 40


def _promtools() -> list[str]:
    """The installed promtool, and those that tools/newer_prometheus.py has downloaded."""
    installed = shutil.which("promtool")
    newer = sorted(str(path) for path in (ROOT / ".venv" / "prometheus").glob("*/usr/bin/promtool"))
    return [*([installed] if installed else []), *newer]


PROMTOOLS = _promtools()
INF = math.inf


@pytest.mark.parametrize(
    ("bounds", "counts", "q", "expected"),
    [
        ((1.0, 2.0, INF), (10.0, 20.0, 20.0), 0.5, 1.0),
        ((1.0, 2.0, INF), (10.0, 20.0, 20.0), 0.75, 1.5),
        ((1.0, 2.0, INF), (0.0, 0.0, 4.0), 0.5, 2.0),  # above all bounds
        ((-1.0, 2.0, INF), (4.0, 4.0, 4.0), 0.5, -1.0),  # a first bound that is not positive
        ((1.0, 2.0, INF), (5.0, 3.0, 10.0), 0.5, 1.0),  # counts that fall are raised
        ((INF,), (4.0,), 0.5, math.nan),
        ((1.0, 2.0), (4.0, 4.0), 0.5, math.nan),  # without the bucket up to infinity
        ((1.0, INF), (0.0, 0.0), 0.5, math.nan),
    ],
)
def test_classic_quantiles_by_hand(
    bounds: tuple[float, ...], counts: tuple[float, ...], q: float, expected: float
) -> None:
    assert classic_quantile(bounds, counts, q) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("native", "q", "expected"),
    [
        # Four observations in (1, 2]: the median is their geometric middle.
        (NativeHistogram(0, 0.0, 0, {1: 4}, {}), 0.5, math.sqrt(2.0)),
        (NativeHistogram(0, 0.0, 0, {}, {1: 4}), 0.5, -math.sqrt(2.0)),
        (NativeHistogram(0, 0.5, 4, {}, {}), 0.75, 0.25),
        (NativeHistogram(0, 0.5, 4, {3: 4}, {}), 0.25, 0.25),  # the zero bucket begins at zero here
        (NativeHistogram(0, 0.5, 4, {}, {3: 4}), 0.75, -0.25),
        (NativeHistogram(0, 0.0, 0, {}, {}), 0.5, math.nan),
    ],
)
def test_native_quantiles_by_hand(native: NativeHistogram, q: float, expected: float) -> None:
    assert native_quantile(native, q) == pytest.approx(expected, nan_ok=True)


def test_a_quantile_among_observations_of_nan_is_nan() -> None:
    native = NativeHistogram(0, 0.0, 0, {1: 2}, {}, 2)
    assert native_quantile(native, 0.25, count=4, total=math.nan) == pytest.approx(math.sqrt(2.0))
    assert math.isnan(native_quantile(native, 0.99, count=4, total=math.nan))


def test_native_buckets_come_before_classic_ones_and_a_summary_has_its_own() -> None:
    native = NativeHistogram(0, 0.0, 0, {1: 4}, {})
    assert quantile_of(Distribution(4.0, 6.0, (8.0, INF), (4.0, 4.0), (), native), 0.5) == math.sqrt(2.0)
    assert quantile_of(Distribution(4.0, 6.0, (8.0, INF), (4.0, 4.0)), 0.5) == 4.0
    assert quantile_of(Distribution(4.0, 6.0, quantiles=((0.5, 3.0),)), 0.5) == 3.0
    assert math.isnan(quantile_of(Distribution(4.0, 6.0, quantiles=((0.5, 3.0),)), 0.9))


@pytest.mark.property
@example([-1.0, -7.4e-69], [0, 1, 1, 0, 0, 0, 0, 0, 0])
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8, unique=True),
    st.lists(st.integers(0, 1000), min_size=9, max_size=9),
)
def test_classic_quantiles_rise_and_stay_between_the_bounds(bounds: list[float], counts: list[int]) -> None:
    bounds = [*sorted(bounds), INF]
    cumulative = [float(count) for count in accumulate(counts[: len(bounds)])]
    found = [classic_quantile(bounds, cumulative, q) for q in QUANTILES]
    if not cumulative[-1]:
        assert all(map(math.isnan, found))
        return
    assert all(low <= high or math.isclose(low, high) for low, high in zip(found, found[1:], strict=False))
    assert all(min(0.0, bounds[0]) <= value <= bounds[-2] for value in found)


@pytest.mark.property
@given(
    st.integers(-4, 8),
    st.lists(st.floats(-1e9, 1e9).filter(lambda value: abs(value) > 1e-9), min_size=1, max_size=30),
    st.sampled_from(QUANTILES),
)
def test_a_native_quantile_is_in_the_bucket_of_its_observation(schema: int, values: list[float], q: float) -> None:
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}
    for value in values:
        buckets = positive if value > 0 else negative
        buckets[bucket_index(value, schema)] = buckets.get(bucket_index(value, schema), 0) + 1
    native = NativeHistogram(schema, 0.0, 0, positive, negative)
    found = native_quantile(native, q)
    values.sort()
    rank = q * len(values)
    around = {values[max(0, min(len(values) - 1, place))] for place in (math.ceil(rank) - 1, math.floor(rank))}
    growth = upper_bound(1, schema) if schema > -4 else 2.0**16
    assert any(
        (value > 0) == (found > 0) and 1 / growth <= found / value * (1 + 1e-9) and found / value <= growth * (1 + 1e-9)
        for value in around
    ), (found, around)
    assert sum(count for _, _, count in native_buckets(native)) == len(values)


@pytest.mark.skipif(not PROMTOOLS, reason="needs promtool (Debian: apt-get install prometheus)")
@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_prometheus_finds_the_same_classic_quantiles(tmp_path: Path, promtool: str) -> None:
    chance = random.Random(16)
    series: list[tuple[str, float]] = []
    for case in range(CASES):
        bounds = [*sorted(chance.uniform(-0.5, 10) for _ in range(chance.randint(1, 12))), INF]
        counts = [float(count) for count in accumulate(chance.choice([0, 0, 1, 7, 500]) for _ in bounds)]
        counts[-1] += case % 3
        for bound, count in zip(bounds, counts, strict=True):
            series.append((f'h_bucket{{case="{case}",le="{"+Inf" if math.isinf(bound) else bound}"}}', count))
        for q in QUANTILES:
            value = classic_quantile(bounds, counts, q)
            if not math.isnan(value):
                series.append((f'expected{{case="{case}",q="{q}"}}', value))
    _compare(promtool, tmp_path, "h_bucket", series)


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_prometheus_3_finds_the_same_native_quantiles(tmp_path: Path, promtool: str) -> None:
    version = subprocess.run([promtool, "--version"], capture_output=True, text=True, check=True)
    if "version 3." not in version.stdout + version.stderr:
        pytest.skip("interpolates linearly: needs promtool of Prometheus 3 (tools/newer_prometheus.py)")
    chance = random.Random(16)
    series: list[tuple[str, float | str]] = []
    for case in range(CASES):
        schema, threshold = chance.randint(-2, 4), chance.choice([0.001, 0.01])
        parts: list[dict[int, float]] = []
        texts: list[str] = []
        for prefix in ("", "n_"):
            counts = [float(chance.choice([0, 1, 3, 20])) for _ in range(chance.choice([0, 1, 6]))]
            # Outside of the zero bucket. Empty buckets on one side would change how Prometheus takes that one.
            offset = chance.randint(0, 9)
            parts.append({index: count for index, count in enumerate(counts, offset) if count})
            if any(counts):
                texts.append(f"{prefix}buckets:[{' '.join(f'{count:g}' for count in counts)}] {prefix}offset:{offset}")
        zeros = float(chance.choice([0, 2, 9]))
        native = NativeHistogram(schema, threshold, zeros, parts[0], parts[1])
        head = f"schema:{schema} sum:1 count:{native.total:g} z_bucket:{zeros:g} z_bucket_w:{threshold}"
        series.append((f'h{{case="{case}"}}', f"{{{{{' '.join([head, *texts])}}}}}"))
        for q in QUANTILES:
            value = native_quantile(native, q, total=1.0)
            if not math.isnan(value):
                series.append((f'expected{{case="{case}",q="{q}"}}', value))
    _compare(promtool, tmp_path, "h", series)


def _compare(promtool: str, directory: Path, name: str, series: Sequence[tuple[str, float | str]]) -> None:
    """Let promtool compare its quantiles of `name` with the series ``expected``, and count them."""
    lines = ["evaluation_interval: 1m", "tests:", "  - interval: 1m", "    input_series:"]
    for labels, value in series:
        lines += [
            f"      - series: '{labels}'",
            f"        values: '{value if isinstance(value, str) else repr(value)}'",
        ]
    lines.append("    promql_expr_test:")
    for q in QUANTILES:
        expected = sum(1 for labels, _ in series if labels.startswith("expected") and f'q="{q}"' in labels)
        assert expected > CASES / 2
        found = f'histogram_quantile({q}, {name}) - on (case) expected{{q="{q}"}}'
        wrong = f'abs({found}) > 1e-9 * abs(expected{{q="{q}"}}) + 1e-12'.replace("> ", "> on (case) ")
        lines += [f"      - expr: 'count({found})'", "        eval_time: 0", "        exp_samples:"]
        lines += ["          - labels: '{}'", f"            value: {expected}"]
        lines += [f"      - expr: '{wrong}'", "        eval_time: 0", "        exp_samples: []"]
    (directory / "test.yml").write_text("\n".join(lines) + "\n")
    done = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
