"""A dashboard of Grafana, as JSON, in the classic model that every version imports.

Rules:

- The same families give the same text, and a family keeps the ids of its panels when others are added: ids are digests
  of names, and positions follow the order of the families.
- The data source, the job and the instances are variables, so that a dashboard fits every Grafana.
- Titles and descriptions contain no variable that Grafana would replace, and no HTML.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from pytheus.dashboard.families import FamilyInfo
from pytheus.dashboard.panels import Panel, Query, Row, rows_of
from pytheus.dashboard.rules import DEFAULT_THRESHOLDS, AlertThresholds

__all__ = ["dashboard_text", "grafana_dashboard"]

_SCHEMA_VERSION: Final = 39
_COLUMNS: Final = 24
_WIDTH: Final = 8
_HEIGHT: Final = 8
_IDS: Final = 2**31 - 1
_VARIABLE: Final = re.compile(r"\$|\[(?=\[)")
_ZERO_WIDTH_SPACE: Final = "\u200b"
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_TOOLTIP: Final = {"mode": "multi", "sort": "desc"}
_OPTIONS: Final[dict[str, dict[str, object]]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": _TOOLTIP},
    "state-timeline": {
        "legend": _LEGEND,
        "tooltip": _TOOLTIP,
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "never",
    },
    "table": {"showHeader": True, "frameIndex": 0},
}
_CUSTOM: Final[dict[str, dict[str, object]]] = {
    "timeseries": {"drawStyle": "line", "fillOpacity": 10, "lineWidth": 1, "showPoints": "never"},
    "state-timeline": {"fillOpacity": 80},
    "table": {},
}
# Columns of an instant query that are the same for every info.
_HIDDEN_COLUMNS: Final = ("Time", "Value", "__name__", "job")


def grafana_dashboard(
    app: str, families: Iterable[FamilyInfo], thresholds: AlertThresholds = DEFAULT_THRESHOLDS
) -> dict[str, object]:
    """Return a dashboard of `families`, as it becomes JSON; `app` is its title, and the job that it shows first.

        >>> dashboard = grafana_dashboard("shop", [FamilyInfo("orders_total", "counter", "Orders placed.")])
        >>> dashboard["title"], len(dashboard["panels"])
        ('shop', 2)

    The panels are the rows, and those of the families below their row.
    """
    ids = _Ids()
    return {
        "uid": f"pytheus-{hashlib.sha256(app.encode(errors='replace')).hexdigest()[:16]}",
        "title": _text(app),
        "tags": ["pytheus"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables(app)},
        "panels": _laid_out(rows_of(list(families), thresholds), ids),
    }


def dashboard_text(dashboard: dict[str, object]) -> str:
    """Return the text of a file with `dashboard`."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


class _Ids:
    """Ids of panels, each a digest of its key."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def __call__(self, key: str) -> int:
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        id_ = int.from_bytes(digest[:4]) % _IDS + 1
        while id_ in self._given:
            id_ = id_ % _IDS + 1
        self._given.add(id_)
        return id_


def _variables(app: str) -> list[dict[str, object]]:
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
        },
        _query_variable("job", "Job", "label_values(up, job)", app),
        _query_variable("instance", "Instance", 'label_values(up{job=~"$job"}, instance)', None),
    ]


def _query_variable(name: str, label: str, query: str, value: str | None) -> dict[str, object]:
    """A variable with the values of a label; without a `value`, it is all of them."""
    current = {"text": ["All"], "value": ["$__all"]} if value is None else {"text": [value], "value": [value]}
    variable: dict[str, object] = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": value is None,
        "current": current,
    }
    return variable | ({"allValue": ".*"} if value is None else {})


def _laid_out(rows: Sequence[Row], ids: _Ids) -> list[dict[str, object]]:
    laid_out: list[dict[str, object]] = []
    y = 0
    for row in rows:
        laid_out.append(
            {
                "id": ids(f"row/{row.title}"),
                "type": "row",
                "title": _text(row.title),
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y += 1
        per_line = _COLUMNS // _WIDTH
        for position, panel in enumerate(row.panels):
            line, column = divmod(position, per_line)
            grid = {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            laid_out.append({"id": ids(panel.key), "gridPos": grid, **_panel(panel)})
        y += -(-len(row.panels) // per_line) * _HEIGHT
    return laid_out


def _panel(panel: Panel) -> dict[str, object]:
    custom = dict(_CUSTOM[panel.kind])
    defaults: dict[str, object] = {"unit": panel.unit, "custom": custom}
    if panel.threshold is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.threshold}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    laid_out: dict[str, object] = {
        "type": panel.kind,
        "title": _text(panel.title),
        "description": _prose(panel.description),
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            _target(query, ref, is_table=panel.kind == "table")
            for query, ref in zip(panel.queries, "ABCDEF", strict=False)
        ],
    }
    if panel.kind == "table":
        excluded = dict.fromkeys(_HIDDEN_COLUMNS, True)
        laid_out["transformations"] = [{"id": "organize", "options": {"excludeByName": excluded}}]
    return laid_out


def _target(query: Query, ref: str, *, is_table: bool) -> dict[str, object]:
    return {
        "refId": ref,
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": _text(query.legend) or "__auto",
        "format": "table" if is_table else "time_series",
        "instant": is_table,
        "range": not is_table,
        "exemplar": query.has_exemplars,
    }


def _text(text: str) -> str:
    """`text` without a beginning of a variable: a space of no width follows each character that begins one."""
    return _VARIABLE.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, text).encode(errors="replace").decode()


def _prose(text: str) -> str:
    """A description, which Grafana shows as Markdown."""
    return _text(text.replace("&", "&amp;").replace("<", "&lt;"))
