"""Dashboards of Grafana and rules of Prometheus, from the families that a registry defines.

    >>> from pytheus import Counter
    >>> from pytheus.registry import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> orders = Counter("orders_total", "Orders placed.", ["method"], registry=registry)
    >>> families = families_of_registry(registry)
    >>> dashboard = grafana_dashboard("shop", families)
    >>> print(dashboard["panels"][1]["targets"][0]["expr"])
    sum by (method) (rate(orders_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))

Modules:

- `families`: the families of a registry or of a scrape, without numbers
- `units`: Grafana's ids of units
- `promql`: expressions of PromQL
- `pairs`: gauges with a limit, errors with a total
- `requests`: the metrics of HTTP requests
- `rules`: recording and alerting rules
- `rule_file`: the YAML of rules
- `panels`: the panels of a dashboard, by rows
- `grafana`: a dashboard as JSON
"""

from pytheus.dashboard.families import FamilyInfo, families_of_exposition, families_of_registry
from pytheus.dashboard.grafana import dashboard_text, grafana_dashboard
from pytheus.dashboard.rules import AlertThresholds, prometheus_rules

__all__ = [
    "AlertThresholds",
    "FamilyInfo",
    "dashboard_text",
    "families_of_exposition",
    "families_of_registry",
    "grafana_dashboard",
    "prometheus_rules",
]
