"""Dashboard and alert rules: every metric and label in them exists."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chargehand.system.metrics import FAMILIES

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "monitoring"
DASHBOARD, RULES = FOLDER / "grafana-dashboard.json", FOLDER / "prometheus-rules.yml"
OF_PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus adds."""


def labels_by_name():
    """Return the labels of every name that a scrape can have."""
    found = {}
    for family in FAMILIES:
        labels = {*family.labels, *(() if family.of_node else ("worker",))}
        if family.kind == "histogram":
            found[f"{family.name}_bucket"] = labels | {"le"}
            found[f"{family.name}_sum"] = found[f"{family.name}_count"] = labels
        else:
            found[family.name] = labels
    return found


KNOWN = labels_by_name()
METRIC = re.compile(r"\bchargehand_\w+")
SELECTED = re.compile(r"(chargehand_\w+)\s*\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def faults(expression, shown=""):
    """List the names and labels of an expression, and of what is shown with it, that there are not."""
    names = METRIC.findall(expression)
    wrong = [name for name in names if name not in KNOWN]
    there = set(OF_PROMETHEUS).union(*(KNOWN.get(name, ()) for name in names))
    for name, matchers in SELECTED.findall(expression):
        wrong += [
            f"{name}{{{label}}}"
            for label in MATCHER.findall(matchers)
            if label not in KNOWN.get(name, set()) | OF_PROMETHEUS
        ]
    for group in GROUPED.findall(expression):
        wrong += [label.strip() for label in group.split(",") if label.strip() not in there]
    wrong += [f"shown {label}" for label in SHOWN.findall(shown) if label not in there]
    return wrong


def panels():
    board = json.loads(DASHBOARD.read_text())
    return [(panel["title"], panel["targets"]) for panel in board["panels"] if "targets" in panel]


def rules():
    blocks = RULES.read_text().split("- alert: ")[1:]
    return [(block.split("\n", 1)[0], block) for block in blocks]


def test_a_wrong_name_and_a_wrong_label_are_found():
    assert faults("rate(chargehand_nothing[5m])") == ["chargehand_nothing"]
    assert faults('chargehand_connections{action="x"}') == ["chargehand_connections{action}"]
    assert faults("sum by (action) (chargehand_connections)") == ["action"]
    assert faults("chargehand_connections", "{{ $labels.plugin }}") == ["shown plugin"]


@pytest.mark.parametrize(("title", "targets"), panels(), ids=[title for title, _ in panels()])
def test_a_panel_has_metrics_and_labels_that_exist(title, targets):
    assert targets, title
    for target in targets:
        assert METRIC.search(target["expr"])
        assert faults(target["expr"], target["legendFormat"]) == []


@pytest.mark.parametrize(("name", "block"), rules(), ids=[name for name, _ in rules()])
def test_a_rule_has_metrics_and_labels_that_exist(name, block):
    assert METRIC.search(block), name
    assert faults(block, block) == []


def test_the_dashboard_shows_every_family():
    text = DASHBOARD.read_text()
    unseen = {"chargehand_charge_points", "chargehand_cluster_nodes", "chargehand_forwarded_commands"}
    unseen |= {
        "chargehand_hosted_commands",
        "chargehand_occurrences_total",
        "chargehand_plugin_quarantines_total",
    }
    unseen |= {
        "chargehand_certificate_expiry_timestamp_seconds",
        "chargehand_process_start_time_seconds",
    }
    assert {family.name for family in FAMILIES if family.name not in text} <= unseen


def test_panels_do_not_lie_on_one_another():
    taken = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_rules():
    subprocess.run(["promtool", "check", "rules", str(RULES)], check=True, timeout=60)


def test_they_are_in_the_source_distribution():
    assert "recursive-include monitoring *.json *.yml" in (ROOT / "MANIFEST.in").read_text()
