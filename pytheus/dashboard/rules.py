"""Recording and alerting rules of Prometheus for the families of one application.

Rules:

- A recorded series is named ``level:metric:operations``: the labels that it keeps, the metric, and the operations,
  latest first. https://prometheus.io/docs/practices/rules/
- Every rule selects the targets of one job, which has the application's name.
- An alert reads recorded series where it can, so that its expression is the threshold alone. It has ``for``, the labels
  `severity` and `metric`, and the annotations `summary` and `description`.
- Names of records and alerts are legacy names, which every version of Prometheus accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pytheus.dashboard.families import FamilyInfo
from pytheus.dashboard.pairs import LimitPair, error_pairs, limit_pairs
from pytheus.dashboard.promql import (
    LABELS_AT_MOST,
    QUANTILES,
    Matcher,
    Scope,
    labels_of,
    mean,
    number,
    quantile,
    rate,
    saturation,
    selector,
    share,
)
from pytheus.dashboard.requests import HttpRequests, error_matcher, error_ratio, http_requests
from pytheus.dashboard.rule_file import Rule, rule_file, template_text
from pytheus.dashboard.units import SECONDS, unit_id
from pytheus.escaping import escape_name

__all__ = ["DEFAULT_THRESHOLDS", "AlertThresholds", "prometheus_rules"]

_WINDOW: Final = "5m"
_LATENCY_QUANTILE: Final = 0.99


class AlertThresholds(NamedTuple):
    """The values above which alerts are active.

    `error_ratio` is the share of requests, or of other events, that fail. `latency_seconds` is the 99th percentile of
    the duration of HTTP requests. `saturation_ratio` is the share of its limit that a gauge uses.

        >>> AlertThresholds(latency_seconds=0.3).error_ratio
        0.05
    """

    error_ratio: float = 0.05
    latency_seconds: float = 1.0
    saturation_ratio: float = 0.9


DEFAULT_THRESHOLDS: Final = AlertThresholds()


def prometheus_rules(app: str, families: Iterable[FamilyInfo], thresholds: AlertThresholds = DEFAULT_THRESHOLDS) -> str:
    """Return a file of recording and alerting rules, in YAML, for `families` of the job `app`.

        >>> rules = prometheus_rules("shop", [FamilyInfo("orders_total", "counter", "Orders placed.")])
        >>> print(*rules.splitlines()[:5], sep="\\n")
        groups:
        - name: 'shop: recording'
          rules:
          - record: 'job:orders:rate5m'
            expr: 'sum by (job) (rate(orders_total{job="shop"}[5m]))'

    The same arguments give the same text. Names that are not legacy names need Prometheus 3.
    """
    rules = _Rules(app, list(families), thresholds)
    return rule_file({f"{app}: recording": rules.recording, f"{app}: alerts": rules.alerts})


class _Rules:
    """The rules of one application, in the order of its families."""

    def __init__(self, app: str, families: Sequence[FamilyInfo], thresholds: AlertThresholds) -> None:
        self._scope = Scope(str(Matcher("job", "=", app)), _WINDOW)
        self._app = template_text(app)
        self._title = "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", app, flags=re.ASCII))
        self._thresholds = thresholds
        self._quantiles: dict[str, str] = {}
        self._names: set[tuple[str, str]] = set()
        self.recording: list[Rule] = []
        self.alerts: list[Rule] = []
        self._targets()
        requests = http_requests(families)
        for family in families:
            self._family(family, requests)
        if requests is not None:
            self._requests(requests)
        for pair in error_pairs(families):
            if requests is not None and requests.errors is not None and pair.errors.name in requests.names:
                continue  # exceptions, whose requests have a status of the server's errors
            ratio = share(pair.errors, pair.total, self._scope, ("job",))
            self._errors(pair.errors, f"{_base(pair.errors)}_per_{_base(pair.total)}", ratio)
        for limited in limit_pairs(families):
            self._saturation(limited)

    def _record(self, level: Sequence[str], metric: str, operations: str, expression: str, q: str = "") -> str:
        """Add a recording rule, and return the name of its series; `q` is its label for a quantile."""
        parts = ("_".join(level) or "job", metric, operations)
        name = ":".join(escape_name(part.replace(":", "_"), "underscores") for part in parts)
        while (name, q) in self._names:
            name += "_"  # because names that differ in other characters alone are one here
        self._names.add((name, q))
        self.recording.append(Rule(name, expression, {"quantile": q} if q else {}))
        return name

    def _alert(
        self,
        kind: str,
        expression: str,
        duration: str,
        severity: str,
        metric: str,
        summary: str,
        description: str,
        **further_labels: str,
    ) -> None:
        labels = {"severity": severity, "metric": template_text(metric), **further_labels}
        annotations = {"summary": summary, "description": description.rstrip()}
        self.alerts.append(Rule(self._title + kind, expression, labels, duration, annotations))

    def _targets(self) -> None:
        up = selector("up", self._scope)
        self._alert(
            "Absent",
            f"absent({up} == 1)",
            "5m",
            "critical",
            "up",
            f"No target of {self._app} answers",
            f"Every scrape of the job {self._app} has failed for 5 minutes, or Prometheus has no target of it.",
            job=self._app,  # which the comparison within absent() removes
        )
        self._alert(
            "TargetDown",
            f"{up} == 0",
            "5m",
            "warning",
            "up",
            f"{{{{ $labels.instance }}}} of {self._app} does not answer",
            "Every scrape of this target has failed for 5 minutes.",
        )

    def _family(self, family: FamilyInfo, requests: HttpRequests | None) -> None:
        labels = labels_of(family)[:LABELS_AT_MOST]
        if family.type == "counter":
            self._record(labels, _base(family), "rate5m", rate(family.name, self._scope, ("job", *labels)))
        elif family.type == "histogram":
            for q in QUANTILES:
                expression = quantile(family, q, self._scope, ("job",))
                level, operations = ("job", "quantile"), "histogram_quantile_rate5m"
                self._quantiles[family.name] = self._record(level, family.name, operations, expression, f"{q:g}")
            if requests is None or family.name != requests.duration.name:
                self._beyond_buckets(family)
        elif family.type == "summary":
            self._record(labels, family.name, "mean5m", mean(family, self._scope, ("job", *labels)))
        errors = error_matcher(family, requests)
        if errors is not None and (requests is None or family.name != requests.counted.name):
            self._errors_of_labels(family, errors)

    def _latency(self, family: FamilyInfo) -> str:
        return selector(self._quantiles[family.name], self._scope, Matcher("quantile", "=", f"{_LATENCY_QUANTILE:g}"))

    def _beyond_buckets(self, family: FamilyInfo) -> None:
        """An alert for durations of which 1 % do not fit into a bucket, so that no quantile tells how long they are."""
        if family.bound is None or family.is_native or unit_id(family) != SECONDS:
            return
        bound = number(family.bound)
        self._alert(
            "BeyondBuckets",
            f"{self._latency(family)} >= {bound}",
            "10m",
            "warning",
            family.name,
            f"{template_text(family.name)} of {self._app} exceeds its largest bucket",
            f"More than 1 % of the observations are above {bound} s. {template_text(family.description)}",
        )

    def _requests(self, requests: HttpRequests) -> None:
        if requests.errors is not None:
            self._errors_of_labels(requests.counted, requests.errors, severity="critical")
        # A quantile of classic buckets is never greater than the highest bound; that of native buckets can be.
        threshold, bound = self._thresholds.latency_seconds, requests.duration.bound
        conditions = [f"> {number(threshold)}"]
        if bound is not None and bound <= threshold:
            conditions = (
                [*conditions, f"== {number(bound)}"] if requests.duration.is_native else [f">= {number(bound)}"]
            )
        latency = self._latency(requests.duration)
        self._alert(
            "Latency",
            " or ".join(f"{latency} {condition}" for condition in conditions),
            "10m",
            "warning",
            requests.duration.name,
            f"Requests to {self._app} are slow",
            "The 99th percentile of the duration is {{ $value | humanizeDuration }}"
            f" (alert: {' or '.join(conditions)} s). {template_text(requests.duration.description)}",
        )

    def _errors_of_labels(self, family: FamilyInfo, errors: Matcher, severity: str = "warning") -> None:
        ratio = error_ratio(family, errors, self._scope, ("job",))
        self._errors(family, f"{_base(family)}_errors_per_{_base(family)}", ratio, severity)

    def _errors(self, family: FamilyInfo, metric: str, ratio: str, severity: str = "warning") -> None:
        recorded = self._record((), metric, "ratio_rate5m", ratio)
        threshold = self._thresholds.error_ratio
        self._alert(
            "Errors",
            f"{selector(recorded, self._scope)} > {number(threshold)}",
            "10m",
            severity,
            family.name,
            f"{template_text(family.name)} of {self._app} counts too many errors",
            f"{{{{ $value | humanizePercentage }}}} fail, above {threshold * 100:g} %."
            f" {template_text(family.description)}",
        )

    def _saturation(self, pair: LimitPair) -> None:
        level = ("instance", *labels_of(pair.limit))
        expression = saturation(pair.usage, pair.limit, self._scope)
        recorded = self._record(level, f"{_base(pair.usage)}_per_{_base(pair.limit)}", "ratio", expression)
        self._alert(
            "Saturation",
            f"{selector(recorded, self._scope)} > {number(self._thresholds.saturation_ratio)}",
            "15m",
            "warning",
            pair.usage.name,
            f"{template_text(pair.usage.name)} of {{{{ $labels.instance }}}} is near its limit",
            f"{{{{ $value | humanizePercentage }}}} of {template_text(pair.limit.name)} is in use."
            f" {template_text(pair.usage.description)}",
        )


def _base(family: FamilyInfo) -> str:
    return family.name.removesuffix("_total") if family.type == "counter" else family.name
