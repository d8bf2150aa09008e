"""Variables of device models in every store: what is told changes what it tells, and nothing else."""

import datetime as dt

import pytest

from chargehand.protocol.device_model import (
    ToldVariable,
    VariableAccess,
    VariableCharacteristics,
    VariableName,
)
from chargehand.store import variable_table

NOW = dt.datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=dt.UTC)
LIMIT = 1000
ACCESS = VariableAccess(mutability="ReadOnly", persistent=True)
KIND = VariableCharacteristics(data_type="integer", unit="s", max_limit="1.50", supports_monitoring=True)
INTERVAL = VariableName("OCPPCommCtrlr", "HeartbeatInterval")


def told(name=INTERVAL, value="300", attribute="Actual", **facts):
    return ToldVariable(name=name, attribute=attribute, value=value, has_value=True, **facts)


def values(store, charge_point_id="CP1", **narrowed):
    return {
        (one.name.text, one.attribute): one.value for one in store.variables.of(charge_point_id, **narrowed)
    }


def test_a_value_that_is_read_keeps_what_a_report_has_told(any_store):
    any_store.variables.put("CP1", [told(access=ACCESS, characteristics=KIND)], NOW, limit=LIMIT)
    later = NOW + dt.timedelta(hours=1)
    any_store.variables.put("CP1", [told(value="10")], later, limit=LIMIT).wait(60)
    (one,) = any_store.variables.of("CP1")
    assert (one.name, one.value, one.access, one.characteristics, one.updated_at) == (
        INTERVAL,
        "10",
        ACCESS,
        KIND,
        later,
    )


def test_a_report_without_a_value_takes_the_value_away(any_store):
    any_store.variables.put("CP1", [told()], NOW, limit=LIMIT).wait(60)
    any_store.variables.put("CP1", [ToldVariable(name=INTERVAL, access=ACCESS)], NOW, limit=LIMIT).wait(60)
    assert values(any_store) == {("OCPPCommCtrlr.HeartbeatInterval", "Actual"): "300"}
    any_store.variables.put("CP1", [told(value=None)], NOW, limit=LIMIT).wait(60)
    assert values(any_store) == {("OCPPCommCtrlr.HeartbeatInterval", "Actual"): None}


def test_instances_places_and_attributes_are_variables_of_their_own(any_store):
    names = [
        VariableName("Connector", "Enabled", evse=1, connector=1),
        VariableName("Connector", "Enabled", evse=1, connector=2),
        VariableName("EVSE", "Enabled", evse=1),
        VariableName("X", "Y", component_instance="a", instance="b"),
        VariableName("X", "Y", instance="b"),
        VariableName("x\x00\ud800", "\u20ac % _"),
    ]
    any_store.variables.put(
        "CP1", [told(name, str(number)) for number, name in enumerate(names)], NOW, limit=LIMIT
    )
    any_store.variables.put("CP1", [told(names[0], "t", "Target")], NOW, limit=LIMIT).wait(60)
    found = values(any_store)
    assert len(found) == len(names) + 1
    assert found["1/1/Connector.Enabled", "Target"] == "t"
    assert found["X[a].Y[b]", "Actual"] == "3"


def test_halves_of_surrogate_pairs_are_escaped_wherever_they_stand(opened):
    odd = "x\ud800"
    kind = VariableCharacteristics(unit=odd, values_list=odd)
    access = VariableAccess(mutability=odd)
    name = VariableName(odd, odd, odd, odd)
    given = told(name, odd, odd, access=access, characteristics=kind)
    opened().variables.put("CP1", [given], NOW, limit=LIMIT).wait(60)
    (one,) = opened().variables.of("CP1")
    assert (one.value, one.name.variable, one.characteristics.unit) == ("x\\ud800",) * 3


def test_names_are_compared_without_case(any_store):
    any_store.variables.put("CP1", [told()], NOW, limit=LIMIT)
    other = VariableName("ocppcommctrlr", "HEARTBEATINTERVAL")
    any_store.variables.put("CP1", [told(other, "5")], NOW, limit=LIMIT).wait(60)
    assert values(any_store) == {("ocppcommctrlr.HEARTBEATINTERVAL", "Actual"): "5"}


@pytest.mark.parametrize(
    ("search", "number"),
    [("heart", 1), ("OCPPCOMM", 2), ("ctrlr.", 3), ("%", 0), ("_", 0), ("[get", 1), ("", 3)],
)
def test_variables_are_found_by_a_part_of_their_text(any_store, search, number):
    names = [
        INTERVAL,
        VariableName("OCPPCommCtrlr", "X"),
        VariableName("DeviceDataCtrlr", "I", instance="GetReport"),
    ]
    any_store.variables.put("CP1", [told(name) for name in names], NOW, limit=LIMIT)
    any_store.variables.put("CP2", [told()], NOW, limit=LIMIT).wait(60)
    assert len(values(any_store, search=search)) == number


def test_variables_are_listed_by_text_and_limited(any_store):
    names = [VariableName("b", "x"), VariableName("A", "x"), VariableName("c", "x")]
    any_store.variables.put("CP1", [told(name) for name in names], NOW, limit=LIMIT).wait(60)
    assert [one.name.text for one in any_store.variables.of("CP1", limit=2)] == ["A.x", "b.x"]
    assert values(any_store, attribute="Target") == {}


def test_variables_are_forgotten_and_outlive_a_restart(opened):
    store = opened()
    for id_ in ("CP1", "CP2"):
        store.variables.put(id_, [told(access=ACCESS)], NOW, limit=LIMIT).wait(60)
    store.variables.forget("CP1").wait(60)
    store = opened()
    assert (values(store), len(values(store, "CP2"))) == ({}, 1)


def test_of_too_many_variables_those_told_longest_ago_are_dropped(any_store, monkeypatch):
    monkeypatch.setattr(variable_table, "LOOK_EVERY", 0)
    for number in range(5):
        name = VariableName("C", f"v{number}")
        any_store.variables.put("CP1", [told(name)], NOW + dt.timedelta(seconds=number), limit=3).wait(60)
    any_store.variables.put("CP1", [], NOW, limit=3).wait(60)
    assert [text for text, _ in values(any_store)] == ["C.v2", "C.v3", "C.v4"]
