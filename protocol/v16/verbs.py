"""Verbs in the messages of OCPP 1.6 and its security extension. Connector n is connector 1 of EVSE n."""

import re
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any, NoReturn

from .. import verbs
from ..actions import Request
from ..verbs import Translate, VerbFacts, VerbRefused, check_length, rate_of, word_of
from . import core, firmware, remote_trigger, reservation, security, smart_charging, transactions
from .local_lists import LOCAL_LISTS
from .types import (
    ChargingProfile,
    ChargingProfileKind,
    ChargingProfilePurpose,
    ChargingRateUnit,
    ChargingSchedule,
    ChargingSchedulePeriod,
)

# One fixed profile a scope, with a number of its own for each EVSE: setting it again replaces it, and clearing it
# touches no other.
STACK_LEVEL = 0
STATION_PROFILE, EVSE_PROFILE, TRANSACTION_PROFILE = 990_001, 990_002, 990_003

KEY_DIGITS = re.compile(r"([0-9A-Fa-f]{2}){16,20}")
RATE_UNITS = "ChargingScheduleAllowedChargingRateUnit"
CHAIN_SIZE = "CertificateSignedMaxChainSize"
"""Configuration key with the characters of a chain of certificates that a charge point takes."""
LONGEST_CERTIFICATE, LONGEST_CHAIN = 5500, 10_000
"""Characters of a certificate and of a chain of them. White paper, 5.1 and 5.11."""


def _refuse(text: str) -> NoReturn:
    raise VerbRefused(f"OCPP 1.6: {text}")


def _connector(verb: Any, least: int = 1) -> int | None:
    evse: int | None = verb.evse
    if getattr(verb, "connector", None) not in (None, 1) and not (evse == 0 and verb.connector == 0):
        _refuse(f"an EVSE has one connector, connector {verb.connector} does not exist")
    if evse is not None and evse < least:
        _refuse(f"evse must be at least {least}, not {evse}")
    return evse


def _start_charging(verb: verbs.StartCharging, _: VerbFacts) -> Request[Any]:
    return transactions.RemoteStartTransaction(id_tag=verb.id_tag, connector_id=_connector(verb))


def _transaction(transaction_id: int | str) -> int:
    if isinstance(transaction_id, int):
        return transaction_id
    if not transaction_id.removeprefix("-").isdecimal():
        _refuse(f"a transaction has a number, not {transaction_id!r}")
    return int(transaction_id)


def _stop_charging(verb: verbs.StopCharging, _: VerbFacts) -> Request[Any]:
    return transactions.RemoteStopTransaction(transaction_id=_transaction(verb.transaction_id))


def _unlock(verb: verbs.Unlock, _: VerbFacts) -> Request[Any]:
    return core.UnlockConnector(connector_id=_connector(verb) or 1)


def _set_availability(verb: verbs.SetAvailability, _: VerbFacts) -> Request[Any]:
    kind = core.AvailabilityType.OPERATIVE if verb.available else core.AvailabilityType.INOPERATIVE
    return core.ChangeAvailability(connector_id=_connector(verb, least=0) or 0, type=kind)


def _reset(verb: verbs.Reset, _: VerbFacts) -> Request[Any]:
    if verb.evse:
        _refuse("an EVSE alone cannot be reset")
    return core.Reset(type=core.ResetType.HARD if verb.at_once else core.ResetType.SOFT)


def _scope(verb: verbs.Limit | verbs.ClearLimit) -> tuple[ChargingProfilePurpose, int, int]:
    """Return purpose, profile id and connector of a limit."""
    if verb.transaction_id is not None:
        # A profile of a transaction is set on the connector that it charges at. OCPP 1.6, 5.16.
        if not verb.evse:
            _refuse("the limit of a transaction needs its evse")
        return ChargingProfilePurpose.TX_PROFILE, TRANSACTION_PROFILE + 10 * verb.evse, verb.evse
    if verb.evse is not None:
        if verb.evse < 0:
            _refuse(f"evse must be at least 0, not {verb.evse}")
        return ChargingProfilePurpose.TX_DEFAULT_PROFILE, EVSE_PROFILE + 10 * verb.evse, verb.evse
    return ChargingProfilePurpose.CHARGE_POINT_MAX_PROFILE, STATION_PROFILE, 0


def _limit(verb: verbs.Limit, facts: VerbFacts) -> Request[Any]:
    purpose, profile_id, connector = _scope(verb)
    unit, limit = rate_of(verb, facts.configuration.get(RATE_UNITS, ""))
    period = ChargingSchedulePeriod(
        start_period=0,
        limit=limit.quantize(Decimal("0.1"), ROUND_DOWN),
        number_phases=verb.phases if unit == ChargingRateUnit.A else None,
    )
    # An absolute schedule with a start in the past holds from now on; one of a transaction starts with it.
    absolute = purpose is ChargingProfilePurpose.CHARGE_POINT_MAX_PROFILE
    schedule = ChargingSchedule(
        start_schedule=facts.now if absolute else None,
        charging_rate_unit=ChargingRateUnit(unit),
        charging_schedule_period=(period,),
    )
    profile = ChargingProfile(
        charging_profile_id=profile_id,
        transaction_id=None if verb.transaction_id is None else _transaction(verb.transaction_id),
        stack_level=STACK_LEVEL,
        charging_profile_purpose=purpose,
        charging_profile_kind=ChargingProfileKind.ABSOLUTE if absolute else ChargingProfileKind.RELATIVE,
        charging_schedule=schedule,
    )
    return smart_charging.SetChargingProfile(connector_id=connector, cs_charging_profiles=profile)


def _clear_limit(verb: verbs.ClearLimit, _: VerbFacts) -> Request[Any]:
    profile_id = _scope(verb)[1]
    return smart_charging.ClearChargingProfile(id=profile_id)


def _composite_schedule(verb: verbs.CompositeSchedule, _: VerbFacts) -> Request[Any]:
    if verb.duration_s < 1:
        _refuse(f"a schedule has at least 1 second, not {verb.duration_s}")
    if verb.unit and verb.unit not in set(ChargingRateUnit):
        _refuse(f"a unit is W or A, not {verb.unit!r}")
    return smart_charging.GetCompositeSchedule(
        connector_id=_connector(verb, least=0) or 0,
        duration=verb.duration_s,
        charging_rate_unit=ChargingRateUnit(verb.unit) if verb.unit else None,
    )


def _trigger(verb: verbs.Trigger, _: VerbFacts) -> Request[Any]:
    connector = _connector(verb)
    if verb.message in set(remote_trigger.MessageTrigger):
        plain = remote_trigger.MessageTrigger(verb.message)
        return remote_trigger.TriggerMessage(requested_message=plain, connector_id=connector)
    if verb.message in set(security.ExtendedMessageTrigger):
        extended = security.ExtendedMessageTrigger(verb.message)
        return security.ExtendedTriggerMessage(requested_message=extended, connector_id=connector)
    known = sorted({*remote_trigger.MessageTrigger, *security.ExtendedMessageTrigger})
    _refuse(f"a message to be triggered is one of {', '.join(known)}, not {verb.message!r}")


def _get_configuration(verb: verbs.GetConfiguration, _: VerbFacts) -> Request[Any]:
    return core.GetConfiguration(key=verb.keys or None)


def _set_configuration(verb: verbs.SetConfiguration, _: VerbFacts) -> Request[Any]:
    return core.ChangeConfiguration(key=verb.key, value=verb.value)


def _rotate_key(verb: verbs.RotateKey, _: VerbFacts) -> Request[Any]:
    if not KEY_DIGITS.fullmatch(verb.key):
        _refuse("a key is 16 to 20 bytes in hexadecimal digits")
    return core.ChangeConfiguration(key="AuthorizationKey", value=verb.key)


def _update_firmware(verb: verbs.UpdateFirmware, facts: VerbFacts) -> Request[Any]:
    retrieve_at = verb.retrieve_at or facts.now
    if bool(verb.signature) != bool(verb.signing_certificate):
        _refuse("signed firmware has a signature and a signing certificate")
    if verb.signature:
        return security.SignedUpdateFirmware(
            retries=verb.retries,
            retry_interval=verb.retry_interval_s,
            request_id=facts.request_id,
            firmware=security.Firmware(
                location=verb.location,
                retrieve_date_time=retrieve_at,
                install_date_time=verb.install_at,
                signing_certificate=verb.signing_certificate,
                signature=verb.signature,
            ),
        )
    if verb.install_at is not None:
        _refuse("only signed firmware has a time of installation")
    return firmware.UpdateFirmware(
        location=verb.location,
        retrieve_date=retrieve_at,
        retries=verb.retries,
        retry_interval=verb.retry_interval_s,
    )


def _get_logs(verb: verbs.GetLogs, facts: VerbFacts) -> Request[Any]:
    if verb.kind == "diagnostics":
        return firmware.GetDiagnostics(
            location=verb.location,
            retries=verb.retries,
            retry_interval=verb.retry_interval_s,
            start_time=verb.since,
            stop_time=verb.until,
        )
    if verb.kind != "security":
        _refuse(f'kind is "diagnostics" or "security", not {verb.kind!r}')
    return security.GetLog(
        log=security.LogParameters(
            remote_location=verb.location, oldest_timestamp=verb.since, latest_timestamp=verb.until
        ),
        log_type=security.Log.SECURITY_LOG,
        request_id=facts.request_id,
        retries=verb.retries,
        retry_interval=verb.retry_interval_s,
    )


def _reserve(verb: verbs.Reserve, _: VerbFacts) -> Request[Any]:
    if verb.reservation_id is None:
        _refuse("a reservation has a number")
    if verb.connector_type:
        _refuse("connectors have no types")
    return reservation.ReserveNow(
        connector_id=verb.evse or 0,
        expiry_date=verb.until,
        id_tag=verb.id_tag,
        parent_id_tag=verb.parent_id_tag or None,
        reservation_id=verb.reservation_id,
    )


def _cancel_reservation(verb: verbs.CancelReservation, _: VerbFacts) -> Request[Any]:
    return reservation.CancelReservation(reservation_id=verb.reservation_id)


def _sync_local_list(verb: verbs.SyncLocalList, facts: VerbFacts) -> Request[Any]:
    return LOCAL_LISTS.sync("1.6", facts.local_list, full=verb.full)


CERTIFICATE_USES: Mapping[str, security.CertificateUse] = {
    verbs.CENTRAL_SYSTEM: security.CertificateUse.CENTRAL_SYSTEM_ROOT_CERTIFICATE,
    verbs.MANUFACTURER: security.CertificateUse.MANUFACTURER_ROOT_CERTIFICATE,
}
"""Uses of installed certificates by the words of the verbs."""


def _use(word: str) -> security.CertificateUse:
    return word_of(CERTIFICATE_USES, word, "OCPP 1.6: the use of a certificate")


def _install_certificate(verb: verbs.InstallCertificate, _: VerbFacts) -> Request[Any]:
    check_length(verb.certificate, LONGEST_CERTIFICATE)
    return security.InstallCertificate(certificate_type=_use(verb.use), certificate=verb.certificate)


def _get_installed_certificates(verb: verbs.GetInstalledCertificates, _: VerbFacts) -> Request[Any]:
    if len(verb.uses) != 1:
        _refuse(f"certificates are asked for one use at a time: name one of {', '.join(CERTIFICATE_USES)}")
    return security.GetInstalledCertificateIds(certificate_type=_use(verb.uses[0]))


def _delete_certificate(verb: verbs.DeleteCertificate, _: VerbFacts) -> Request[Any]:
    algorithms = {str(one): one for one in security.HashAlgorithm}
    return security.DeleteCertificate(
        certificate_hash_data=security.CertificateHashData(
            hash_algorithm=word_of(algorithms, verb.hash_algorithm, "OCPP 1.6: the hash algorithm"),
            issuer_name_hash=verb.issuer_name_hash,
            issuer_key_hash=verb.issuer_key_hash,
            serial_number=verb.serial_number,
        )
    )


def _send_certificate(verb: verbs.SendCertificate, facts: VerbFacts) -> Request[Any]:
    if verb.use != verbs.CHARGING_STATION:
        _refuse(f"a certificate is that of the charge point, not one for the use {verb.use[:100]!r}")
    check_length(verb.certificate_chain, LONGEST_CHAIN, facts.configuration.get(CHAIN_SIZE, ""))
    return security.CertificateSigned(certificate_chain=verb.certificate_chain)


def _renew_certificate(verb: verbs.RenewCertificate, _: VerbFacts) -> Request[Any]:
    if verb.use != verbs.CHARGING_STATION:
        _refuse(f"a charge point has no certificate for the use {verb.use[:100]!r}")
    return security.ExtendedTriggerMessage(
        requested_message=security.ExtendedMessageTrigger.SIGN_CHARGE_POINT_CERTIFICATE
    )


FUNCTIONS: Mapping[type[verbs.Verb], Translate] = {
    verbs.StartCharging: _start_charging,
    verbs.StopCharging: _stop_charging,
    verbs.Unlock: _unlock,
    verbs.SetAvailability: _set_availability,
    verbs.Reset: _reset,
    verbs.Limit: _limit,
    verbs.ClearLimit: _clear_limit,
    verbs.CompositeSchedule: _composite_schedule,
    verbs.Trigger: _trigger,
    verbs.GetConfiguration: _get_configuration,
    verbs.SetConfiguration: _set_configuration,
    verbs.RotateKey: _rotate_key,
    verbs.UpdateFirmware: _update_firmware,
    verbs.GetLogs: _get_logs,
    verbs.Reserve: _reserve,
    verbs.CancelReservation: _cancel_reservation,
    verbs.SyncLocalList: _sync_local_list,
    verbs.InstallCertificate: _install_certificate,
    verbs.GetInstalledCertificates: _get_installed_certificates,
    verbs.DeleteCertificate: _delete_certificate,
    verbs.SendCertificate: _send_certificate,
    verbs.RenewCertificate: _renew_certificate,
}
"""Functions of the verbs that OCPP 1.6 knows."""
