"""Verbs in the messages of OCPP 1.6."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import v16
from chargehand.protocol import verbs
from chargehand.protocol.payload import build
from chargehand.protocol.verbs import VERBS, Verb, VerbFacts, VerbRefused, verb_of, verb_text

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
FACTS = VerbFacts(NOW, 7)


def translated(verb: Verb, **configuration: str) -> Any:
    """Return the request of a verb, after a check that it can be written."""
    request = v16.VERSION.translate(verb, VerbFacts(NOW, 7, configuration))
    build(type(request), request)
    return request


def rate(request: Any) -> tuple[str, Decimal, int | None]:
    schedule = request.cs_charging_profiles.charging_schedule
    (period,) = schedule.charging_schedule_period
    return str(schedule.charging_rate_unit), period.limit, period.number_phases


def test_ocpp_1_6_has_no_message_for_what_only_later_versions_know() -> None:
    later = {
        "clear_display_message", "clear_monitors", "customer_information", "get_charging_profiles",
        "get_display_messages", "get_monitors", "publish_firmware", "set_display_message", "set_monitor",
        "set_network_profile", "unpublish_firmware",
    }  # fmt: skip
    assert {name for name, kind in VERBS.items() if kind not in v16.VERSION.verbs} == later


def test_a_version_without_a_verb_refuses_it_by_its_name() -> None:
    class Dance(Verb, tag="dance"):
        pass

    with pytest.raises(VerbRefused, match=r"OCPP 1.6 has no message for dance"):
        v16.VERSION.translate(Dance(), FACTS)


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        (verbs.StartCharging(id_tag="T"), v16.RemoteStartTransaction(id_tag="T")),
        (
            verbs.StartCharging(id_tag="T", evse=2, connector=1),
            v16.RemoteStartTransaction(id_tag="T", connector_id=2),
        ),
        (verbs.StopCharging(transaction_id=5), v16.RemoteStopTransaction(transaction_id=5)),
        (verbs.StopCharging(transaction_id="5"), v16.RemoteStopTransaction(transaction_id=5)),
        (verbs.Unlock(), v16.UnlockConnector(connector_id=1)),
        (verbs.Unlock(evse=2), v16.UnlockConnector(connector_id=2)),
        (
            verbs.SetAvailability(available=False),
            v16.ChangeAvailability(connector_id=0, type=v16.AvailabilityType.INOPERATIVE),
        ),
        (
            verbs.SetAvailability(available=True, evse=0, connector=0),
            v16.ChangeAvailability(connector_id=0, type=v16.AvailabilityType.OPERATIVE),
        ),
        (verbs.Reset(), v16.Reset(type=v16.ResetType.SOFT)),
        (verbs.Reset(at_once=True), v16.Reset(type=v16.ResetType.HARD)),
        (
            verbs.Trigger(message="Heartbeat"),
            v16.TriggerMessage(requested_message=v16.MessageTrigger.HEARTBEAT),
        ),
        (
            verbs.Trigger(message="LogStatusNotification"),
            v16.ExtendedTriggerMessage(requested_message=v16.ExtendedMessageTrigger.LOG_STATUS_NOTIFICATION),
        ),
        (verbs.GetConfiguration(), v16.GetConfiguration()),
        (verbs.GetConfiguration(keys=("A",)), v16.GetConfiguration(key=("A",))),
        (
            verbs.SetConfiguration(key="A", value="1"),
            v16.ChangeConfiguration(key="A", value="1"),
        ),
        (
            verbs.UpdateFirmware(location="ftp://example.org/f"),
            v16.UpdateFirmware(location="ftp://example.org/f", retrieve_date=NOW),
        ),
        (
            verbs.GetLogs(location="ftp://example.org/l", since=NOW),
            v16.GetDiagnostics(location="ftp://example.org/l", start_time=NOW),
        ),
        (
            verbs.Reserve(id_tag="T", until=NOW, reservation_id=3, evse=1),
            v16.ReserveNow(connector_id=1, expiry_date=NOW, id_tag="T", reservation_id=3),
        ),
        (verbs.CancelReservation(reservation_id=3), v16.CancelReservation(reservation_id=3)),
    ],
)
def test_a_verb_becomes_the_message_of_ocpp_1_6(verb: Verb, request_: Any) -> None:
    assert translated(verb) == request_


def test_a_composite_schedule_is_asked_for_at_a_connector_or_the_charge_point() -> None:
    asked = [
        translated(one)
        for one in (
            verbs.CompositeSchedule(),
            verbs.CompositeSchedule(duration_s=60, evse=2, unit="A"),
        )
    ]
    assert asked == [
        v16.GetCompositeSchedule(connector_id=0, duration=86_400),
        v16.GetCompositeSchedule(connector_id=2, duration=60, charging_rate_unit=v16.ChargingRateUnit.A),
    ]


def test_signed_firmware_and_security_logs_carry_the_number_of_the_command() -> None:
    firmware = translated(
        verbs.UpdateFirmware(location="ftp://example.org/f", signature="c2ln", signing_certificate="PEM")
    )
    assert type(firmware) is v16.SignedUpdateFirmware
    assert firmware.request_id == 7
    logs = translated(verbs.GetLogs(location="ftp://example.org/l", kind="security"))
    assert type(logs) is v16.GetLog
    assert logs.request_id == 7


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (verbs.StartCharging(id_tag="T", evse=1, connector=2), "connector 2 does not exist"),
        (verbs.Unlock(evse=0), "at least 1, not 0"),
        (verbs.StopCharging(transaction_id="tx-1"), "'tx-1'"),
        (verbs.Reset(evse=1), "an EVSE alone"),
        (verbs.Trigger(message="Sing"), "'Sing'"),
        (verbs.Limit(), "name one of them"),
        (verbs.Limit(watts=1.0, amps=1.0), "name one of them"),
        (verbs.Limit(watts=-1.0), "from 0 to"),
        (verbs.Limit(watts=float("nan")), "from 0 to"),
        (verbs.Limit(watts=1.0, transaction_id=4), "needs its evse"),
        (verbs.GetLogs(location="ftp://x", kind="all"), "'all'"),
        (verbs.UpdateFirmware(location="ftp://x", signature="c2ln"), "a signature and a signing"),
        (verbs.UpdateFirmware(location="ftp://x", install_at=NOW), "only signed firmware"),
    ],
)
def test_a_verb_that_ocpp_1_6_cannot_say_is_refused_with_the_reason(verb: Verb, text: str) -> None:
    with pytest.raises(VerbRefused, match=text):
        translated(verb)


def test_a_limit_has_a_profile_of_its_own_for_each_scope() -> None:
    station = translated(verbs.Limit(watts=11_000))
    evse = translated(verbs.Limit(watts=11_000, evse=2))
    transaction = translated(verbs.Limit(amps=16, evse=2, transaction_id=9))
    purposes = [
        str(one.cs_charging_profiles.charging_profile_purpose) for one in (station, evse, transaction)
    ]
    assert purposes == ["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
    assert [one.connector_id for one in (station, evse, transaction)] == [0, 2, 2]
    assert transaction.cs_charging_profiles.transaction_id == 9
    scopes = (verbs.ClearLimit(), verbs.ClearLimit(evse=2), verbs.ClearLimit(evse=2, transaction_id=9))
    cleared = [translated(one).id for one in scopes]
    assert cleared == [one.cs_charging_profiles.charging_profile_id for one in (station, evse, transaction)]
    assert len(set(cleared)) == 3


@pytest.mark.parametrize(
    ("told", "verb", "expected"),
    [
        ("", verbs.Limit(watts=7_000), ("W", Decimal("7000.0"), None)),
        ("Current,Power", verbs.Limit(amps=10), ("A", Decimal("10.0"), None)),
        ("Power", verbs.Limit(watts=7_000), ("W", Decimal("7000.0"), None)),
        ("Current", verbs.Limit(watts=11_040, phases=3), ("A", Decimal("16.0"), 3)),
        ("power", verbs.Limit(amps=10, phases=1), ("W", Decimal("2300.0"), None)),
    ],
)
def test_the_unit_of_a_limit_is_one_that_the_charge_point_takes(
    told: str, verb: Verb, expected: tuple[str, Decimal, int | None]
) -> None:
    assert rate(translated(verb, ChargingScheduleAllowedChargingRateUnit=told)) == expected


def test_a_limit_is_not_converted_without_the_number_of_phases() -> None:
    with pytest.raises(VerbRefused, match="takes A only"):
        translated(verbs.Limit(watts=1.0), ChargingScheduleAllowedChargingRateUnit="Current")


@given(st.floats(0, 1e6), st.integers(1, 3))
def test_a_converted_limit_never_allows_more_than_was_asked_for(watts: float, phases: int) -> None:
    verb = verbs.Limit(watts=watts, phases=phases)
    _, amps, _ = rate(translated(verb, ChargingScheduleAllowedChargingRateUnit="Current"))
    assert float(amps) * 230 * phases <= watts + 1e-6


@pytest.mark.parametrize("kind", VERBS.values())
def test_a_verb_is_read_back_as_it_was_written(kind: type[Verb]) -> None:
    given_: dict[str, Any] = {
        "id_tag": "T",
        "transaction_id": 4,
        "available": True,
        "message": "Heartbeat",
        "key": "K",
    }
    given_ |= {"value": "v", "location": "ftp://x", "until": NOW, "reservation_id": 1}
    given_ |= {"certificate": "PEM", "certificate_chain": "PEM", "serial_number": "1f"}
    given_ |= {"issuer_name_hash": "aa", "issuer_key_hash": "bb"}
    given_ |= {"checksum": "0f", "variable": "A.B", "kind": "Delta", "monitor_ids": (1,), "text": "x"}
    given_ |= {"message_id": 1, "slot": 1, "csms_url": "ws://x", "security_profile": 1}
    if kind is verbs.SetMonitor:
        given_ |= {"value": 1.0}
    verb = kind(**{name: given_[name] for name in kind.__struct_fields__ if name in given_})
    assert verb_of(verb_text(verb)) == verb


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"verb":"dance"}', '{"verb":"reset","evse":"x"}'])
def test_text_that_is_no_verb_is_refused(text: str) -> None:
    with pytest.raises(VerbRefused):
        verb_of(text)


PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        (
            verbs.InstallCertificate(certificate=PEM),
            v16.InstallCertificate(
                certificate_type=v16.CertificateUse.CENTRAL_SYSTEM_ROOT_CERTIFICATE, certificate=PEM
            ),
        ),
        (
            verbs.GetInstalledCertificates(uses=("manufacturer",)),
            v16.GetInstalledCertificateIds(certificate_type=v16.CertificateUse.MANUFACTURER_ROOT_CERTIFICATE),
        ),
        (
            verbs.DeleteCertificate(
                serial_number="1f", issuer_name_hash="aa", issuer_key_hash="bb", hash_algorithm="SHA384"
            ),
            v16.DeleteCertificate(
                certificate_hash_data=v16.CertificateHashData(
                    hash_algorithm=v16.HashAlgorithm.SHA384,
                    issuer_name_hash="aa",
                    issuer_key_hash="bb",
                    serial_number="1f",
                )
            ),
        ),
        (verbs.SendCertificate(certificate_chain=PEM), v16.CertificateSigned(certificate_chain=PEM)),
        (
            verbs.RenewCertificate(),
            v16.ExtendedTriggerMessage(
                requested_message=v16.ExtendedMessageTrigger.SIGN_CHARGE_POINT_CERTIFICATE
            ),
        ),
    ],
)
def test_certificates_are_managed_by_the_messages_of_the_security_extension(
    verb: Verb, request_: Any
) -> None:
    assert translated(verb) == request_


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (
            verbs.InstallCertificate(certificate=PEM, use="v2g"),
            "one of central_system, manufacturer, not 'v2g'",
        ),
        (verbs.InstallCertificate(certificate="x" * 5501), "at most 5,500 characters here, not 5,501"),
        (verbs.GetInstalledCertificates(), "one use at a time"),
        (verbs.GetInstalledCertificates(uses=("manufacturer", "central_system")), "one use at a time"),
        (verbs.SendCertificate(certificate_chain="x" * 10_001), "at most 10,000 characters here, not 10,001"),
        (verbs.SendCertificate(certificate_chain=PEM, use="v2g"), "not one for the use 'v2g'"),
        (verbs.RenewCertificate(use="v2g"), "no certificate for the use 'v2g'"),
        (
            verbs.DeleteCertificate(
                serial_number="1f", issuer_name_hash="aa", issuer_key_hash="bb", hash_algorithm="MD5"
            ),
            "SHA256, SHA384, SHA512, not 'MD5'",
        ),
    ],
)
def test_a_certificate_for_which_the_version_has_no_message_is_refused(verb: Verb, text: str) -> None:
    with pytest.raises(VerbRefused, match=text):
        translated(verb)


def test_a_chain_is_no_longer_than_the_charge_point_says_it_takes() -> None:
    verb = verbs.SendCertificate(certificate_chain="x" * 3000)
    translated(verb, CertificateSignedMaxChainSize="3000")
    translated(verb, CertificateSignedMaxChainSize="no number")
    translated(verb, CertificateSignedMaxChainSize="0")
    with pytest.raises(VerbRefused, match="at most 2,999"):
        translated(verb, CertificateSignedMaxChainSize="2999")
