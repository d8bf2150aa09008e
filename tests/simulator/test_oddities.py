"""Oddities by name: each is shown, is described in the documentation, and changes only what it says."""

import json
import re
from pathlib import Path

import gevent
import pytest

from chargehand.simulator.models import MODELS
from chargehand.simulator.oddities import ODDITIES
from chargehand.testing import Stage

DOCS = Path(__file__).parents[2] / "docs" / "simulator.md"
START = {"StartTransaction", "TransactionEvent"}


@pytest.fixture
def stage():
    with Stage(bundled=True) as stage:
        yield stage


def sent(charge_point, action):
    """Return the payloads of a charge point's calls, as they were sent."""
    found = []
    for entry in charge_point.record:
        if entry.kind == "sent":
            try:
                frame = json.loads(entry.data)
            except ValueError:
                continue
            if frame[0] == 2 and frame[2] == action:
                found.append(frame[3])
    return found


def test_the_documentation_has_each_misbehaviour_once_with_its_versions():
    rows = re.findall(r"^\| `([\w.-]+)` \| ([\d., ]+) \| (\w+) \| ", DOCS.read_text(), re.MULTILINE)
    written = {name: (versions, energy) for name, versions, energy in rows}
    assert len(rows) == len(written)
    known = {}
    for version, model in MODELS.items():
        for name, energy in model.misbehaviours.items():
            versions = [known[name][0], version] if name in known else [version]
            known[name] = (", ".join(versions), energy)
    assert written == known


def test_registers_in_kwh_are_the_same_energy(stage):
    charge_point = stage.simulate("CP1", version="1.6", misbehaviour=["kwh"])
    charge_point.charge("T1", wh=1234)
    sample = sent(charge_point, "MeterValues")[0]["meterValue"][0]["sampledValue"][0]
    assert (sample["value"], sample["unit"]) == ("1.234", "kWh")
    (one,) = stage.store.transactions()
    assert one.meter_stop == 1234


def test_a_transaction_message_that_is_cut_off_is_sent_again(stage):
    charge_point = stage.simulate("CP1", version="1.6", misbehaviour=["truncated"])
    charging = gevent.spawn(lambda: [charge_point.charge("T1", wh=100) for _ in range(3)])
    for _ in range(3):
        stage.settle()
        stage.advance(120)
    charging.get(timeout=60)
    assert [one.open for one in stage.store.transactions()] == [False] * 3


def test_a_station_that_never_stops_leaves_its_transaction_open(stage):
    charge_point = stage.simulate("CP1", version="2.0.1", misbehaviour=["never-stops"])
    transaction = charge_point.charge("T1", wh=100)
    stage.settle()
    assert not transaction.running
    assert {one["eventType"] for one in sent(charge_point, "TransactionEvent")} == {"Started", "Updated"}
    assert [one.open for one in stage.store.transactions()] == [True]


def test_a_stop_without_a_number_closes_the_transaction_of_its_tag(stage):
    charge_point = stage.simulate("CP1", version="1.6", misbehaviour=["stop-without-number"])
    charge_point.charge("T1", wh=100)
    stage.settle()
    assert sent(charge_point, "StopTransaction")[0]["transactionId"] == -1
    assert [one.open for one in stage.store.transactions()] == [False]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (version, name)
        for version, model in MODELS.items()
        for name in model.misbehaviours
        # The others need time, or a network: fleets have them.
        if name != "truncated" and (name not in ODDITIES or ODDITIES[name].begin is None)
    ],
)
def test_a_charge_point_charges_with_each_of_them(stage, version, name):
    charge_point = stage.simulate("CP1", version=version, misbehaviour=[name])
    for _ in range(2):
        charge_point.charge("T1", wh=500, readings=4)
        stage.advance(300)
    assert len(charge_point.backlog) == 0
    assert not charge_point.backlog.thrown_away
    assert stage.store.transactions()
