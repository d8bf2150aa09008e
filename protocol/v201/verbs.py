"""Verbs in the messages of OCPP 2.0.1.

The one rule: a verb that the version has no message for, or none with these arguments, is refused, never bent.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from .. import verbs
from ..actions import Request
from ..verbs import Translate, VerbFacts, check_length, rate_of, word_of
from . import (
    availability,
    certificates,
    diagnostics,
    firmware,
    provisioning,
    remote_control,
    reservation,
    security,
    smart_charging,
    station_verbs,
)
from .configuration import RATE_UNIT, variable_of
from .local_lists import LOCAL_LISTS
from .types import (
    EVSE,
    CertificateHashData,
    ChargingProfile,
    ChargingProfileKind,
    ChargingProfilePurpose,
    ChargingRateUnit,
    ChargingSchedule,
    ChargingSchedulePeriod,
    HashAlgorithm,
)
from .verb_parts import refuse, token, transaction, word

PASSWORD_CHARS = (16, 40)
"""Least and most characters of a BasicAuthPassword."""

# One fixed profile a scope, with a number of its own for each EVSE: setting it again replaces it, and clearing it
# touches no other.
STACK_LEVEL = 0
STATION_PROFILE, EVSE_PROFILE, TRANSACTION_PROFILE = 990_001, 990_002, 990_003

CHAIN_SIZE = "SecurityCtrlr.MaxCertificateChainSize"
"""Variable with the characters of a chain of certificates that a station takes."""
LONGEST_CERTIFICATE, LONGEST_CHAIN = 5500, 10_000
"""Characters of a certificate and of a chain of them."""


def _evse(evse: int | None, least: int = 1) -> int | None:
    if evse is not None and evse < least:
        refuse(f"evse must be at least {least}, not {evse}")
    return evse


def _place(evse: int | None, connector: int | None) -> EVSE | None:
    """Return the address of an EVSE or a connector; None for the station as a whole, which is EVSE 0 too."""
    if not _evse(evse, least=0):
        if connector:
            refuse(f"connector {connector} needs its evse")
        return None
    if connector is not None and connector < 1:
        refuse(f"connector must be at least 1, not {connector}")
    return EVSE(id=evse or 0, connector_id=connector)


def _start_charging(
    verb: verbs.StartCharging, facts: VerbFacts
) -> Request[remote_control.RequestStartTransactionResponse]:
    if verb.connector is not None:
        refuse("a transaction is started at an EVSE, not at one of its connectors")
    return remote_control.RequestStartTransaction(
        evse_id=_evse(verb.evse),
        id_token=token(verb.id_tag, verb.id_type),
        remote_start_id=facts.request_id,
    )


def _stop_charging(
    verb: verbs.StopCharging, _: VerbFacts
) -> Request[remote_control.RequestStopTransactionResponse]:
    return remote_control.RequestStopTransaction(transaction_id=transaction(verb.transaction_id))


def _unlock(verb: verbs.Unlock, _: VerbFacts) -> Request[remote_control.UnlockConnectorResponse]:
    connector = 1 if verb.connector is None else verb.connector
    if connector < 1:
        refuse(f"connector must be at least 1, not {connector}")
    return remote_control.UnlockConnector(evse_id=_evse(verb.evse) or 1, connector_id=connector)


def _set_availability(
    verb: verbs.SetAvailability, _: VerbFacts
) -> Request[availability.ChangeAvailabilityResponse]:
    operative, inoperative = (
        availability.OperationalStatus.OPERATIVE,
        availability.OperationalStatus.INOPERATIVE,
    )
    return availability.ChangeAvailability(
        evse=_place(verb.evse, verb.connector),
        operational_status=operative if verb.available else inoperative,
    )


def _reset(verb: verbs.Reset, _: VerbFacts) -> Request[provisioning.ResetResponse]:
    kind = provisioning.ResetType.IMMEDIATE if verb.at_once else provisioning.ResetType.ON_IDLE
    return provisioning.Reset(type=kind, evse_id=_evse(verb.evse, least=0) or None)


def _scope(verb: verbs.Limit | verbs.ClearLimit) -> tuple[ChargingProfilePurpose, int, int]:
    """Return purpose, profile id and EVSE of a limit."""
    if verb.transaction_id is not None:
        # The profile of a transaction is set on the EVSE that it charges at. OCPP 2.0.1, K01.
        if not verb.evse:
            refuse("the limit of a transaction needs its evse")
        return ChargingProfilePurpose.TX_PROFILE, TRANSACTION_PROFILE + 10 * verb.evse, verb.evse
    if _evse(verb.evse, least=0) is not None:
        evse = verb.evse or 0
        return ChargingProfilePurpose.TX_DEFAULT_PROFILE, EVSE_PROFILE + 10 * evse, evse
    return ChargingProfilePurpose.CHARGING_STATION_MAX_PROFILE, STATION_PROFILE, 0


def _limit(verb: verbs.Limit, facts: VerbFacts) -> Request[smart_charging.SetChargingProfileResponse]:
    purpose, profile_id, evse = _scope(verb)
    unit, limit = rate_of(verb, facts.configuration.get(RATE_UNIT, ""))
    period = ChargingSchedulePeriod(
        start_period=0,
        limit=limit.quantize(Decimal("0.1"), ROUND_DOWN),
        number_phases=verb.phases if unit == ChargingRateUnit.A else None,
    )
    # An absolute schedule with a start in the past holds from now on; one of a transaction starts with it.
    absolute = purpose is ChargingProfilePurpose.CHARGING_STATION_MAX_PROFILE
    schedule = ChargingSchedule(
        id=profile_id,
        start_schedule=facts.now if absolute else None,
        charging_rate_unit=ChargingRateUnit(unit),
        charging_schedule_period=(period,),
    )
    profile = ChargingProfile(
        id=profile_id,
        stack_level=STACK_LEVEL,
        charging_profile_purpose=purpose,
        charging_profile_kind=ChargingProfileKind.ABSOLUTE if absolute else ChargingProfileKind.RELATIVE,
        charging_schedule=(schedule,),
        transaction_id=None if verb.transaction_id is None else transaction(verb.transaction_id),
    )
    return smart_charging.SetChargingProfile(evse_id=evse, charging_profile=profile)


def _composite_schedule(
    verb: verbs.CompositeSchedule, _: VerbFacts
) -> Request[smart_charging.GetCompositeScheduleResponse]:
    if verb.duration_s < 1:
        refuse(f"a schedule has at least 1 second, not {verb.duration_s}")
    return smart_charging.GetCompositeSchedule(
        duration=verb.duration_s,
        charging_rate_unit=word(ChargingRateUnit, verb.unit, "a unit"),
        evse_id=_evse(verb.evse, least=0) or 0,
    )


def _get_charging_profiles(
    verb: verbs.GetChargingProfiles, facts: VerbFacts
) -> Request[smart_charging.GetChargingProfilesResponse]:
    sought = smart_charging.ChargingProfileCriterion(
        charging_profile_purpose=word(ChargingProfilePurpose, verb.purpose, "a purpose")
    )
    return smart_charging.GetChargingProfiles(
        request_id=facts.request_id, evse_id=_evse(verb.evse, least=0), charging_profile=sought
    )


def _clear_limit(
    verb: verbs.ClearLimit, _: VerbFacts
) -> Request[smart_charging.ClearChargingProfileResponse]:
    return smart_charging.ClearChargingProfile(charging_profile_id=_scope(verb)[1])


def _trigger(verb: verbs.Trigger, _: VerbFacts) -> Request[remote_control.TriggerMessageResponse]:
    if verb.message not in set(remote_control.MessageTrigger):
        known = ", ".join(sorted(remote_control.MessageTrigger))
        refuse(f"a message to be triggered is one of {known}, not {verb.message!r}")
    return remote_control.TriggerMessage(
        evse=_place(verb.evse, verb.connector),
        requested_message=remote_control.MessageTrigger(verb.message),
    )


def _get_configuration(
    verb: verbs.GetConfiguration, facts: VerbFacts
) -> Request[provisioning.GetVariablesResponse] | Request[provisioning.GetBaseReportResponse]:
    if not verb.keys:
        return provisioning.GetBaseReport(
            request_id=facts.request_id, report_base=provisioning.ReportBase.CONFIGURATION_INVENTORY
        )
    named = map(variable_of, verb.keys)
    data = (provisioning.GetVariableData(component=owner, variable=variable) for owner, variable in named)
    return provisioning.GetVariables(get_variable_data=tuple(data))


def _set_configuration(
    verb: verbs.SetConfiguration, _: VerbFacts
) -> Request[provisioning.SetVariablesResponse]:
    component, variable = variable_of(verb.key)
    data = provisioning.SetVariableData(attribute_value=verb.value, component=component, variable=variable)
    return provisioning.SetVariables(set_variable_data=(data,))


def _rotate_key(verb: verbs.RotateKey, _: VerbFacts) -> Request[provisioning.SetVariablesResponse]:
    if not PASSWORD_CHARS[0] <= len(verb.key) <= PASSWORD_CHARS[1]:
        refuse(f"a password has {PASSWORD_CHARS[0]} to {PASSWORD_CHARS[1]} characters")
    component, variable = variable_of("SecurityCtrlr.BasicAuthPassword")
    data = provisioning.SetVariableData(attribute_value=verb.key, component=component, variable=variable)
    return provisioning.SetVariables(set_variable_data=(data,))


def _update_firmware(
    verb: verbs.UpdateFirmware, facts: VerbFacts
) -> Request[firmware.UpdateFirmwareResponse]:
    if bool(verb.signature) != bool(verb.signing_certificate):
        refuse("signed firmware has a signature and a signing certificate")
    return firmware.UpdateFirmware(
        retries=verb.retries,
        retry_interval=verb.retry_interval_s,
        request_id=facts.request_id,
        firmware=firmware.Firmware(
            location=verb.location,
            retrieve_date_time=verb.retrieve_at or facts.now,
            install_date_time=verb.install_at,
            signing_certificate=verb.signing_certificate or None,
            signature=verb.signature or None,
        ),
    )


def _publish_firmware(
    verb: verbs.PublishFirmware, facts: VerbFacts
) -> Request[firmware.PublishFirmwareResponse]:
    return firmware.PublishFirmware(
        location=verb.location,
        retries=verb.retries,
        checksum=_checksum(verb.checksum),
        request_id=facts.request_id,
        retry_interval=verb.retry_interval_s,
    )


def _unpublish_firmware(
    verb: verbs.UnpublishFirmware, _: VerbFacts
) -> Request[firmware.UnpublishFirmwareResponse]:
    return firmware.UnpublishFirmware(checksum=_checksum(verb.checksum))


def _checksum(text: str) -> str:
    if not MD5.fullmatch(text):
        refuse(f"a checksum is MD5, in 32 hexadecimal digits, not {text!r}")
    return text


MD5 = re.compile("[0-9A-Fa-f]{32}")

LOGS = {"diagnostics": diagnostics.LogType.DIAGNOSTICS_LOG, "security": diagnostics.LogType.SECURITY_LOG}
"""Kinds of logs by the words of the verb."""


def _get_logs(verb: verbs.GetLogs, facts: VerbFacts) -> Request[diagnostics.GetLogResponse]:
    if verb.kind not in LOGS:
        refuse(f'kind is "diagnostics" or "security", not {verb.kind!r}')
    return diagnostics.GetLog(
        log=diagnostics.LogParameters(
            remote_location=verb.location, oldest_timestamp=verb.since, latest_timestamp=verb.until
        ),
        log_type=LOGS[verb.kind],
        request_id=facts.request_id,
        retries=verb.retries,
        retry_interval=verb.retry_interval_s,
    )


def _reserve(verb: verbs.Reserve, _: VerbFacts) -> Request[reservation.ReserveNowResponse]:
    if verb.reservation_id is None:
        refuse("a reservation has a number")
    return reservation.ReserveNow(
        id=verb.reservation_id,
        expiry_date_time=verb.until,
        id_token=token(verb.id_tag, verb.id_type),
        evse_id=_evse(verb.evse, least=0) or None,
        connector_type=word(reservation.ConnectorType, verb.connector_type, "a type of connector"),
        group_id_token=token(verb.parent_id_tag) if verb.parent_id_tag else None,
    )


def _cancel_reservation(
    verb: verbs.CancelReservation, _: VerbFacts
) -> Request[reservation.CancelReservationResponse]:
    return reservation.CancelReservation(reservation_id=verb.reservation_id)


def _sync_local_list(verb: verbs.SyncLocalList, facts: VerbFacts) -> Request[Any]:
    return LOCAL_LISTS.sync("2.0.1", facts.local_list, full=verb.full)


ROOT_USES: Mapping[str, certificates.InstallCertificateUse] = {
    verbs.CENTRAL_SYSTEM: certificates.InstallCertificateUse.CSMS_ROOT_CERTIFICATE,
    verbs.MANUFACTURER: certificates.InstallCertificateUse.MANUFACTURER_ROOT_CERTIFICATE,
    verbs.V2G: certificates.InstallCertificateUse.V2G_ROOT_CERTIFICATE,
    verbs.MOBILITY_OPERATOR: certificates.InstallCertificateUse.MO_ROOT_CERTIFICATE,
}
"""Uses of root certificates by the words of the verbs."""
CERTIFICATE_USES: Mapping[str, certificates.GetCertificateIdUse] = {
    **{word: certificates.GetCertificateIdUse(use) for word, use in ROOT_USES.items()},
    verbs.V2G_CHAIN: certificates.GetCertificateIdUse.V2G_CERTIFICATE_CHAIN,
}
"""Uses of installed certificates by the words of the verbs."""
SIGNING_USES: Mapping[str, security.CertificateSigningUse | None] = {
    verbs.CHARGING_STATION: security.CertificateSigningUse.CHARGING_STATION_CERTIFICATE,
    verbs.V2G: security.CertificateSigningUse.V2G_CERTIFICATE,
    verbs.COMBINED: None,  # both, as in a request without a type
}
RENEWALS: Mapping[str, remote_control.MessageTrigger] = {
    verbs.CHARGING_STATION: remote_control.MessageTrigger.SIGN_CHARGING_STATION_CERTIFICATE,
    verbs.V2G: remote_control.MessageTrigger.SIGN_V2G_CERTIFICATE,
    verbs.COMBINED: remote_control.MessageTrigger.SIGN_COMBINED_CERTIFICATE,
}
USE_OF_A_CERTIFICATE = "OCPP 2.0.1: the use of a certificate"


def _install_certificate(
    verb: verbs.InstallCertificate, _: VerbFacts
) -> Request[certificates.InstallCertificateResponse]:
    check_length(verb.certificate, LONGEST_CERTIFICATE)
    return certificates.InstallCertificate(
        certificate_type=word_of(ROOT_USES, verb.use, USE_OF_A_CERTIFICATE), certificate=verb.certificate
    )


def _get_installed_certificates(
    verb: verbs.GetInstalledCertificates, _: VerbFacts
) -> Request[certificates.GetInstalledCertificateIdsResponse]:
    uses = tuple(word_of(CERTIFICATE_USES, use, USE_OF_A_CERTIFICATE) for use in verb.uses)
    return certificates.GetInstalledCertificateIds(certificate_type=uses or None)


def _delete_certificate(
    verb: verbs.DeleteCertificate, _: VerbFacts
) -> Request[certificates.DeleteCertificateResponse]:
    algorithms = {str(one): one for one in HashAlgorithm}
    return certificates.DeleteCertificate(
        certificate_hash_data=CertificateHashData(
            hash_algorithm=word_of(algorithms, verb.hash_algorithm, "OCPP 2.0.1: the hash algorithm"),
            issuer_name_hash=verb.issuer_name_hash,
            issuer_key_hash=verb.issuer_key_hash,
            serial_number=verb.serial_number,
        )
    )


def _send_certificate(
    verb: verbs.SendCertificate, facts: VerbFacts
) -> Request[security.CertificateSignedResponse]:
    check_length(verb.certificate_chain, LONGEST_CHAIN, facts.configuration.get(CHAIN_SIZE, ""))
    return security.CertificateSigned(
        certificate_chain=verb.certificate_chain,
        certificate_type=word_of(SIGNING_USES, verb.use, USE_OF_A_CERTIFICATE),
    )


def _renew_certificate(
    verb: verbs.RenewCertificate, _: VerbFacts
) -> Request[remote_control.TriggerMessageResponse]:
    wanted = word_of(RENEWALS, verb.use, USE_OF_A_CERTIFICATE)
    return remote_control.TriggerMessage(requested_message=wanted)


FUNCTIONS: Mapping[type[verbs.Verb], Translate] = {
    verbs.StartCharging: _start_charging,
    verbs.StopCharging: _stop_charging,
    verbs.Unlock: _unlock,
    verbs.SetAvailability: _set_availability,
    verbs.Reset: _reset,
    verbs.Limit: _limit,
    verbs.ClearLimit: _clear_limit,
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
    verbs.CompositeSchedule: _composite_schedule,
    verbs.GetChargingProfiles: _get_charging_profiles,
    verbs.PublishFirmware: _publish_firmware,
    verbs.UnpublishFirmware: _unpublish_firmware,
    verbs.SetMonitor: station_verbs.set_monitor,
    verbs.ClearMonitors: station_verbs.clear_monitors,
    verbs.GetMonitors: station_verbs.get_monitors,
    verbs.SetDisplayMessage: station_verbs.set_display_message,
    verbs.GetDisplayMessages: station_verbs.get_display_messages,
    verbs.ClearDisplayMessage: station_verbs.clear_display_message,
    verbs.SetNetworkProfile: station_verbs.set_network_profile,
    verbs.CustomerInformation: station_verbs.customer_information,
}
"""Functions of the verbs that OCPP 2.0.1 knows: all of them."""
