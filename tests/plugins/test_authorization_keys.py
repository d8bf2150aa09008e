"""Key rotation: conclusions from each final state of a command about the key that it carried."""

import pytest

from chargehand import v16, v201
from chargehand.plugins.authorization_keys import AuthorizationKeys
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

KEY = "00112233445566778899aabbccddeeff00112233"


class KeyStage(Stage):
    """Stage that notes the keys that it is told."""

    def __init__(self, *plugins, **options):
        super().__init__(*plugins, **options)
        self.keys = []

        self.dropped = []

    def key_sent(self, charge_point_id, value, *, certain):
        self.keys.append((charge_point_id, value, certain))

    def key_refused(self, charge_point_id, value):
        self.dropped.append((charge_point_id, value))


@pytest.fixture
def stage():
    with KeyStage(AuthorizationKeys.spec()) as stage:
        yield stage


def sent(stage, key="AuthorizationKey"):
    """Send CP1 a key; return its connection and the command that it got."""
    charge_point = stage.connect("CP1")
    stage.send("CP1", v16.ChangeConfiguration(key=key, value=KEY), timeout_s=30)
    stage.settle()
    (call,) = charge_point.take()
    return charge_point, call


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": "Accepted"}, [("CP1", KEY, True)]),
        ({"status": "RebootRequired"}, [("CP1", KEY, False)]),
        ({"status": "Rejected"}, []),
        ({"status": "NotSupported"}, []),
        ({"status": "Perhaps"}, [("CP1", KEY, False)]),
        ({"status": 17}, [("CP1", KEY, False)]),
        ({}, [("CP1", KEY, False)]),
        ("no object", [("CP1", KEY, False)]),
    ],
)
def test_only_accepted_is_certain_and_what_cannot_be_read_may_be(stage, answer, told):
    charge_point, call = sent(stage)
    charge_point.answer(call, answer)
    stage.settle()
    assert stage.keys == told


def test_an_error_means_that_the_key_was_not_taken(stage):
    charge_point, call = sent(stage)
    charge_point.refuse(call, "InternalError")
    stage.settle()
    assert stage.keys == []


def test_an_answer_that_does_not_come_leaves_the_key_in_doubt(stage):
    sent(stage)
    stage.advance(31)
    assert stage.keys == [("CP1", KEY, False)]


def test_a_connection_that_is_lost_leaves_the_key_in_doubt(stage):
    charge_point, _ = sent(stage, "authorizationKEY")
    charge_point.hang_up()
    stage.settle()
    assert stage.keys == [("CP1", KEY, False)]


def test_other_configuration_keys_are_no_keys(stage):
    charge_point, call = sent(stage, "HeartbeatInterval")
    charge_point.answer(call, {"status": "Accepted"})
    stage.settle()
    assert stage.keys == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Accepted", [("CP1", b"secret-of-16-chars", True)]),
        ("RebootRequired", [("CP1", b"secret-of-16-chars", False)]),
        ("Rejected", []),
        (None, [("CP1", b"secret-of-16-chars", False)]),
    ],
)
def test_a_password_of_2_0_1_is_kept_as_its_own_result_says(status, told):
    def variable(component, name):
        return {"component": {"name": component}, "variable": {"name": name}}

    data = [
        {"attributeValue": value, **variable(component, name)}
        for component, name, value in (
            ("OCPPCommCtrlr", "HeartbeatInterval", "60"),
            ("SecurityCtrlr", "BasicAuthPassword", "secret-of-16-chars"),
        )
    ]
    results = [{"attributeStatus": "Rejected", **variable("OCPPCommCtrlr", "HeartbeatInterval")}]
    if status is not None:
        results.append({"attributeStatus": status, **variable("SecurityCtrlr", "BasicAuthPassword")})
    rules = SessionRules(version=v201.VERSION)
    with KeyStage(AuthorizationKeys.spec(), rules=rules) as stage:
        charge_point = stage.connect("CP1")
        command = v201.SetVariables(
            set_variable_data=tuple(
                v201.SetVariableData(
                    attribute_value=one["attributeValue"],
                    component=v201.Component(name=one["component"]["name"]),
                    variable=v201.Variable(name=one["variable"]["name"]),
                )
                for one in data
            )
        )
        stage.send("CP1", command, timeout_s=30)
        stage.settle()
        (call,) = charge_point.take()
        charge_point.answer(call, {"setVariableResult": results})
        stage.settle()
        assert stage.keys == told


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_a_key_that_was_not_taken_is_dropped(stage, status):
    charge_point, call = sent(stage)
    charge_point.answer(call, {"status": status})
    stage.settle()
    assert stage.dropped == [("CP1", KEY)]
