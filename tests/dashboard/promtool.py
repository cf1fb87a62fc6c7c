"""Rules as promtool evaluates them on series that a test makes up."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytheus.dashboard import AlertThresholds, FamilyInfo, prometheus_rules
from pytheus.dashboard.rules import DEFAULT_THRESHOLDS

__all__ = ["alert", "check", "needs_promtool", "rules_of", "run_tests"]

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")


def rules_of(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def alert(text: str, name: str, metric: str) -> dict[str, Any]:
    (found,) = [rule for rule in rules_of(text) if rule.get("alert") == name and rule["labels"]["metric"] == metric]
    return found


def check(path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + path.read_text("utf-8")


Alert = tuple[str, str, str, Mapping[str, str], Mapping[str, str] | None]


def run_tests(
    folder: Path,
    families: Sequence[FamilyInfo],
    series: Mapping[str, str],
    alerts: Sequence[Alert] = (),
    values: Mapping[str, float] | None = None,
    thresholds: AlertThresholds = DEFAULT_THRESHOLDS,
) -> None:
    """Let promtool evaluate the rules on `series` in steps of a minute, and compare alerts and `values`.

    An alert is its time, name, metric and labels; its annotations are compared too, unless they are None: then it is
    expected to be absent. The values are those at 30 minutes, and are compared to thousandths.
    """
    text = prometheus_rules("shop", families, thresholds)
    (folder / "rules.yml").write_text(text, "utf-8")
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        # In a server, an alert may see a recorded series one evaluation later.
        "group_eval_order": ["shop: recording", "shop: alerts"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": numbers} for name, numbers in series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": at,
                        "alertname": name,
                        "exp_alerts": []
                        if annotations is None
                        else [
                            {
                                "exp_labels": dict(labels)
                                | {"metric": metric, "severity": alert(text, name, metric)["labels"]["severity"]},
                                "exp_annotations": dict(annotations),
                            }
                        ],
                    }
                    for at, name, metric, labels, annotations in alerts
                ],
                "promql_expr_test": [
                    {
                        "expr": f"round(1000 * {expression})",
                        "eval_time": "30m",
                        "exp_samples": [{"value": 1000 * value}],
                    }
                    for expression, value in (values or {}).items()
                ],
            }
        ],
    }
    (folder / "tests.yml").write_text(json.dumps(tests), "utf-8")
    done = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
