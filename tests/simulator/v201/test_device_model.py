"""Device model of a simulated station: names, rules and reports, without a central system."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import v201
from chargehand.protocol.v201.configuration import OLDER, variable_of
from chargehand.simulator.v201.device_model import OF_A_CONNECTOR, OF_AN_EVSE, VARIABLES, DeviceModel

PLACES = ((1, 0), (1, 1), (2, 0), (2, 1))


@pytest.fixture
def model():
    return DeviceModel(PLACES)


def test_every_name_is_one_variable_that_can_be_read(model):
    keys = list(model.keys())
    assert len(keys) == len(VARIABLES) + 2 * (len(OF_AN_EVSE) + len(OF_A_CONNECTOR))
    for key in keys:
        component, variable = variable_of(key)
        result = model.get(v201.GetVariableData(component=component, variable=variable))
        assert result.attribute_status in ("Accepted", "Rejected")


def test_every_value_of_the_factory_can_be_set(model):
    for name, spec in VARIABLES.items():
        if spec.value:
            assert spec.fits(spec.value), name


def test_every_usual_key_of_ocpp_16_has_a_variable_here(model):
    missing = {key for key, name in OLDER.items() if model.spec(name) is None}
    assert not missing


def test_an_unknown_variable_of_the_factory_is_a_mistake():
    with pytest.raises(KeyError, match="Oven"):
        DeviceModel(PLACES, {"Oven.Heat": "1"})


def test_two_stations_share_nothing_that_changes(model):
    model.set("AuthCtrlr.Enabled", "false")
    assert DeviceModel(PLACES).flag("AuthCtrlr.Enabled")


@given(st.sampled_from(sorted(VARIABLES)), st.text(max_size=50))
def test_a_change_is_taken_whole_or_not_at_all(name, value):
    model = DeviceModel(PLACES)
    component, variable = variable_of(name)
    before = model[name]
    result = model.change(v201.SetVariableData(component=component, variable=variable, attribute_value=value))
    taken = result.attribute_status in ("Accepted", "RebootRequired")
    assert model[name] == (value if taken else before)
    assert taken <= VARIABLES[name].fits(value)
