"""Programs before and after: the same series with the same values, and code that type checkers accept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("libcst", reason="libcst has no wheel for this interpreter")

import prometheus_client
from prometheus_client.parser import text_string_to_metric_families

from pytheus.migrate import rewrite
from pytheus.migrate.tables import GAUGE_MODES

pytestmark = pytest.mark.once

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]

PROGRAM = '''
"""A program with the usual idioms."""
import math

import prometheus_client as prom
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

registry = CollectorRegistry(auto_describe=True)
NAMESPACE: str = "shop"

hits: Counter = Counter("hits", "Hits.", ["method", "code"], NAMESPACE, registry=registry)
errors = prom.Counter(name="errors_total", documentation="Errors.", labelnames=("kind",), registry=registry)
size = prom.Summary("size", "Sizes.", unit="bytes", namespace="shop", subsystem="cart", registry=registry)
latency = Histogram("latency", "Latency.", ["path"], unit="seconds", registry=registry)
depth = Histogram("depth", "Depth.", buckets=[1, 5, math.inf], registry=registry)
busy = Gauge("busy", "Busy.", multiprocess_mode="livesum", registry=registry)
build = Info("build", "Build.", registry=registry)


class Queue:
    def collect(self) -> list[Metric]:
        return [GaugeMetricFamily("queue", "Queue.", value=3.0), CounterMetricFamily("jobs", "Jobs.", value=4.0)]


def work() -> None:
    hits.labels("GET", "200").inc()
    errors.labels(kind="x").inc(2)
    size.observe(10)
    latency.labels(path="/").observe(0.06)
    depth.observe(2)
    busy.inc()
    build.info({"version": "1"})


def view(shown: CollectorRegistry) -> bytes:
    return generate_latest(shown)


work()
exposed: bytes = view(registry)
'''


def series(exposition: bytes) -> Series:
    """The value of each series but those of the times of creation, which only prometheus_client exposes."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def run(source: str) -> Series:
    namespace: dict[str, object] = {"__name__": "program"}
    exec(compile(source, "program.py", "exec"), namespace)
    exposed = namespace["exposed"]
    assert isinstance(exposed, bytes)
    return series(exposed)


def test_a_program_exposes_the_same_series() -> None:
    after = rewrite(PROGRAM.encode())
    assert run(after.source.decode()) == run(PROGRAM)
    assert b"prometheus_client" not in after.source
    assert after.remarks == ()


def test_typed_code_stays_typed(tmp_path: Path) -> None:
    source = PROGRAM
    (tmp_path / "before.py").write_text(source)
    (tmp_path / "after.py").write_bytes(rewrite(source.encode()).source)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        "before.py",
        "after.py",
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if "No module named mypy" in ended.stderr:
        pytest.skip("mypy is not installed")
    assert (ended.returncode, ended.stdout) == (0, "Success: no issues found in 2 source files\n")


TEXTS = st.sampled_from(["", "a", "shop"])
NAMES = st.sampled_from(
    ["hits", "hits_total", "hits_bytes", "hits_bytes_total", "total", "bytes", "bytes_total", "a_info", "info"]
)
BUCKETS = st.sampled_from(["[1, 2]", "(1, 'inf')", "[.5, float('inf')]", "(1, 2, '+Inf')"])


@st.composite
def definitions(draw: st.DrawFn) -> str:
    """A program that defines one metric, in one of the ways that arguments can be given."""
    kind = draw(st.sampled_from(["Counter", "Gauge", "Summary", "Histogram", "Info"]))
    values = {
        "name": repr(draw(NAMES)),
        "documentation": "'Doc.'",
        "labelnames": draw(st.sampled_from(["()", "['x']", "('x', 'y')"])),
        "namespace": repr(draw(TEXTS)),
        "subsystem": repr(draw(TEXTS)),
        "unit": "''" if kind == "Info" else draw(st.sampled_from(["''", "'bytes'"])),
        "registry": "registry",
    }
    variables = draw(st.sets(st.sampled_from(["name", "namespace", "subsystem", "prefix"])))
    written = {name: name if name in variables else value for name, value in values.items()}
    if "prefix" in variables:
        values["prefix"] = draw(st.sampled_from(["'a_'", "'a'", "''"]))
        end = values["name"]
        form = draw(st.sampled_from(["prefix + {0}", "f'{{prefix}}{1}'", "'%s{1}' % prefix", "(prefix + {0})"]))
        written["name"] = form.format(end, end.strip("'"))
    positional = draw(st.integers(0, len(values)))
    arguments = [*list(written.values())[:positional]]
    keywords = [f"{name}={value}" for name, value in list(written.items())[positional:]]
    if kind == "Gauge":
        keywords.append(f"multiprocess_mode={draw(st.sampled_from(list(GAUGE_MODES)))!r}")
    if kind == "Histogram" and draw(st.booleans()):
        keywords.append(f"buckets={draw(BUCKETS)}")
    arguments += draw(st.permutations(keywords))
    form, prefix = draw(
        st.sampled_from([("import prometheus_client as p", "p."), ("from prometheus_client import *", "")])
    )
    if not prefix:
        form = "from prometheus_client import CollectorRegistry, generate_latest, " + kind
    assigned = "".join(f"{name} = {values[name]}\n" for name in sorted(variables))
    use = {"Counter": "inc()", "Gauge": "set(2)", "Info": "info({'v': '1'})"}.get(kind, "observe(1.5)")
    labels = {"()": "", "['x']": ".labels('1')", "('x', 'y')": ".labels('1', y='2')"}[values["labelnames"]]
    labels = labels.replace("'1', y=", "'1', ")
    return (
        f"{form}\nregistry = {prefix}CollectorRegistry()\n{assigned}"
        f"metric = {prefix}{kind}({', '.join(arguments)})\nmetric{labels}.{use}\n"
        f"exposed = {prefix}generate_latest(registry)\n"
    )


@pytest.mark.property
@settings(deadline=None, max_examples=150)
@given(definitions())
def test_each_way_of_giving_arguments_exposes_the_same_series(source: str) -> None:
    after = rewrite(source.encode()).source
    assert rewrite(after).source == after
    assert b"prometheus_client" not in after
    assert run(after.decode()) == run(source)


@pytest.mark.parametrize(
    ("definition", "exposed"),
    [
        ('Counter("total", "T.", namespace="requests")', "requests_total"),
        ('Counter("total", "T.", subsystem="bytes", unit="bytes")', "bytes_bytes_total"),
        ('Gauge("seconds", "S.", namespace="app", unit="seconds", multiprocess_mode="sum")', "app_seconds"),
        ('Gauge("seconds", "S.", namespace=NS, unit="seconds", multiprocess_mode="sum")', "a_seconds"),
        ('Counter(P + "total", "T.")', "app_total"),
        ('Counter(f"{P}total", "T.", namespace="x")', "x_app_total"),
        ('Counter(P + "_bytes" + "_total", "T.", unit="bytes")', "app__bytes_total"),
        ('Counter("%s" % P, "T.", namespace=NS)', "a_app__total"),
        ('Info("build_info", "I.")', "build_info_info"),
        ('Info(P + "info", "I.")', "app_info_info"),
        ('Info(P, "I.", namespace=NS)', "a_app__info"),
        ('Info("info", "I.", namespace="build")', "build_info_info"),
        ('Info("info", "I.", namespace=NS)', "a_info_info"),
        ('Info(f"{P}build", "I.")', "app_build_info"),
    ],
)
def test_suffixes_complete_the_whole_name(definition: str, exposed: str) -> None:
    source = (
        "from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Info, generate_latest\n"
        f'NS, P = "a", "app_"\nregistry = CollectorRegistry()\nmetric = {definition[:-1]}, registry=registry)\n'
        + ('metric.info({"v": "1"})\n' if "Info" in definition else "")
        + "exposed = generate_latest(registry)\n"
    )
    after = run(rewrite(source.encode()).source.decode())
    assert after == run(source)
    assert [name for name, _ in after] == [exposed]


def test_the_default_buckets_are_those_of_prometheus_client() -> None:
    from pytheus.migrate.tables import OLD_BUCKETS

    assert eval(OLD_BUCKETS) == prometheus_client.Histogram.DEFAULT_BUCKETS[:-1]
