"""Members of commands that OCPP 2.0.1 forbids beside others, and the secrets of commands."""

from decimal import Decimal
from typing import Any

import pytest

from chargehand import v201
from chargehand.actors.session.commands import prepare, prepared
from chargehand.protocol.errors import InvalidPayload
from chargehand.protocol.payload import encode

Purpose = v201.ChargingProfilePurpose
VERSIONS = {v201.VERSION.subprotocol: v201.VERSION}


def profile(purpose: v201.ChargingProfilePurpose, transaction: str | None = None) -> v201.ChargingProfile:
    period = v201.ChargingSchedulePeriod(start_period=0, limit=Decimal(16))
    schedule = v201.ChargingSchedule(
        id=1, charging_rate_unit=v201.ChargingRateUnit.A, charging_schedule_period=(period,)
    )
    return v201.ChargingProfile(
        id=1,
        stack_level=0,
        charging_profile_purpose=purpose,
        charging_profile_kind=v201.ChargingProfileKind.RELATIVE,
        charging_schedule=(schedule,),
        transaction_id=transaction,
    )


def set_(evse: int, purpose: v201.ChargingProfilePurpose, transaction: str | None = None) -> Any:
    return v201.SetChargingProfile(evse_id=evse, charging_profile=profile(purpose, transaction))


def start(purpose: v201.ChargingProfilePurpose, transaction: str | None = None) -> Any:
    return v201.RequestStartTransaction(
        id_token=v201.IdToken(id_token="T", type=v201.IdTokenType.CENTRAL),
        remote_start_id=1,
        charging_profile=profile(purpose, transaction),
    )


def clear(purpose: v201.ChargingProfilePurpose) -> Any:
    criteria = v201.ClearChargingProfileCriteria(charging_profile_purpose=purpose)
    return v201.ClearChargingProfile(charging_profile_criteria=criteria)


@pytest.mark.parametrize(
    "request_",
    [
        set_(0, Purpose.CHARGING_STATION_MAX_PROFILE),
        set_(0, Purpose.TX_DEFAULT_PROFILE),
        set_(2, Purpose.TX_DEFAULT_PROFILE),
        set_(2, Purpose.TX_PROFILE, "t"),
        start(Purpose.TX_PROFILE),
        clear(Purpose.TX_PROFILE),
        v201.ClearChargingProfile(charging_profile_id=3),
    ],
)
def test_a_profile_that_fits_its_purpose_may_be_sent(request_: Any) -> None:
    assert prepared(request_, VERSIONS).request == request_


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (set_(0, Purpose.CHARGING_STATION_EXTERNAL_CONSTRAINTS), "chargingProfile.chargingProfilePurpose"),
        (set_(1, Purpose.CHARGING_STATION_MAX_PROFILE), "evseId"),
        (set_(0, Purpose.TX_PROFILE, "t"), "evseId"),
        (set_(1, Purpose.TX_PROFILE), "chargingProfile.transactionId"),
        (set_(1, Purpose.TX_DEFAULT_PROFILE, "t"), "chargingProfile.transactionId"),
        (start(Purpose.TX_DEFAULT_PROFILE), "chargingProfile.chargingProfilePurpose"),
        (start(Purpose.TX_PROFILE, "t"), "chargingProfile.transactionId"),
        (
            clear(Purpose.CHARGING_STATION_EXTERNAL_CONSTRAINTS),
            "chargingProfileCriteria.chargingProfilePurpose",
        ),
    ],
)
def test_a_profile_that_cannot_be_ours_to_set_or_clear_is_refused(request_: Any, path: str) -> None:
    with pytest.raises(InvalidPayload) as typed:
        prepared(request_, VERSIONS)
    with pytest.raises(InvalidPayload) as written:
        prepare(v201.VERSION, request_.__action__.name, encode(request_))
    assert [one.path for one in (*typed.value.violations, *written.value.violations)] == [path, path]


def network(**more: Any) -> v201.SetNetworkProfile:
    return v201.SetNetworkProfile(
        configuration_slot=1,
        connection_data=v201.NetworkConnectionProfile(
            ocpp_version=v201.OCPPVersion.OCPP20,
            ocpp_transport=v201.OCPPTransport.JSON,
            ocpp_csms_url="wss://example.org",
            message_timeout=30,
            security_profile=2,
            ocpp_interface=v201.OCPPInterface.WIRED0,
            **more,
        ),
    )


def test_a_network_profile_is_shown_without_what_gives_access() -> None:
    secret = network(
        apn=v201.APN(
            apn="internet", apn_password="sesame", sim_pin=4711, apn_authentication=v201.APNAuthentication.PAP
        ),
        vpn=v201.VPN(server="h", user="u", password="sesame", key="4711", type=v201.VPNType.IPSEC),
    )
    row = v201.SetNetworkProfile.__action__
    assert row.has_secret(secret)
    assert b"sesame" not in encode(row.shown(secret))
    assert b"4711" not in encode(row.shown(secret))
    assert b"internet" in encode(row.shown(secret))
    assert not row.has_secret(network())


def test_a_customer_is_shown_without_a_name() -> None:
    row = v201.CustomerInformation.__action__
    named = v201.CustomerInformation(request_id=1, report=True, clear=False, customer_identifier="Ada")
    assert b"Ada" not in encode(row.shown(named))
    assert not row.has_secret(v201.CustomerInformation(request_id=1, report=True, clear=False))
