"""`/metrics` over HTTP, read with the parsers of prometheus_client."""

from pathlib import Path

import falcon
import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from chargehand import CentralSystem, Settings
from chargehand.config.settings import HttpSettings
from chargehand.protocol.histogram import Histogram
from chargehand.system.metrics import FAMILIES, packed, unpacked
from chargehand.web.metrics import NodeCollector

ROOT = Path(__file__).parents[2]
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def numbers(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def number(client, name, **labels):
    found = numbers(client.simulate_get("/metrics").text)
    return found.get((name, *sorted({**labels, "worker": "1"}.items())))


def test_calls_are_told_by_version_action_and_outcome(client, charge_point, wait_until):
    cp = charge_point("CP1")
    cp.send(2, "1", "Heartbeat", {})
    wait_until(
        lambda: number(
            client, "chargehand_calls_total", version="1.6", action="Heartbeat", outcome="answered"
        ),
        "the call is counted",
    )
    assert number(client, "chargehand_connections", version="1.6") == 1
    assert number(client, "chargehand_connections_opened_total", version="1.6") == 1
    labels = {"version": "1.6", "action": "Heartbeat"}
    assert number(client, "chargehand_call_answer_seconds_count", **labels) == 1
    assert number(client, "chargehand_call_handler_seconds_bucket", **labels, le="+Inf") == 1


def test_no_label_has_a_value_that_a_charge_point_chose(client, charge_point, wait_until):
    evil = "evil-value-42"
    cp = charge_point(evil)
    cp.send(2, "1", evil, {})
    cp.send(2, "2", "Authorize", {"idTag": evil, evil: evil})
    cp.send(2, "3", "StatusNotification", {"connectorId": 1, "errorCode": evil, "status": evil})
    cp.send(2, "4", "BootNotification", {"chargePointVendor": evil, "chargePointModel": evil})
    wait_until(
        lambda: number(
            client, "chargehand_calls_total", version="1.6", action="BootNotification", outcome="answered"
        ),
        "the last call is counted",
    )
    text = client.simulate_get("/metrics").text
    assert evil not in text
    assert number(client, "chargehand_calls_total", version="1.6", action="other", outcome="rejected") == 1


def test_every_line_belongs_to_a_family_with_its_labels(client, charge_point, wait_until):
    charge_point("CP1").send(2, "1", "Heartbeat", {})
    wait_until(lambda: "Heartbeat" in client.simulate_get("/metrics").text, "the call is counted")
    known = {family.name.removesuffix("_total"): family for family in FAMILIES}
    for told in parse_text(client.simulate_get("/metrics").text):
        family = known[told.name]
        assert told.type == family.kind
        assert told.documentation == family.meaning
        for sample in told.samples:
            labels = set(sample.labels) - {"le"}
            assert labels == {*family.labels, *(() if family.of_node else ("worker",))}


def test_openmetrics_is_told_to_those_who_accept_it(client):
    plain = client.simulate_get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    wanted = client.simulate_get("/metrics", headers=OPENMETRICS)
    assert wanted.headers["content-type"].startswith("application/openmetrics-text")
    told = list(parse_openmetrics(wanted.text))
    assert {family.name for family in told} == {family.name for family in parse_text(plain.text)}


def test_metrics_need_a_token_unless_a_setting_says_that_they_are_open(client, client_of):
    without = {"Authorization": ""}
    assert client.simulate_get("/metrics", headers=without).status == falcon.HTTP_401
    with CentralSystem(Settings(port=0, http=HttpSettings(open_metrics=True))) as system:
        answer = client_of(system).simulate_get("/metrics", headers=without)
        assert answer.status == falcon.HTTP_200
        assert client_of(system).simulate_get("/api/v1/counters", headers=without).status == falcon.HTTP_401


def test_the_numbers_of_several_processes_are_told_apart(system):
    sample = unpacked(packed(system.metrics.sample()))
    collector = NodeCollector({1: system.metrics.sample(), 2: sample}, here=1, missing=(3,))
    by_name = {family.name: family for family in collector.collect()}
    workers = [one.labels["worker"] for one in by_name["chargehand_charge_points"].samples]
    assert workers == ["1", "2"]
    up = {one.labels["worker"]: one.value for one in by_name["chargehand_worker_up"].samples}
    assert up == {"1": 1, "2": 1, "3": 0}
    assert len(by_name["chargehand_open_transactions"].samples) == 1, "the store is one for all"


def test_another_process_than_this_has_no_numbers_here(client):
    assert "chargehand_charge_points" not in client.simulate_get("/metrics?worker=2").text
    assert "chargehand_charge_points" in client.simulate_get("/metrics?worker=1").text


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_names_follow_the_rules_of_prometheus(family):
    assert family.name.startswith("chargehand_")
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not family.name.endswith(("_ms", "_wh", "_kb"))
    assert family.meaning.endswith(".")


def row(family):
    labels = ", ".join(family.labels if family.of_node else ("worker", *family.labels))
    return f"| `{family.name}` | {family.kind} | {labels} | {family.meaning} |"


def test_the_page_of_metrics_lists_every_family():
    told = (ROOT / "docs" / "metrics.md").read_text()
    listed = [line for line in told.splitlines() if line.startswith("| `chargehand_")]
    assert listed == [row(family) for family in FAMILIES]


def test_long_families_are_made_and_written_in_small_steps(monkeypatch):
    turns = []
    monkeypatch.setattr("gevent.sleep", turns.append)
    times = Histogram()
    labels = [("1.6", f"Action{number}") for number in range(200)]
    sample = {"chargehand_call_answer_seconds": [(one, times) for one in labels]}
    text = generate_latest(NodeCollector({1: sample}, here=1)).decode()
    assert text.count("\n") > 3000
    assert len(turns) >= 200 / 20 + 3000 / 200
