"""The page's decoder reads of any registry what Prometheus's own schema reads, in chunks of any sizes."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.chromium import Tab
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry
from tests.exposition.any_registry import registries
from tests.exposition.official_schema import needs_schema, parsed
from tests.page.conftest import literal, number

# The registries have counters of any name.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix:pytheus.exceptions.PytheusWarning")

ACCEPT = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8"
)

# Numbers are texts, because JSON has neither infinities nor NaN.
DECODE = """
async (encoded, cuts) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const families = [];
  let head;
  const text = (value) => value === null ? null : Array.isArray(value) ? value.map(text) : exactNumber(value);
  const sink = {
    family: (each) => { head = each; families.push({ ...each, metrics: [] }); },
    metric: (metric, buffer) => {
      const { kind, value, count, sum, bounds, counts, native, quantiles, exemplars, created, at } = metric;
      const labels = decodeLabels(buffer.slice(metric.labelsFrom, metric.labelsTo));
      const shown = { labels, kind, created: text(created), at: text(at) };
      shown.exemplars = (exemplars ?? []).map((each) => [each.labels, text(each.value), text(each.at)]);
      const texts = native && { ...native, sum: text(native.sum), threshold: text(native.threshold) };
      if (kind === "histogram") {
        Object.assign(shown, { count, sum: text(sum), bounds: text(bounds), counts, native: texts });
      }
      else if (kind === "summary") Object.assign(shown, { count, sum: text(sum), quantiles: text(quantiles) });
      else shown.value = text(value);
      families.at(-1).metrics.push(shown);
      return true;
    },
    end: () => { head = null; },
  };
  const places = [...cuts.map((part) => Math.floor(part * bytes.length)), bytes.length].sort((a, b) => a - b);
  const stream = new ReadableStream({ start(controller) {
    let from = 0;
    for (const to of places) {
      if (to > from) controller.enqueue(bytes.slice(from, to));
      from = to;
    }
    controller.close();
  } });
  return [await readFamilies(stream, sink, 1e9), families];
}
"""


def decoded(tab: Tab, body: bytes, cuts: list[float]) -> list[dict[str, Any]]:
    """The families in `body`, in chunks that end at the parts `cuts` of it."""
    arguments = f"{literal(base64.b64encode(body).decode())}, {literal(cuts)}"
    is_whole, families = tab.run(f"await ({DECODE})({arguments})")
    assert is_whole
    shown: list[dict[str, Any]] = families
    return shown


def seconds(timestamp: Any) -> float:
    return float(timestamp.seconds + timestamp.nanos / 1e9)


def labels_of(message: Any) -> list[list[str]]:
    return [[pair.name, pair.value] for pair in message.label]


def buckets_of(spans: Any, deltas: Any) -> list[list[int]]:
    buckets = []
    index = count = 0
    left = list(deltas)
    for span in spans:
        index += span.offset
        for _ in range(span.length):
            count += left.pop(0)
            if count:
                buckets.append([index, count])
            index += 1
    return buckets


def same(ours: object, theirs: float) -> bool:
    value = number(ours)
    return value == theirs or (math.isnan(value) and math.isnan(theirs)) or math.isclose(value, theirs, rel_tol=1e-12)


def check_metric(ours: dict[str, Any], theirs: Any) -> None:
    assert ours["labels"] == labels_of(theirs)
    assert (ours["at"] is None) == (not theirs.HasField("timestamp_ms"))
    assert ours["at"] is None or same(ours["at"], theirs.timestamp_ms / 1000)
    message = getattr(theirs, ours["kind"])
    assert theirs.HasField(ours["kind"])
    exemplars: list[Any] = []
    if ours["kind"] == "histogram":
        exemplars = [each.exemplar for each in message.bucket if each.HasField("exemplar")] + list(message.exemplars)
        assert ours["count"] == message.sample_count
        assert same(ours["sum"], message.sample_sum)
        bounds = [each.upper_bound for each in message.bucket]
        counts = [each.cumulative_count for each in message.bucket]
        native = ours["native"]
        if native is not None:
            assert native["schema"] == message.schema
            assert same(native["threshold"], message.zero_threshold)
            assert native["zero"] == message.zero_count
            assert native["positive"] == buckets_of(message.positive_span, message.positive_delta)
            assert native["negative"] == buckets_of(message.negative_span, message.negative_delta)
        else:
            native_parts = [message.positive_span, message.negative_span, message.zero_count, message.zero_threshold]
            assert not any(native_parts)
        if bounds or native is None:
            if math.inf not in bounds:
                bounds.append(math.inf)
                counts.append(message.sample_count)
            assert [number(each) for each in ours["bounds"]] == bounds
            assert ours["counts"] == counts
    elif ours["kind"] == "summary":
        assert ours["count"] == message.sample_count
        assert same(ours["sum"], message.sample_sum)
        assert len(ours["quantiles"]) == len(message.quantile)
        for (quantile, value), each in zip(ours["quantiles"], message.quantile, strict=True):
            assert same(quantile, each.quantile)
            assert same(value, each.value)
    else:
        assert same(ours["value"], message.value)
        if ours["kind"] == "counter" and message.HasField("exemplar"):
            exemplars = [message.exemplar]
    if ours["created"] is not None:
        assert math.isclose(number(ours["created"]), seconds(message.created_timestamp), rel_tol=1e-12)
    assert len(ours["exemplars"]) == len(exemplars)
    for (labels, value, at), exemplar in zip(ours["exemplars"], exemplars, strict=True):
        assert labels == labels_of(exemplar)
        assert same(value, exemplar.value)
        assert (at is None) == (not exemplar.HasField("timestamp"))


@needs_schema
@pytest.mark.property
@given(registry=registries("utf8"), cuts=st.lists(st.floats(0, 1), max_size=6))
@settings(max_examples=60)
def test_it_reads_what_the_schema_reads(scripts: Tab, registry: CollectorRegistry, cuts: list[float]) -> None:
    body = expose(registry, ACCEPT).body
    expected = parsed(body)
    families = decoded(scripts, body, cuts)
    assert [(each["name"], each["help"], each["unit"], each["type"]) for each in families] == [
        (each.name, each.help, each.unit, each.type) for each in expected
    ]
    for ours, theirs in zip(families, expected, strict=True):
        assert len(ours["metrics"]) == len(theirs.metric)
        for metric, message in zip(ours["metrics"], theirs.metric, strict=True):
            check_metric(metric, message)


@pytest.mark.property
@given(body=st.binary(max_size=200))
@settings(max_examples=100)
def test_what_is_not_the_format_is_an_error_of_the_decoder(scripts: Tab, body: bytes) -> None:
    script = f"await ({DECODE})({literal(base64.b64encode(body).decode())}, [])"
    outcome = scripts.run(
        f"await (async () => {{ try {{ {script.replace('await ', 'return await ', 1)} }} catch (error) {{"
        " return error instanceof DecodeError ? 'DecodeError' : String(error); } })()"
    )
    assert isinstance(outcome, list) or outcome == "DecodeError"
