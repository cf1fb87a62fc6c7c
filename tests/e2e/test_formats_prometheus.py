"""Real Prometheus servers scrape one registry in every format, and have the same from each.

Servers: the installed one, and those that tools/newer_prometheus.py has downloaded.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytheus import make_wsgi_app
from pytheus.metrics import NativeBuckets
from pytheus.native_bounds import upper_bound
from pytheus.native_buckets import NativeHistogram
from pytheus.plugins import resolve_registry
from tests.e2e.every_type import (
    BOTH,
    BOUNDS,
    DURATIONS,
    GAUGE_HISTOGRAMS,
    NATIVE_ALONE,
    NATIVE_HISTOGRAMS,
    USER,
    Labels,
    every_type,
    key,
    observed,
    underscored,
)
from tests.e2e.scraped import FEATURES, FORMATS, MERGED, NATIVE, PROGRAMS, Scene, Target, job_options, version_of

if TYPE_CHECKING:
    from tests.conftest import Prometheus, Start

pytestmark = [
    pytest.mark.skipif(not PROGRAMS, reason="needs prometheus (Debian: apt-get install prometheus)"),
    pytest.mark.filterwarnings("ignore:counter .* has no suffix"),
]

formats = pytest.mark.parametrize("name", FORMATS)
natives = pytest.mark.parametrize("histogram", NATIVE_HISTOGRAMS)

OPTIONS = NativeBuckets(growth=1.03, max_buckets=100)
OF_PROCESSES = (DURATIONS, [1.0 * 1.001**exponent for exponent in range(100)])
"""What each of two processes observes. The first has to widen its buckets several times, and the second does not."""

OBSERVING = """
from pytheus import Counter, Histogram
from pytheus.metrics import NativeBuckets
from pytheus.plugins import resolve_registry

registry = resolve_registry({address!r})
Counter("shop_visits", "Visits.", registry=registry).inc()
histogram = Histogram("merged_seconds", "Of all.", native={options}, buckets=(), registry=registry)
histogram.observe_many({values})
"""

QUANTILES = (0.013, 0.253, 0.507, 0.903, 0.993)
"""None of them is at a whole number of observations, where the server may take the value before or after it."""


@pytest.fixture(scope="module", params=PROGRAMS, ids=[f"server{number}" for number in range(len(PROGRAMS))])
def scene(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    start_prometheus: Callable[..., Prometheus],
) -> Iterator[Scene]:
    version = version_of(request.param)
    jobs = [name for name, each in FORMATS.items() if version >= each.since] + [MERGED]
    registry, expected = every_type()
    home = tmp_path_factory.mktemp("formats")
    shared = f"multiprocess://{home / 'shared'}"
    for values in OF_PROCESSES:
        program = OBSERVING.format(address=shared, values=values, options=OPTIONS)
        subprocess.run([sys.executable, "-P", "-c", program], check=True)
    target = Target.serving(make_wsgi_app(registry), make_wsgi_app(resolve_registry(shared)))
    prometheus = start_prometheus(
        start_for_module,
        home,
        program=request.param,
        features=FEATURES,
        options={name: job_options(name, version) for name in jobs},
        **dict.fromkeys(jobs, target.address),
    )
    yield Scene(version, prometheus, target, expected, prometheus.next_scrape("shop_visits"))
    target.close()


def skip_unless_known(scene: Scene, name: str) -> None:
    if scene.version < FORMATS[name].since:
        pytest.skip(f"Prometheus {scene.version} does not know this format")


def assert_same(series: Mapping[Any, float], expected: Mapping[Any, float]) -> None:
    assert series.keys() == expected.keys()
    differing = {
        each: (value, expected[each])
        for each, value in series.items()
        if value != expected[each] and not (math.isnan(value) and math.isnan(expected[each]))
    }
    assert not differing


def as_in_protobuf(series: tuple[str, Labels]) -> tuple[str, Labels]:
    """What the server calls a sample of a gauge histogram in protobuf, whose messages have no names for samples."""
    name, labels = series
    if name.startswith(GAUGE_HISTOGRAMS):
        name = name.replace("_gsum", "_sum").replace("_gcount", "_count")
    return name, labels


def exact_quantile(quantile: float, values: list[float]) -> float:
    return sorted(values)[math.ceil(quantile * len(values)) - 1]


@formats
def test_the_server_gets_the_format_that_it_asks_for(scene: Scene, name: str) -> None:
    skip_unless_known(scene, name)
    (media_type,) = {each.partition("; charset")[0].partition("; escaping")[0] for each in scene.target.types[name]}
    assert media_type == FORMATS[name].media_type


@formats
def test_the_server_has_every_number_under_its_name(scene: Scene, name: str) -> None:
    skip_unless_known(scene, name)
    expected = scene.expected if scene.version >= (3, 0) and name != "text" else underscored(scene.expected)
    series = scene.of_job(name)
    if name == "created_lines":
        series = {each: value for each, value in series.items() if not each[0].endswith("_created")}
    if name == NATIVE:
        if scene.version >= (2, 49):
            absent: tuple[str, ...] = NATIVE_ALONE
        else:
            # It has no option for classic buckets beside native ones, and calls all parts of a gauge histogram alike.
            absent = (*NATIVE_HISTOGRAMS, *GAUGE_HISTOGRAMS)
            series = {each: value for each, value in series.items() if each[0] not in GAUGE_HISTOGRAMS}
        shown = {each: value for each, value in expected.items() if not each[0].startswith(absent)}
        expected = {as_in_protobuf(each): value for each, value in shown.items()}
    assert_same(series, expected)


def test_exemplars_are_those_that_were_given(scene: Scene) -> None:
    for name in FORMATS:
        if scene.version < FORMATS[name].since or name.startswith("text"):
            continue
        answer = scene.prometheus.ask(
            "query_exemplars", query=f'{{job="{name}"}}', start=scene.at - 3600, end=scene.at + 60
        )
        found = {
            scene.key(each["seriesLabels"]): [(one["labels"], float(one["value"])) for one in each["exemplars"]]
            for each in answer
        }
        counter, bucket = (
            key("shop_orders_total", result="paid"),
            key("shop_request_seconds_bucket", le="0.25", route="/cart"),
        )
        assert found[counter] == [({"trace_id": "4bf92f35"}, 0.0)]
        assert found[bucket] == [({"trace_id": "0af76519", "user": USER}, 0.25)]
        if name == NATIVE and scene.version >= (2, 49):
            assert found[key("shop_native_seconds")] == [({"trace_id": "b7ad6b71"}, 0.5)]


@pytest.mark.parametrize("name", ["protobuf", "created_lines"])
def test_a_counter_has_a_zero_at_its_start(scene: Scene, name: str) -> None:
    if scene.version < (3, 0):
        pytest.skip(f"Prometheus {scene.version} takes no zero samples from this format")
    counter = f'shop_visits{{job="{name}"}}' if name == "protobuf" else f'shop_busy_seconds_total{{job="{name}"}}'
    (series,) = scene.ask(f"{counter}[1h]")
    (began, zero), (_, first), *_ = series["values"]
    assert (float(zero), float(first) > 0) == (0.0, True)
    assert began < scene.at - 1


# Native histograms ----------------------------------------------------------------------------------------------------


def buckets_of(native: NativeHistogram) -> dict[tuple[float, float], float]:
    """Counts by lower and upper bound."""
    schema = native.schema
    buckets = {(upper_bound(i - 1, schema), upper_bound(i, schema)): count for i, count in native.positive.items()}
    buckets |= {(-upper_bound(i, schema), -upper_bound(i - 1, schema)): count for i, count in native.negative.items()}
    if native.zero_count:
        buckets[-native.zero_threshold, native.zero_threshold] = native.zero_count
    return buckets


def found_buckets(series: dict[str, Any]) -> dict[tuple[float, float], float]:
    found = {(float(low), float(high)): float(count) for _, low, high, count in series["histogram"][1]["buckets"]}
    return {bounds: count for bounds, count in found.items() if count}


@natives
def test_native_buckets_are_those_of_the_histogram(scene: Scene, histogram: str) -> None:
    (series,) = scene.ask(f'{histogram}{{job="{NATIVE}"}}')
    native = NATIVE_HISTOGRAMS[histogram].native
    shown = series["histogram"][1]
    assert float(shown["count"]) == native.total
    assert float(shown["sum"]) == pytest.approx(math.fsum(NATIVE_HISTOGRAMS[histogram].values))
    assert found_buckets(series) == buckets_of(native)


@natives
@pytest.mark.parametrize("quantile", QUANTILES)
def test_a_quantile_is_within_the_bucket_of_the_exact_one(scene: Scene, histogram: str, quantile: float) -> None:
    values, native = NATIVE_HISTOGRAMS[histogram]
    (got,) = scene.numbers(f'histogram_quantile({quantile}, {histogram}{{job="{NATIVE}"}})').values()
    exact = exact_quantile(quantile, values)
    growth = math.exp2(math.exp2(-native.schema))
    # The server interpolates in floating point; within the zero bucket, too.
    slack = abs(got) * 1e-12 + native.zero_threshold
    assert min(exact / growth, exact * growth) - slack <= got <= max(exact / growth, exact * growth) + slack


def test_histograms_of_several_processes_are_as_one_that_has_seen_everything(scene: Scene) -> None:
    (series,) = scene.ask(f'merged_seconds{{job="{MERGED}"}}')
    values = [value for values in OF_PROCESSES for value in values]
    # Buckets of the lowest of their resolutions: 100 of them are enough for the first process, but not 125.
    assert found_buckets(series) == buckets_of(observed(values, 2).native)
    assert float(series["histogram"][1]["count"]) == len(values)


def test_native_and_classic_buckets_of_a_histogram_agree(scene: Scene) -> None:
    if scene.version < (2, 49):
        pytest.skip(f"Prometheus {scene.version} drops classic buckets beside native ones")
    classic = scene.numbers(f'{BOTH}_bucket{{job="{NATIVE}"}}')
    assert classic[key(f"{BOTH}_bucket", le="+Inf")] == len(DURATIONS)
    for bound, following in zip(BOUNDS, BOUNDS[1:], strict=False):
        fraction = f'histogram_fraction({bound}, {following}, {BOTH}{{job="{NATIVE}"}})'
        (native,) = scene.numbers(fraction).values()
        counted = sum(bound < value <= following for value in DURATIONS)
        # At each bound, the observations of one bucket may be on its other side.
        assert native * len(DURATIONS) == pytest.approx(counted, abs=2)


def test_text_shows_a_native_histogram_by_buckets_of_its_own(scene: Scene) -> None:
    # The server takes zero for the lower bound of the lowest bucket.
    for quantile in QUANTILES[1:]:
        (got,) = scene.numbers(f'histogram_quantile({quantile}, shop_native_seconds_bucket{{job="text"}})').values()
        exact = exact_quantile(quantile, DURATIONS)
        assert exact / 2 <= got <= exact * 2
