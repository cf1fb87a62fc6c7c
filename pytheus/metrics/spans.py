"""The labels of an exemplar that refer to the current span of OpenTelemetry.

Importing this module imports opentelemetry.

https://opentelemetry.io/docs/specs/otel/metrics/sdk/#exemplar
"""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.trace import SpanContext, get_current_span

__all__ = ["current_span_labels"]


class _Known(NamedTuple):
    """A span, and its labels."""

    context: SpanContext
    labels: dict[str, str]


_last: _Known | None = None


def current_span_labels() -> dict[str, str] | None:
    """Return the labels of the current span; None outside of spans, and within one that is not sampled.

    They have 63 characters, and an exemplar may have 128. Every metric that is written within a span gets the same
    labels, so those of the last span are kept.
    """
    global _last
    context = get_current_span().get_span_context()
    known = _last
    if known is not None and known.context is context:
        return known.labels
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    labels = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    _last = _Known(context, labels)
    return labels
