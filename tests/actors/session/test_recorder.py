"""The flight recorder keeps the last frames within its bound, without their secrets."""

import json
import sys
import time

import pytest

from chargehand import v16
from chargehand.actors.session.recorder import ROW_BYTES, Recorder, redact

KEY = "0123456789abcdef"


def frame(action, payload, **how):
    return json.dumps([2, "1", action, payload], **how).encode()


def redacted(action, payload, **how):
    return json.loads(redact(frame(action, payload, **how)))[3]


# What is kept


def test_rows_come_back_in_order_with_their_times():
    recorder = Recorder(1000)
    recorder.note(1.25, "in", b"[2]")
    recorder.note(2.5, "out", b"[3]")
    recorder.note(3.0, "ticket", b"t-1 Reset sent")
    assert recorder.rows() == [
        {"at": 1.25, "kind": "in", "data": "[2]"},
        {"at": 2.5, "kind": "out", "data": "[3]"},
        {"at": 3.0, "kind": "ticket", "data": "t-1 Reset sent"},
    ]


def test_it_allocates_nothing_before_the_first_row():
    recorder = Recorder(1000)
    assert recorder._rows is None
    assert recorder.rows() == []
    assert recorder.size_bytes == 0


def test_a_few_rows_cost_little_beside_their_data():
    recorder = Recorder(8192)
    recorder.note(1.0, "in", b"[2]")
    assert sys.getsizeof(recorder._rows) < 200


def test_the_oldest_rows_go_when_it_is_full():
    recorder = Recorder(10 * (ROW_BYTES + 10))
    for number in range(100):
        recorder.note(float(number), "in", b"%010d" % number)
        assert recorder.size_bytes <= 10 * (ROW_BYTES + 10)
    kept = [row["data"] for row in recorder.rows()]
    assert kept == [f"{number:010d}" for number in range(100 - len(kept), 100)]
    assert len(kept) >= 7  # it makes room for a quarter at a time


def test_what_it_reckons_is_what_it_holds():
    recorder = Recorder(2000)
    for number in range(200):
        recorder.note(0.0, "in", b"x" * (number * 7 % 300))
        assert recorder.size_bytes == sum(len(row["data"]) + ROW_BYTES for row in recorder.rows())


def test_a_row_that_is_longer_than_the_bound_is_cut():
    recorder = Recorder(1000)
    recorder.note(1.0, "in", b"a")
    recorder.note(2.0, "in", b"b" * 1_000_000)
    assert recorder.size_bytes == 1000
    assert recorder.rows() == [{"at": 2.0, "kind": "in", "data": "b" * (1000 - ROW_BYTES)}]
    recorder.note(3.0, "out", b"c")
    assert [row["data"] for row in recorder.rows()] == ["c"]


def test_a_bound_below_one_row_keeps_the_time_of_the_last():
    recorder = Recorder(10)
    recorder.note(1.0, "in", b"abc")
    recorder.note(2.0, "in", b"def")
    assert recorder.rows() == [{"at": 2.0, "kind": "in", "data": ""}]


def test_a_dump_is_one_line_of_json_for_the_head_and_one_for_each_row():
    recorder = Recorder(1000)
    recorder.note(1.0, "in", '[2,"1","Authorize",{"idTag":"Zoë"}]'.encode())
    lines = recorder.dump({"charge_point": "CP1"}).splitlines()
    assert json.loads(lines[0]) == {"charge_point": "CP1", "registration": None}
    assert json.loads(lines[1])["data"] == '[2,"1","Authorize",{"idTag":"Zoë"}]'
    assert len(lines) == 2


def test_the_head_has_the_registration_from_before_the_first_row():
    recorder = Recorder(10 * (ROW_BYTES + 10), "Pending")
    recorder.note(1.0, "registration", b"Accepted")
    assert json.loads(recorder.dump({}).splitlines()[0]) == {"registration": "Pending"}
    for number in range(10):
        recorder.note(2.0, "in", b"%010d" % number)
    assert "registration" not in [row["kind"] for row in recorder.rows()]
    assert json.loads(recorder.dump({}).splitlines()[0]) == {"registration": "Accepted"}


def test_bytes_that_are_no_text_can_be_shown_all_the_same():
    recorder = Recorder(1000)
    recorder.note(1.0, "in", b"\xff")
    assert recorder.rows()[0]["data"] == "\N{REPLACEMENT CHARACTER}"


# What is not given away


@pytest.mark.parametrize(
    "key", ["AuthorizationKey", "authorizationkey", "BasicAuthPassword", "WIFI_PASSWORD"]
)
@pytest.mark.parametrize("how", [{}, {"separators": (",", ":")}, {"indent": 2}])
@pytest.mark.parametrize("order", [("key", "value"), ("value", "key")])
def test_the_value_of_a_secret_key_is_taken_out_in_either_order(key, how, order):
    change = {name: {"key": key, "value": KEY}[name] for name in order}
    assert redacted("ChangeConfiguration", change, **how) == {"key": key, "value": "***"}


def variable(value, component, name, order):
    item = {
        "attributeValue": value,
        "component": {"name": component, "evse": {"id": 1}},
        "variable": {"name": name, "customData": {"vendorId": "V"}},
    }
    return {member: item[member] for member in order}


@pytest.mark.parametrize("how", [{}, {"separators": (",", ":")}, {"indent": 2}])
@pytest.mark.parametrize(
    "order",
    [
        ("attributeValue", "component", "variable"),
        ("component", "variable", "attributeValue"),
        ("variable", "attributeValue", "component"),
    ],
)
def test_the_value_of_a_variable_that_is_a_password_is_taken_out(order, how):
    secret = variable(KEY, "SecurityCtrlr", "BasicAuthPassword", order)
    other = variable("300", "OCPPCommCtrlr", "HeartbeatInterval", order)
    hidden = {**secret, "attributeValue": "***"}
    for items in ([secret], [secret, other], [other, secret], [other, secret, other]):
        shown = redacted("SetVariables", {"setVariableData": items}, **how)
        assert shown == {"setVariableData": [hidden if item is secret else item for item in items]}


@pytest.mark.parametrize("length", range(60, 160, 7))
def test_the_value_of_a_variable_is_taken_out_where_a_cut_hides_its_name(length):
    secret = variable(KEY, "SecurityCtrlr", "BasicAuthPassword", ("attributeValue", "component", "variable"))
    data = frame("SetVariables", {"setVariableData": [secret]})[:length]
    assert KEY.encode() not in redact(data)


def test_a_message_with_a_password_is_not_shown_in_the_text_of_an_exception():
    text = f"SetVariableData(attribute_value='{KEY}', variable=Variable(name='BasicAuthPassword'))"
    assert redact(text.encode()).endswith(b"attribute_value=***")
    other = b"SetVariableData(attribute_value='300', variable=Variable(name='HeartbeatInterval'))"
    assert redact(other) == other


def test_passwords_and_keys_of_networks_are_taken_out():
    profile = {
        "apn": {"apn": "a", "apnPassword": KEY},
        "vpn": {"server": "s", "user": "u", "password": KEY, "key": KEY, "type": "L2TP"},
    }
    shown = redacted("SetNetworkProfile", {"connectionData": profile})["connectionData"]
    assert shown["apn"] == {"apn": "a", "apnPassword": "***"}
    assert shown["vpn"] == {"server": "s", "user": "u", "password": "***", "key": "***", "type": "L2TP"}


@pytest.mark.parametrize(
    "order", [("key", "readonly", "value"), ("value", "readonly", "key"), ("readonly", "key", "value")]
)
def test_it_is_taken_out_of_an_answer_to_get_configuration_too(order):
    secret = {"key": "AuthorizationKey", "readonly": False, "value": KEY}
    other = {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
    for entries in ([secret, other], [other, secret], [other, secret, other]):
        ordered = [{name: entry[name] for name in order} for entry in entries]
        data = redact(json.dumps([3, "1", {"configurationKey": ordered}]).encode())
        assert KEY.encode() not in data
        assert json.loads(data)[2]["configurationKey"] == [
            {**entry, "value": "***"} if entry is secret else entry for entry in entries
        ]


def test_a_value_with_quotes_and_backslashes_is_taken_out_whole():
    value = 'a"b\\c\\"d", "x": "'
    assert redacted("ChangeConfiguration", {"key": "AuthorizationKey", "value": value})["value"] == "***"
    assert redacted("ChangeConfiguration", {"value": value, "key": "AuthorizationKey"})["value"] == "***"


@pytest.mark.parametrize("cut", [1, 2, 5, 10])
def test_a_frame_that_was_cut_off_in_the_secret_does_not_show_the_rest_of_it(cut):
    data = frame("ChangeConfiguration", {"key": "AuthorizationKey", "value": f"{KEY}\\"})
    data = data[: data.index(KEY.encode()) + cut]
    assert redact(data).endswith(b'"value": "***')


@pytest.mark.parametrize("value", [KEY, "it's", 'a"b', "both ' and \"", "back\\"])
def test_a_message_that_an_exception_shows_does_not_show_its_secret(value):
    change = v16.ChangeConfiguration(key="AuthorizationKey", value=value)
    for text in (f"cannot do {change!r} now", repr(ValueError(f"cannot do {change!r}"))):
        assert redact(text.encode()).endswith(b"value=***")
    other = f"{v16.ChangeConfiguration(key='HeartbeatInterval', value='300')!r}".encode()
    assert redact(other) == other


@pytest.mark.parametrize("slash", ["/", "\\/"])
@pytest.mark.parametrize("password", ["pass", "p:a:s:s", "p@ss", "", "%40%2F"])
@pytest.mark.parametrize("action", ["GetDiagnostics", "UpdateFirmware"])
def test_the_password_in_a_url_is_taken_out(action, password, slash):
    url = f"ftp:{slash}{slash}user:{password}@example.com{slash}a:b@c"
    data = b'[2,"1","%b",{"location":"%b"}]' % (action.encode(), url.encode())
    wanted = f"ftp:{slash}{slash}user:***@example.com{slash}a:b@c"
    assert redact(data) == b'[2,"1","%b",{"location":"%b"}]' % (action.encode(), wanted.encode())


def test_a_url_within_a_sentence_is_found_too():
    data = b'[4,"1","GenericError","no upload to ftps://u:secret@host/x, nor to ftp://v:geheim@host",{}]'
    assert (
        redact(data)
        == b'[4,"1","GenericError","no upload to ftps://u:***@host/x, nor to ftp://v:***@host",{}]'
    )


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        (
            "CertificateSigned",
            {"certificateChain": "-----BEGIN CERTIFICATE-----\nMIIB:a@b\n-----END CERTIFICATE-----"},
        ),
        ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "MIIB"}),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}),
        ("ChangeConfiguration", {"value": "AuthorizationKey", "key": "LocalAuthListEnabled"}),
        (
            "UpdateFirmware",
            {"location": "https://example.com:8443/f?at=a@b", "retrieveDate": "2026-01-01T00:00:00Z"},
        ),
        (
            "GetLog",
            {
                "log": {"remoteLocation": "ftp://user@example.com/up"},
                "logType": "SecurityLog",
                "requestId": 1,
            },
        ),
        ("DataTransfer", {"vendorId": "a", "data": "12:30 at c@d.e"}),
        ("StopTransaction", {"transactionId": 1, "meterStop": 5, "timestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_what_is_no_secret_stays_as_it_is(action, payload):
    data = frame(action, payload)
    assert redact(data) == data


@pytest.mark.parametrize(
    "nasty",
    [
        b"a" * 100_000,
        b"a://" * 25_000,
        b"a://" + b":" * 100_000,
        b"a://" + b"b" * 100_000,
        b"a://b:" + b"@" * 100_000,
        b'"key":"' + b"password" * 12_000,
        b"key='password" * 8_000,
        b"key='AuthorizationKey', value='" + b"\\" * 100_000,
        b'"key":"AuthorizationKey"' + b" " * 100_000,
        b'"attributeValue":"' * 10_000,
        b'"attributeValue":"a","name":"' * 10_000,
        b"attribute_value=" * 10_000,
        b"},{" * 50_000 + b'"attributeValue":"a"' + b'"name":"password' * 10_000,
        b'"key":"AuthorizationKey","value":"' + b"\\" * 100_000,
    ],
)
def test_no_frame_takes_long(nasty):
    begun_at = time.process_time()
    redact(nasty)
    assert time.process_time() - begun_at < 15  # what is quadratic takes minutes


@pytest.mark.parametrize("cut", [0, 2, 12, 30])
@pytest.mark.parametrize("member", ["data", "Data", "customData"])
def test_what_is_reported_of_a_customer_is_taken_out(member, cut):
    value = 'eMAID " secret'
    payload = {"requestId": 7, "generatedAt": "2026-01-01T00:00:00Z", "seqNo": 0, "list": ["secret"]}
    payload[member] = {"vendorId": value} if member == "customData" else value
    data = frame("NotifyCustomerInformation", payload)
    shown = redact(data[: len(data) - cut])
    assert b"secret" not in shown
    assert b"2026-01-01T00:00:00Z" in shown
    assert b"NotifyCustomerInformation" in shown


def test_a_customer_report_is_not_shown_in_the_text_of_an_exception():
    text = "bad answer to NotifyCustomerInformation(data='secret', seq_no=0)"
    assert redact(text.encode()) == b"bad answer to NotifyCustomerInformation***"


@pytest.mark.parametrize("cut", [0, 2, 4])
def test_the_name_of_a_customer_that_is_asked_about_is_taken_out(cut):
    data = frame("CustomerInformation", {"report": True, "customerIdentifier": 'Ada " secret'})
    shown = redact(data[: len(data) - cut])
    assert b"secret" not in shown
    assert b"Ada" not in shown
    assert b'"report"' in shown


def test_the_pin_of_a_sim_card_is_taken_out():
    shown = redact(frame("SetNetworkProfile", {"apn": {"simPin": 4711, "apn": "internet"}}))
    assert b"4711" not in shown
    assert b"internet" in shown


def test_rows_since_a_time_are_told_and_that_some_may_have_been_dropped():
    recorder = Recorder(1000)
    for at in range(1, 4):
        recorder.note(float(at), "in", b"x" * 10)
    assert [row["at"] for row in recorder.since(1.0)[0]] == [2.0, 3.0]
    assert recorder.since(0.5) == (recorder.since(0.0)[0], False)
    assert recorder.since(3.0) == ([], False)
    for at in range(4, 30):
        recorder.note(float(at), "out", b"x" * 10)
    assert recorder.since(3.0)[1]
    assert not recorder.since(28.0)[1]


def test_the_last_message_is_found_as_long_as_there_is_a_row_of_it():
    recorder = Recorder(1000)
    assert recorder.last_in() is None
    recorder.note(1.0, "in", b"x")
    recorder.note(2.0, "out", b"x")
    assert recorder.last_in() == 1.0
    for at in range(3, 30):
        recorder.note(float(at), "out", b"x" * 10)
    assert recorder.last_in() is None


# Rates


def test_the_rate_is_that_of_messages_that_came_within_a_time():
    recorder = Recorder(10_000)
    assert recorder.rate(0.0, 10.0) == 0.0
    for second in range(20):
        recorder.note(float(second), "in", b"[2]")
        recorder.note(float(second), "out", b"[3]")
    assert recorder.rate(10.0, 20.0) == 1.0
    assert recorder.rate(-20.0, 20.0) == 0.5


def test_the_rate_of_a_full_recorder_is_that_of_the_rows_it_has():
    recorder = Recorder(20 * ROW_BYTES)
    for number in range(1000):
        recorder.note(number / 100, "in", b"[2]")
    assert recorder.rate(0.0, 10.0) == pytest.approx(100, rel=0.1)
