"""Actions and versions: rows, and the tables made of them."""

import datetime as dt
from types import ModuleType

import pytest

from chargehand.protocol import v16, v201
from chargehand.protocol.actions import Request, Sender, Version, request, time_fallback
from chargehand.protocol.errors import ErrorCode
from chargehand.protocol.message import Message
from chargehand.protocol.v16.types import Profile


class PingResponse(Message):
    when: str


@request("Ping", Profile.CORE, Sender.CHARGE_POINT, fallback=time_fallback)
class Ping(Request[PingResponse]):
    number: int


def module(name: str, *kinds: type[Message]) -> ModuleType:
    made = ModuleType(name)
    for kind in kinds:
        setattr(made, kind.__name__, kind)
    return made


def test_a_request_is_marked_with_its_row():
    row = Ping.__action__
    assert (row.name, row.sender, row.profile) == ("Ping", Sender.CHARGE_POINT, Profile.CORE)
    assert (row.request, row.response, row.fallback) == (Ping, PingResponse, time_fallback)


def test_an_action_is_answered_with_an_error_unless_it_says_otherwise():
    assert v16.Authorize.__action__.fallback is None


@pytest.mark.parametrize(
    ("sender", "charge_point", "central_system"),
    [(Sender.CHARGE_POINT, True, False), (Sender.CENTRAL_SYSTEM, False, True), (Sender.EITHER, True, True)],
)
def test_a_sender_allows_itself_or_either(sender: Sender, *, charge_point: bool, central_system: bool):
    assert sender.allows(Sender.CHARGE_POINT) is charge_point
    assert sender.allows(Sender.CENTRAL_SYSTEM) is central_system


def test_a_version_gathers_what_its_modules_declare():
    version = Version.gather("9", "ocpp9", [module(__name__, Ping, PingResponse)], {})
    assert Ping.__action__.version == "9"
    assert dict(version.actions) == {"Ping": Ping.__action__}


def test_a_version_leaves_out_what_its_modules_only_import():
    version = Version.gather("9", "ocpp9", [module("elsewhere", Ping)], {})
    assert not version.actions


def test_a_version_refuses_an_action_declared_twice():
    with pytest.raises(ValueError, match="9: Ping is declared twice"):
        Version.gather("9", "ocpp9", [module(__name__, Ping), module(__name__, Ping)], {})


def test_a_version_refuses_a_row_of_another_version():
    with pytest.raises(ValueError, match=r"9: Reset belongs to version 1\.6"):
        Version.gather("9", "ocpp9", [module(v16.Reset.__module__, v16.Reset)], {})


def test_a_credential_needs_a_redacted_form():
    with pytest.raises(ValueError, match="redacted"):
        request("Ping", Profile.CORE, Sender.CENTRAL_SYSTEM, credential=lambda _: None)


def test_a_key_is_a_credential_and_its_redacted_form_has_none():
    row = v16.ChangeConfiguration.__action__
    secret = v16.ChangeConfiguration(key="authorizationKEY", value="secret")
    assert row.credential(secret).value == "secret"
    assert "secret" not in repr(row.redacted(secret))
    assert not row.carries_credential(v16.ChangeConfiguration(key="Other", value="1"))


def test_a_request_without_a_secret_is_shown_as_it_is():
    plain = v16.ChangeConfiguration(key="Other", value="1")
    assert v16.ChangeConfiguration.__action__.shown(plain) is plain
    assert not v16.ChangeConfiguration.__action__.has_secret(plain)
    assert not v16.ClearCache.__action__.has_secret(v16.ClearCache())


def test_a_version_finds_the_row_of_a_request_and_of_its_class():
    row = v16.VERSION.actions["Reset"]
    assert v16.VERSION.row_of(v16.Reset) is row
    assert v16.VERSION.row_of(v16.Reset(type=v16.ResetType.SOFT)) is row


@pytest.mark.parametrize("kind", [Ping, v16.ResetResponse, Request])
def test_a_version_has_no_row_for_what_is_not_its_request(kind: type[Request[Message]]):
    with pytest.raises(LookupError, match=r"is not a request of OCPP 1\.6"):
        v16.VERSION.row_of(kind)


def test_a_version_cannot_be_changed():
    with pytest.raises(TypeError):
        v16.VERSION.actions["Ping"] = Ping.__action__  # type: ignore[index]


def test_a_version_spells_its_codes_in_its_own_way():
    assert v16.VERSION.spell(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION) == "OccurenceConstraintViolation"
    assert v16.VERSION.spell(ErrorCode.FORMATION_VIOLATION) == "FormationViolation"
    own = {ErrorCode.FORMATION_VIOLATION: "FormatViolation"}
    later = Version.gather("9", "ocpp9", [], own)
    assert later.spell(ErrorCode.FORMATION_VIOLATION) == "FormatViolation"
    assert later.spell(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION) == "OccurrenceConstraintViolation"


def test_a_version_leaves_a_code_that_is_only_text_as_it_is():
    assert v16.VERSION.spell("RpcFrameworkError") == "RpcFrameworkError"


def test_a_side_may_send_its_own_actions_and_those_of_either():
    assert [row.name for row in v16.VERSION.sent_by(Sender.CHARGE_POINT)] == [
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    ]
    assert len(v16.VERSION.sent_by(Sender.CENTRAL_SYSTEM)) == 26


LOCATION = "ftp://user:pass:word@files.example.com/f.bin"
AT = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "command",
    [
        v16.UpdateFirmware(location=LOCATION, retrieve_date=AT),
        v16.GetDiagnostics(location=LOCATION),
        v16.GetLog(log=v16.LogParameters(remote_location=LOCATION), log_type="SecurityLog", request_id=1),
        v201.GetLog(log=v201.LogParameters(remote_location=LOCATION), log_type="SecurityLog", request_id=1),
        v201.UpdateFirmware(request_id=1, firmware=v201.Firmware(location=LOCATION, retrieve_date_time=AT)),
        v201.PublishFirmware(location=LOCATION, checksum="0" * 32, request_id=1),
    ],
    ids=lambda command: f"{type(command).__module__.split('.')[-2]}.{type(command).__name__}",
)
def test_the_password_in_the_url_of_a_command_is_stored_and_not_shown(command):
    row = type(command).__action__
    shown = repr(row.shown(command))
    assert "ftp://user:***@files.example.com/f.bin" in shown
    assert "pass" not in shown
    assert not row.has_secret(command)
    bare = v16.GetDiagnostics(location="https://files.example.com/a:b@c")
    assert type(bare).__action__.shown(bare) is bare
