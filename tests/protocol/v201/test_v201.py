"""OCPP 2.0.1: the table of its actions, what the package exports, and how deviating messages are read."""

import inspect
import json
import re
import string
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest

from chargehand import v201
from chargehand.protocol.actions import ALLOTTED, Action, FallbackFacts, Needs, Sender
from chargehand.protocol.errors import ErrorCode, Refused, read_code
from chargehand.protocol.message import Message, wire_name
from chargehand.protocol.payload import build, encode, lenient, strict
from chargehand.protocol.v201 import configuration
from chargehand.protocol.v201.types import Block
from chargehand.protocol.verbs import VERBS, VerbRefused

ROWS = list(v201.VERSION.actions.values())
TIME = "2026-05-04T12:00:00Z"
BLOCKS = [3, 8, 2, 2, 2, 4, 3, 3, 1, 1, 9, 5, 5, 11, 4, 1]
PASSIVE = v201.VERSION.sent_by(Sender.CHARGE_POINT)
EVENT = {
    "eventType": "Started",
    "timestamp": TIME,
    "triggerReason": "CablePluggedIn",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "t-1"},
}


def event(**changes):
    members = {**EVENT, **changes}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def test_there_are_64_actions_in_16_blocks():
    assert len(ROWS) == 64
    assert [sum(row.profile is block for row in ROWS) for block in Block] == BLOCKS


def test_24_actions_are_sent_by_stations_and_39_to_them():
    senders = [row.sender for row in ROWS]
    assert senders.count(Sender.CHARGE_POINT) == 24
    assert senders.count(Sender.CENTRAL_SYSTEM) == 39
    assert [row.name for row in ROWS if row.sender is Sender.EITHER] == ["DataTransfer"]


def test_the_version_has_its_name_and_its_subprotocol():
    assert (v201.VERSION.name, v201.VERSION.subprotocol) == ("2.0.1", "ocpp2.0.1")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_classes_of_an_action_have_its_name(row: Action):
    assert row.request.__name__ == row.name
    assert row.response.__name__ == f"{row.name}Response"
    assert getattr(v201, row.name) is row.request
    assert getattr(v201, f"{row.name}Response") is row.response


def test_everything_that_is_exported_is_a_message_or_an_enumeration_with_a_docstring():
    for name in v201.__all__:
        if name in ("ALLOTTED", "CRITICAL_SECURITY_EVENTS", "VERSION", "variable_key"):
            continue
        kind = getattr(v201, name)
        assert issubclass(kind, Message | Enum)
        assert "OCPP 2.0.1" in inspect.getdoc(kind)


def test_every_object_may_carry_custom_data():
    for name in v201.__all__:
        kind = getattr(v201, name)
        if isinstance(kind, type) and issubclass(kind, Message):
            assert next(iter(kind.__members__)) == "customData"


# -- Columns -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", PASSIVE, ids=lambda row: row.name)
def test_a_fallback_answer_is_a_valid_answer_or_none(row):
    if row.fallback is not None:
        request = strict(row.request, event()) if row.transaction and row.name == "TransactionEvent" else None
        strict(row.response, row.fallback(FallbackFacts(TIME, None, "Accepted", request)))


def test_only_where_an_answer_would_say_what_nobody_knows_there_is_no_fallback():
    assert {row.name for row in PASSIVE if row.fallback is None} == {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "Get15118EVCertificate",
        "GetCertificateStatus",
        "SignCertificate",
    }


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        (None, {}),
        ({"idToken": "T", "type": "ISO14443"}, {"idTokenInfo": {"status": "Blocked"}}),
        ({"idToken": "", "type": "NoAuthorization"}, {"idTokenInfo": {"status": "Accepted"}}),
    ],
)
def test_the_fallback_of_an_event_answers_its_token(token, answer):
    request = strict(v201.TransactionEvent, event(idToken=token))
    row = v201.TransactionEvent.__action__
    assert json.loads(row.fallback(FallbackFacts(TIME, None, "Blocked", request))) == answer


def test_an_event_that_cannot_be_read_gets_an_empty_fallback():
    assert v201.TransactionEvent.__action__.fallback(FallbackFacts(TIME, None, "Accepted")) == b"{}"


def test_the_transaction_messages_are_those_that_are_spooled():
    assert {row.name for row in ROWS if row.transaction} == {"TransactionEvent", "MeterValues"}


def test_urgent_commands_pass_others():
    assert {row.name for row in ROWS if row.urgent} == {
        "CancelReservation",
        "RequestStartTransaction",
        "RequestStopTransaction",
        "Reset",
        "UnlockConnector",
    }


def test_only_starts_and_stops_wait_for_the_registration():
    accepted = {row.name for row in ROWS if row.needs is Needs.ACCEPTED}
    assert accepted == {"RequestStartTransaction", "RequestStopTransaction"}
    assert [row.name for row in ROWS if row.needs is Needs.NONE] == ["BootNotification"]
    assert [row.name for row in ROWS if row.registers] == ["BootNotification"]


def test_a_number_that_a_command_is_allotted_is_one_of_its_required_members():
    numbered = {row.name: row.numbered for row in ROWS if row.numbered}
    assert numbered.pop("RequestStartTransaction") == "remote_start_id"
    assert set(numbered.values()) == {"request_id"}
    assert set(numbered) == {
        row.name
        for row in ROWS
        if row.sender is Sender.CENTRAL_SYSTEM and "requestId" in row.request.__members__
    }
    for row in ROWS:
        if row.numbered:
            assert row.request.__members__[wire_name(row.request, row.numbered)].required


def test_a_message_names_its_transaction():
    assert v201.TransactionEvent.__action__.transaction_of(strict(v201.TransactionEvent, event())) == "t-1"
    stop = v201.RequestStopTransaction(transaction_id="t-2")
    assert v201.RequestStopTransaction.__action__.transaction_of(stop) == "t-2"


def test_a_status_is_that_of_an_evse_and_a_connector():
    key = v201.StatusNotification.__action__.connector_status
    both = [
        v201.StatusNotification(
            timestamp=None, connector_status="Available", evse_id=evse, connector_id=connector
        )
        for evse, connector in ((1, 1), (2, 1))
    ]
    assert [key(one) for one in both] == ["1/1", "2/1"]


SUPERSEDING = {
    "ChangeAvailability", "ClearCache", "CostUpdated", "SetChargingProfile", "SetDisplayMessage", "SetMonitoringBase",
    "SetMonitoringLevel", "SetNetworkProfile", "SetVariables", "TriggerMessage", "UpdateFirmware",
}  # fmt: skip


def test_commands_that_say_what_shall_hold_supersede_older_ones():
    assert {row.name for row in ROWS if row.supersede_key is not None} == SUPERSEDING


def set_variable(value, name="BasicAuthPassword", component="SecurityCtrlr", kind=None):
    return v201.SetVariableData(
        attribute_type=kind,
        attribute_value=value,
        component=v201.Component(name=component),
        variable=v201.Variable(name=name),
    )


def test_keys_are_values_even_of_requests_with_custom_data():
    custom = {"vendorId": "V"}
    first = v201.ChangeAvailability(
        evse=v201.EVSE(id=1, custom_data=custom), operational_status="Operative", custom_data=custom
    )
    second = v201.ChangeAvailability(evse=v201.EVSE(id=1), operational_status="Inoperative")
    key = v201.ChangeAvailability.__action__.supersede_key
    assert key(first) == key(second)
    row = v201.SetVariables.__action__
    names = [set_variable("1", "A", "C"), set_variable("2", "B", "C")]
    there, back = (v201.SetVariables(set_variable_data=tuple(data)) for data in (names, names[::-1]))
    assert row.supersede_key(there) == row.supersede_key(back)
    assert row.supersede_key(there) != row.supersede_key(v201.SetVariables(set_variable_data=(names[0],)))
    for one in (first, second, there):
        hash(one.__action__.supersede_key(one))


def test_a_password_is_a_credential_and_is_never_shown():
    row = v201.SetVariables.__action__
    secret = v201.SetVariables(set_variable_data=(set_variable("1", "A", "C"), set_variable("s3cret" * 3)))
    assert row.carries_credential(secret)
    assert row.credential(secret).value == "s3cret" * 3
    shown = encode(row.redacted(secret))
    assert b"s3cret" not in shown
    assert b'"1"' in shown
    assert not row.carries_credential(v201.SetVariables(set_variable_data=(set_variable("1", "A", "C"),)))


def result(kind, status, name, component="SmartChargingCtrlr", **more):
    return kind(
        attribute_status=status,
        component=v201.Component(name=component),
        variable=v201.Variable(name=name),
        **more,
    )


def test_what_variables_a_station_tells_is_its_configuration():
    told = v201.GetVariablesResponse(
        get_variable_result=(
            result(v201.GetVariableResult, "Accepted", "RateUnit", attribute_value="A"),
            result(v201.GetVariableResult, "Rejected", "Other", attribute_value="1"),
            result(v201.GetVariableResult, "Accepted", "Most", attribute_value="9", attribute_type="MaxSet"),
        )
    )
    assert v201.GetVariables.__action__.configuration(None, told) == {"SmartChargingCtrlr.RateUnit": "A"}


def test_variables_that_a_station_takes_are_its_configuration_but_for_the_password():
    request = v201.SetVariables(
        set_variable_data=(
            set_variable("10", "A", "C"),
            set_variable("11", "B", "C"),
            set_variable("12", "D", "C"),
            set_variable("p" * 20),
        )
    )
    taken = v201.SetVariablesResponse(
        set_variable_result=(
            result(v201.SetVariableResult, "RebootRequired", "D", "C"),
            result(v201.SetVariableResult, "Accepted", "a", "c"),
            result(v201.SetVariableResult, "Rejected", "B", "C"),
            result(v201.SetVariableResult, "Accepted", "BasicAuthPassword", "SecurityCtrlr"),
        )
    )
    configuration_of = v201.SetVariables.__action__.configuration
    assert configuration_of(request, taken) == {"C.A": "10", "C.D": "12"}
    assert configuration_of(request, None) == {}


def test_errors_are_spelt_as_ocpp_2_0_1_has_them():
    assert v201.VERSION.spell(ErrorCode.FORMATION_VIOLATION) == "FormatViolation"
    assert v201.VERSION.spell(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION) == "OccurrenceConstraintViolation"
    assert v201.VERSION.spell(ErrorCode.RPC_FRAMEWORK_ERROR) == "RpcFrameworkError"
    assert v201.VERSION.spell(ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED) == "MessageTypeNotSupported"
    for code in ErrorCode:
        assert read_code(v201.VERSION.spell(code)) is code


def test_facts_of_the_hardware_are_read_from_a_boot():
    payload = b'{"chargingStation":{"vendorName":"Acme","model":"One","modem":5}}'
    assert v201.VERSION.boot_facts(payload)[:2] == ("Acme", "One")
    for odd in (b"", b"{}", b"[", b'{"chargingStation":5}', b"[" * 100_000):
        assert v201.VERSION.boot_facts(odd) == ("", "", (), "")


ROOT = Path(__file__).parents[3]
LETTERS = dict(zip(Block, string.ascii_uppercase, strict=False))


def test_the_page_about_ocpp_2_0_1_lists_every_action_with_its_block_and_its_columns():
    told = {}
    for line in (ROOT / "docs/ocpp201.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in v201.VERSION.actions:
            told.setdefault(cells[0], []).append(cells[1:])
    commands = {row.name: row for row in ROWS if row.sender.allows(Sender.CENTRAL_SYSTEM)}
    assert set(told) == {row.name for row in ROWS}
    for row in ROWS:
        assert {cells[0] for cells in told[row.name]} == {LETTERS[row.profile]}
    verbs: set[str] = set()
    for name, row in commands.items():
        _, effect, number, key, named, _ = told[name][-1]
        verbs |= set(re.findall("`([a-z_]+)`", named))
        assert (bool(effect), bool(number), bool(key)) == (
            row.effect is not None,
            bool(row.numbered),
            row.supersede_key is not None,
        )
    assert verbs == {name for name, kind in VERBS.items() if kind in v201.VERSION.verbs}
    for row in PASSIVE:
        assert (told[row.name][0][1] == "InternalError") == (row.fallback is None)


# -- Reading -----------------------------------------------------------------------------


def test_custom_data_passes_the_strict_policy_anywhere():
    custom = {"vendorId": "V", "more": [1.5]}
    payload = event(customData=custom, transactionInfo={"transactionId": "t", "customData": custom})
    request = strict(v201.TransactionEvent, payload)
    assert request.custom_data == {"vendorId": "V", "more": [Decimal("1.5")]}
    assert request.transaction_info.custom_data["vendorId"] == "V"


@pytest.mark.parametrize(
    ("changes", "member", "value"),
    [
        ({"triggerReason": None}, "trigger_reason", ""),
        ({"triggerReason": "Whim"}, "trigger_reason", "Whim"),
        ({"eventType": None}, "event_type", v201.TransactionEventType.UPDATED),
        ({"seqNo": None}, "seq_no", -1),
        ({"seqNo": "4"}, "seq_no", 4),
        ({"offline": "yes"}, "offline", None),
        ({"evse": 3}, "evse", None),
        ({"meterValue": {}}, "meter_value", None),
        ({"idToken": "T"}, "id_token", None),
        ({"idToken": {"idToken": "T"}}, "id_token", v201.IdToken(id_token="T", type="")),
        (
            {"idToken": {"idToken": "T", "type": "ISO14443", "additionalInfo": "no"}},
            "id_token",
            v201.IdToken(id_token="T", type=v201.IdTokenType.ISO14443),
        ),
        ({"reservationId": 1.5}, "reservation_id", None),
    ],
)
def test_an_event_is_read_although_a_member_is_missing_or_wrong(changes, member, value):
    with pytest.raises(Refused):
        strict(v201.TransactionEvent, event(**changes))
    request, deviations = lenient(v201.TransactionEvent, event(**changes))
    assert getattr(request, member) == value
    assert deviations


def test_a_wrong_sample_costs_that_sample_alone():
    good = {"value": 1.5}
    payload = event(meterValue=[{"timestamp": TIME, "sampledValue": [{"value": "much"}, good]}])
    request, deviations = lenient(v201.TransactionEvent, payload)
    assert [one.value for one in request.meter_value[0].sampled_value] == [Decimal("1.5")]
    assert deviations


def test_an_event_without_the_id_of_its_transaction_cannot_be_read():
    with pytest.raises(Refused):
        lenient(v201.TransactionEvent, event(transactionInfo={}))


def test_a_boot_is_read_whatever_is_missing():
    request, deviations = lenient(v201.BootNotification, b"{}")
    assert request.charging_station == v201.ChargingStation(model="", vendor_name="")
    assert request.reason is v201.BootReason.UNKNOWN
    assert len(deviations) == 2


def test_a_status_counts_although_its_explanation_cannot_be_read():
    for info in ("no", {}):
        payload = json.dumps({"status": "Rejected", "statusInfo": info}).encode()
        assert str(lenient(v201.ResetResponse, payload)[0].status) == "Rejected"


def test_a_cost_is_written_as_it_was_given():
    response = v201.TransactionEventResponse(total_cost=Decimal("12.345"))
    assert build(v201.TransactionEventResponse, response) == b'{"totalCost":12.345}'
    assert build(v201.TransactionEventResponse, {"totalCost": 0}) == b'{"totalCost":0}'
    assert build(v201.TransactionEventResponse, {}) == b"{}"


# -- Variables as configuration ----------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "A.B",
        "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
        "C[x].V",
        "1/2/Connector.Enabled",
        "1/0/EVSE.Power",
    ],
)
def test_a_text_that_names_a_variable_is_read_back(key):
    assert configuration.variable_key(*configuration.variable_of(key)) == key


@pytest.mark.parametrize("key", configuration.OLDER)
def test_a_key_of_ocpp_1_6_names_the_variable_behind_it(key):
    named = configuration.variable_key(*configuration.variable_of(key.upper()))
    assert named == configuration.OLDER[key]


@pytest.mark.parametrize("key", ["", "Heartbeat", ".", "A.", "A.B[", "A[.B", "1/A.B"])
def test_a_text_that_names_no_variable_is_refused(key):
    with pytest.raises(VerbRefused, match=r"Component\.Variable"):
        configuration.variable_of(key)


def test_the_number_to_be_allotted_is_none_that_a_station_may_send_back():
    assert ALLOTTED < 0
