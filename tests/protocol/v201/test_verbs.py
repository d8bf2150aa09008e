"""Verbs in the messages of OCPP 2.0.1."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from chargehand import v201
from chargehand.protocol import verbs
from chargehand.protocol.payload import build
from chargehand.protocol.verbs import VERBS, Verb, VerbFacts, VerbRefused

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
CENTRAL = v201.IdToken(id_token="T", type=v201.IdTokenType.CENTRAL)
CARD = v201.IdToken(id_token="T", type=v201.IdTokenType.ISO14443)


def translated(verb: Verb, configuration: dict[str, str] | None = None) -> Any:
    """Return the request of a verb, after a check that it can be written."""
    request = v201.VERSION.translate(verb, VerbFacts(NOW, 7, configuration or {}))
    build(type(request), request)
    return request


def variable(component: str, name: str, instance: str | None = None) -> dict[str, Any]:
    return {
        "component": v201.Component(name=component),
        "variable": v201.Variable(name=name, instance=instance),
    }


def profile(request: Any) -> tuple[int, str, str, str, Decimal, int | None]:
    (schedule,) = request.charging_profile.charging_schedule
    (period,) = schedule.charging_schedule_period
    purpose, kind = (
        request.charging_profile.charging_profile_purpose,
        request.charging_profile.charging_profile_kind,
    )
    unit = str(schedule.charging_rate_unit)
    return request.evse_id, str(purpose), str(kind), unit, period.limit, period.number_phases


def test_every_verb_has_a_function_in_ocpp_2_0_1() -> None:
    assert set(v201.VERSION.verbs) == set(VERBS.values())


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        (
            verbs.StartCharging(id_tag="T"),
            v201.RequestStartTransaction(id_token=CENTRAL, remote_start_id=7),
        ),
        (
            verbs.StartCharging(id_tag="T", evse=2, id_type="iso14443"),
            v201.RequestStartTransaction(id_token=CARD, evse_id=2, remote_start_id=7),
        ),
        (verbs.StopCharging(transaction_id="t-1"), v201.RequestStopTransaction(transaction_id="t-1")),
        (verbs.StopCharging(transaction_id=5), v201.RequestStopTransaction(transaction_id="5")),
        (verbs.Unlock(), v201.UnlockConnector(evse_id=1, connector_id=1)),
        (verbs.Unlock(evse=2, connector=3), v201.UnlockConnector(evse_id=2, connector_id=3)),
        (
            verbs.SetAvailability(available=False),
            v201.ChangeAvailability(operational_status=v201.OperationalStatus.INOPERATIVE),
        ),
        (
            verbs.SetAvailability(available=True, evse=0, connector=0),
            v201.ChangeAvailability(operational_status=v201.OperationalStatus.OPERATIVE),
        ),
        (
            verbs.SetAvailability(available=True, evse=2, connector=1),
            v201.ChangeAvailability(
                evse=v201.EVSE(id=2, connector_id=1), operational_status=v201.OperationalStatus.OPERATIVE
            ),
        ),
        (verbs.Reset(), v201.Reset(type=v201.ResetType.ON_IDLE)),
        (verbs.Reset(at_once=True, evse=2), v201.Reset(type=v201.ResetType.IMMEDIATE, evse_id=2)),
        (
            verbs.Trigger(message="StatusNotification", evse=1, connector=1),
            v201.TriggerMessage(
                evse=v201.EVSE(id=1, connector_id=1),
                requested_message=v201.MessageTrigger.STATUS_NOTIFICATION,
            ),
        ),
        (
            verbs.GetConfiguration(),
            v201.GetBaseReport(request_id=7, report_base=v201.ReportBase.CONFIGURATION_INVENTORY),
        ),
        (
            verbs.GetConfiguration(keys=("HeartbeatInterval", "A.B[c]")),
            v201.GetVariables(
                get_variable_data=(
                    v201.GetVariableData(**variable("OCPPCommCtrlr", "HeartbeatInterval")),
                    v201.GetVariableData(**variable("A", "B", "c")),
                )
            ),
        ),
        (
            verbs.SetConfiguration(key="A.B", value="1"),
            v201.SetVariables(
                set_variable_data=(v201.SetVariableData(attribute_value="1", **variable("A", "B")),)
            ),
        ),
        (
            verbs.UpdateFirmware(location="https://example.org/f", retries=2, install_at=NOW),
            v201.UpdateFirmware(
                retries=2,
                request_id=7,
                firmware=v201.Firmware(
                    location="https://example.org/f", retrieve_date_time=NOW, install_date_time=NOW
                ),
            ),
        ),
        (
            verbs.UpdateFirmware(
                location="https://example.org/f", retrieve_at=NOW, signature="c2ln", signing_certificate="PEM"
            ),
            v201.UpdateFirmware(
                request_id=7,
                firmware=v201.Firmware(
                    location="https://example.org/f",
                    retrieve_date_time=NOW,
                    signing_certificate="PEM",
                    signature="c2ln",
                ),
            ),
        ),
        (
            verbs.GetLogs(location="https://example.org/l", kind="security", since=NOW),
            v201.GetLog(
                log=v201.LogParameters(remote_location="https://example.org/l", oldest_timestamp=NOW),
                log_type=v201.LogType.SECURITY_LOG,
                request_id=7,
            ),
        ),
        (
            verbs.Reserve(id_tag="T", until=NOW, reservation_id=3, evse=1, parent_id_tag="P"),
            v201.ReserveNow(
                id=3,
                expiry_date_time=NOW,
                id_token=CENTRAL,
                evse_id=1,
                group_id_token=v201.IdToken(id_token="P", type=v201.IdTokenType.CENTRAL),
            ),
        ),
        (
            verbs.Reserve(id_tag="T", until=NOW, reservation_id=3, connector_type="CTYPE2"),
            v201.ReserveNow(
                id=3, expiry_date_time=NOW, id_token=CENTRAL, connector_type=v201.ConnectorType.C_TYPE2
            ),
        ),
        (verbs.CancelReservation(reservation_id=3), v201.CancelReservation(reservation_id=3)),
        (
            verbs.CompositeSchedule(duration_s=60, evse=2, unit="w"),
            v201.GetCompositeSchedule(duration=60, evse_id=2, charging_rate_unit=v201.ChargingRateUnit.W),
        ),
        (
            verbs.GetChargingProfiles(),
            v201.GetChargingProfiles(request_id=7, charging_profile=v201.ChargingProfileCriterion()),
        ),
        (
            verbs.GetChargingProfiles(evse=0, purpose="txprofile"),
            v201.GetChargingProfiles(
                request_id=7,
                evse_id=0,
                charging_profile=v201.ChargingProfileCriterion(
                    charging_profile_purpose=v201.ChargingProfilePurpose.TX_PROFILE
                ),
            ),
        ),
        (
            verbs.PublishFirmware(location="https://example.org/f", checksum="0f" * 16, retries=2),
            v201.PublishFirmware(
                location="https://example.org/f", checksum="0f" * 16, retries=2, request_id=7
            ),
        ),
        (verbs.UnpublishFirmware(checksum="0F" * 16), v201.UnpublishFirmware(checksum="0F" * 16)),
        (
            verbs.SetMonitor(
                variable="1/2/Connector.Temperature", kind="upperThreshold", value=80.5, severity=2
            ),
            v201.SetVariableMonitoring(
                set_monitoring_data=(
                    v201.SetMonitoringData(
                        value=Decimal("80.5"),
                        type=v201.MonitorType.UPPER_THRESHOLD,
                        severity=2,
                        component=v201.Component(name="Connector", evse=v201.EVSE(id=1, connector_id=2)),
                        variable=v201.Variable(name="Temperature"),
                    ),
                )
            ),
        ),
        (verbs.ClearMonitors(monitor_ids=(1, 2)), v201.ClearVariableMonitoring(id=(1, 2))),
        (verbs.GetMonitors(), v201.GetMonitoringReport(request_id=7)),
        (
            verbs.GetMonitors(variables=("A.B",)),
            v201.GetMonitoringReport(
                request_id=7, component_variable=(v201.ComponentVariable(**variable("A", "B")),)
            ),
        ),
        (
            verbs.SetDisplayMessage(
                text="Hello", message_id=3, state="idle", language="en", transaction_id="t"
            ),
            v201.SetDisplayMessage(
                message=v201.MessageInfo(
                    id=3,
                    priority=v201.MessagePriority.NORMAL_CYCLE,
                    state=v201.MessageState.IDLE,
                    transaction_id="t",
                    message=v201.MessageContent(
                        format=v201.MessageFormat.UTF8, language="en", content="Hello"
                    ),
                )
            ),
        ),
        (verbs.GetDisplayMessages(), v201.GetDisplayMessages(request_id=7)),
        (verbs.ClearDisplayMessage(message_id=3), v201.ClearDisplayMessage(id=3)),
        (
            verbs.SetNetworkProfile(slot=2, csms_url="wss://example.org/ocpp", security_profile=2),
            v201.SetNetworkProfile(
                configuration_slot=2,
                connection_data=v201.NetworkConnectionProfile(
                    ocpp_version=v201.OCPPVersion.OCPP20,
                    ocpp_transport=v201.OCPPTransport.JSON,
                    ocpp_csms_url="wss://example.org/ocpp",
                    message_timeout=30,
                    security_profile=2,
                    ocpp_interface=v201.OCPPInterface.WIRED0,
                ),
            ),
        ),
        (
            verbs.CustomerInformation(id_tag="T", id_type="ISO14443", report=True),
            v201.CustomerInformation(id_token=CARD, request_id=7, report=True, clear=False),
        ),
        (
            verbs.CustomerInformation(customer_identifier="C", clear=True),
            v201.CustomerInformation(customer_identifier="C", request_id=7, report=False, clear=True),
        ),
    ],
)
def test_a_verb_becomes_the_message_of_ocpp_2_0_1(verb: Verb, request_: Any) -> None:
    assert translated(verb) == request_


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (verbs.StartCharging(id_tag="T", evse=1, connector=1), "at an EVSE, not"),
        (verbs.StartCharging(id_tag="T", evse=0), "at least 1, not 0"),
        (verbs.StartCharging(id_tag="T", id_type="RFID"), "not 'RFID'"),
        (verbs.StopCharging(transaction_id=""), "has an id"),
        (verbs.Unlock(evse=0), "at least 1, not 0"),
        (verbs.Unlock(connector=0), "at least 1, not 0"),
        (verbs.SetAvailability(available=True, connector=1), "needs its evse"),
        (verbs.SetAvailability(available=True, evse=1, connector=0), "at least 1, not 0"),
        (verbs.SetAvailability(available=True, evse=-1), "at least 0, not -1"),
        (verbs.Trigger(message="Sing"), "'Sing'"),
        (verbs.Limit(), "name one of them"),
        (verbs.Limit(watts=float("nan")), "from 0 to"),
        (verbs.Limit(watts=1.0, transaction_id="t"), "needs its evse"),
        (verbs.Limit(watts=1.0, evse=-1), "at least 0"),
        (verbs.GetConfiguration(keys=("Whim",)), "'Whim'"),
        (verbs.GetLogs(location="ftp://x", kind="all"), "'all'"),
        (verbs.UpdateFirmware(location="ftp://x", signature="c2ln"), "a signature and a signing"),
        (verbs.Reserve(id_tag="T", until=NOW), "has a number"),
        (verbs.Reserve(id_tag="T", until=NOW, reservation_id=1, connector_type="Schuko"), "'Schuko'"),
        (verbs.CompositeSchedule(duration_s=0), "at least 1 second"),
        (verbs.CompositeSchedule(unit="VA"), "'VA'"),
        (verbs.CompositeSchedule(evse=-1), "at least 0"),
        (verbs.GetChargingProfiles(purpose="Fun"), "'Fun'"),
        (verbs.PublishFirmware(location="https://x", checksum="12"), "'12'"),
        (verbs.UnpublishFirmware(checksum=""), "MD5"),
        (verbs.SetMonitor(variable="A.B", kind="", value=1), "has a kind"),
        (verbs.SetMonitor(variable="A.B", kind="Delta", value=1, severity=10), "from 0 to 9, not 10"),
        (verbs.SetMonitor(variable="A", kind="Delta", value=1), "'A'"),
        (verbs.ClearMonitors(monitor_ids=()), "name one"),
        (verbs.SetDisplayMessage(text="Hello"), "has a number"),
        (verbs.SetNetworkProfile(slot=1, csms_url="ws://x", security_profile=4), "not 4"),
        (
            verbs.SetNetworkProfile(slot=1, csms_url="ws://x", security_profile=1, interface=""),
            "an interface",
        ),
        (verbs.CustomerInformation(report=True), "is named by"),
        (verbs.CustomerInformation(id_tag="T", customer_identifier="C", report=True), "is named by"),
        (verbs.CustomerInformation(id_tag="T"), "say which"),
    ],
)
def test_a_verb_that_ocpp_2_0_1_cannot_say_is_refused_with_the_reason(verb: Verb, text: str) -> None:
    with pytest.raises(VerbRefused, match=text):
        translated(verb)


def test_a_limit_has_a_profile_of_its_own_for_each_scope() -> None:
    limits = [
        translated(one)
        for one in (
            verbs.Limit(watts=11_000),
            verbs.Limit(watts=11_000, evse=2),
            verbs.Limit(amps=16.19, evse=2, transaction_id="t", phases=3),
        )
    ]
    assert [profile(one) for one in limits] == [
        (0, "ChargingStationMaxProfile", "Absolute", "W", Decimal("11000.0"), None),
        (2, "TxDefaultProfile", "Relative", "W", Decimal("11000.0"), None),
        (2, "TxProfile", "Relative", "A", Decimal("16.1"), 3),
    ]
    assert [one.charging_profile.transaction_id for one in limits] == [None, None, "t"]
    scopes = (verbs.ClearLimit(), verbs.ClearLimit(evse=2), verbs.ClearLimit(evse=2, transaction_id="t"))
    cleared = [translated(one).charging_profile_id for one in scopes]
    assert cleared == [one.charging_profile.id for one in limits]
    assert len(set(cleared)) == 3


@pytest.mark.parametrize(
    ("told", "verb", "unit", "limit"),
    [
        ("A,W", verbs.Limit(amps=10), "A", Decimal("10.0")),
        ("A", verbs.Limit(watts=11_040, phases=3), "A", Decimal("16.0")),
        ("W", verbs.Limit(amps=10, phases=1), "W", Decimal("2300.0")),
    ],
)
def test_the_unit_of_a_limit_is_one_that_the_station_takes(
    told: str, verb: Verb, unit: str, limit: Decimal
) -> None:
    assert profile(translated(verb, {"SmartChargingCtrlr.RateUnit": told}))[3:5] == (unit, limit)


PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        (
            verbs.InstallCertificate(certificate=PEM, use="mobility_operator"),
            v201.InstallCertificate(
                certificate_type=v201.InstallCertificateUse.MO_ROOT_CERTIFICATE, certificate=PEM
            ),
        ),
        (verbs.GetInstalledCertificates(), v201.GetInstalledCertificateIds()),
        (
            verbs.GetInstalledCertificates(uses=("central_system", "v2g_chain")),
            v201.GetInstalledCertificateIds(
                certificate_type=(
                    v201.GetCertificateIdUse.CSMS_ROOT_CERTIFICATE,
                    v201.GetCertificateIdUse.V2G_CERTIFICATE_CHAIN,
                )
            ),
        ),
        (
            verbs.DeleteCertificate(serial_number="1f", issuer_name_hash="aa", issuer_key_hash="bb"),
            v201.DeleteCertificate(
                certificate_hash_data=v201.CertificateHashData(
                    hash_algorithm=v201.HashAlgorithm.SHA256,
                    issuer_name_hash="aa",
                    issuer_key_hash="bb",
                    serial_number="1f",
                )
            ),
        ),
        (
            verbs.SendCertificate(certificate_chain=PEM, use="v2g"),
            v201.CertificateSigned(
                certificate_chain=PEM, certificate_type=v201.CertificateSigningUse.V2G_CERTIFICATE
            ),
        ),
        (
            verbs.SendCertificate(certificate_chain=PEM, use="combined"),
            v201.CertificateSigned(certificate_chain=PEM),
        ),
        (
            verbs.RenewCertificate(),
            v201.TriggerMessage(requested_message=v201.MessageTrigger.SIGN_CHARGING_STATION_CERTIFICATE),
        ),
        (
            verbs.RenewCertificate(use="combined"),
            v201.TriggerMessage(requested_message=v201.MessageTrigger.SIGN_COMBINED_CERTIFICATE),
        ),
    ],
)
def test_certificates_are_managed_by_the_messages_of_blocks_a_and_m(verb: Verb, request_: Any) -> None:
    assert translated(verb) == request_


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        (verbs.InstallCertificate(certificate=PEM, use="v2g_chain"), "mobility_operator, not 'v2g_chain'"),
        (verbs.GetInstalledCertificates(uses=("toys",)), "v2g_chain, not 'toys'"),
        (
            verbs.SendCertificate(certificate_chain=PEM, use="toys"),
            "charging_station, v2g, combined, not 'toys'",
        ),
        (verbs.SendCertificate(certificate_chain="x" * 10_001), "at most 10,000 characters"),
        (verbs.RenewCertificate(use=""), "combined, not ''"),
    ],
)
def test_a_certificate_for_which_the_version_has_no_message_is_refused(verb: Verb, text: str) -> None:
    with pytest.raises(VerbRefused, match=text):
        translated(verb)
