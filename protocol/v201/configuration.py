"""Variables of the device model as configuration: a text for each, and the variables behind the keys of OCPP 1.6.

The one rule: a text names one variable, as in `SmartChargingCtrlr.RateUnit`; instances are in brackets, as in
`OCPPCommCtrlr.MessageAttempts[TransactionEvent]`, an EVSE and its connector in front, as in `1/2/Connector.Enabled`.
"""

import re

from ..verbs import VerbRefused
from .types import EVSE, Component, Variable

FORM = re.compile(
    r"(?:(?P<evse>\d{1,9})/(?P<connector>\d{1,9})/)?"
    r"(?P<component>[^\[\]./]+)(?:\[(?P<owner>[^\[\]]+)\])?"
    r"\.(?P<variable>[^\[\]]+)(?:\[(?P<instance>[^\[\]]+)\])?"
)
"""Form of a text that names a variable."""

RATE_UNIT = "SmartChargingCtrlr.RateUnit"
"""Variable with the units of limits that a station takes."""

OLDER: dict[str, str] = {
    "AdditionalRootCertificateCheck": "SecurityCtrlr.AdditionalRootCertificateCheck",
    "AllowOfflineTxForUnknownId": "AuthCtrlr.OfflineTxForUnknownIdEnabled",
    "AuthorizationCacheEnabled": "AuthCacheCtrlr.Enabled",
    "AuthorizationKey": "SecurityCtrlr.BasicAuthPassword",
    "AuthorizeRemoteTxRequests": "AuthCtrlr.AuthorizeRemoteStart",
    "CertificateSignedMaxChainSize": "SecurityCtrlr.MaxCertificateChainSize",
    "ChargeProfileMaxStackLevel": "SmartChargingCtrlr.ProfileStackLevel",
    "ChargingScheduleAllowedChargingRateUnit": RATE_UNIT,
    "ChargingScheduleMaxPeriods": "SmartChargingCtrlr.PeriodsPerSchedule",
    "ClockAlignedDataInterval": "AlignedDataCtrlr.Interval",
    "ConnectionTimeOut": "TxCtrlr.EVConnectionTimeOut",
    "ConnectorPhaseRotation": "ChargingStation.PhaseRotation",
    "ConnectorSwitch3to1PhaseSupported": "SmartChargingCtrlr.Phases3to1",
    "CpoName": "SecurityCtrlr.OrganizationName",
    "GetConfigurationMaxKeys": "DeviceDataCtrlr.ItemsPerMessage[GetVariables]",
    "HeartbeatInterval": "OCPPCommCtrlr.HeartbeatInterval",
    "LocalAuthListEnabled": "LocalAuthListCtrlr.Enabled",
    "LocalAuthorizeOffline": "AuthCtrlr.LocalAuthorizeOffline",
    "LocalPreAuthorize": "AuthCtrlr.LocalPreAuthorize",
    "MaxEnergyOnInvalidId": "TxCtrlr.MaxEnergyOnInvalidId",
    "MeterValueSampleInterval": "SampledDataCtrlr.TxUpdatedInterval",
    "MeterValuesAlignedData": "AlignedDataCtrlr.Measurands",
    "MeterValuesSampledData": "SampledDataCtrlr.TxUpdatedMeasurands",
    "ReserveConnectorZeroSupported": "ReservationCtrlr.NonEvseSpecific",
    "ResetRetries": "OCPPCommCtrlr.ResetRetries",
    "SecurityProfile": "SecurityCtrlr.SecurityProfile",
    "SendLocalListMaxLength": "LocalAuthListCtrlr.ItemsPerMessage",
    "StopTransactionOnEVSideDisconnect": "TxCtrlr.StopTxOnEVSideDisconnect",
    "StopTransactionOnInvalidId": "TxCtrlr.StopTxOnInvalidId",
    "StopTxnAlignedData": "AlignedDataCtrlr.TxEndedMeasurands",
    "StopTxnSampledData": "SampledDataCtrlr.TxEndedMeasurands",
    "SupportedFileTransferProtocols": "OCPPCommCtrlr.FileTransferProtocols",
    "TransactionMessageAttempts": "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
    "UnlockConnectorOnEVSideDisconnect": "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
    "WebSocketPingInterval": "OCPPCommCtrlr.WebSocketPingInterval",
}
"""Variables behind the usual configuration keys of OCPP 1.6.

Keys that are the largest value of something there are characteristics here, not values: `LocalAuthListMaxLength`,
`MaxChargingProfilesInstalled`, `CertificateStoreMaxLength`.
"""
_OLDER = {key.lower(): name for key, name in OLDER.items()}


def variable_key(component: Component, variable: Variable) -> str:
    """Name a variable by a text."""
    place = "" if component.evse is None else f"{component.evse.id}/{component.evse.connector_id or 0}/"
    owner = component.name + (f"[{component.instance}]" if component.instance else "")
    return f"{place}{owner}.{variable.name}" + (f"[{variable.instance}]" if variable.instance else "")


def variable_of(key: str) -> tuple[Component, Variable]:
    """Find the variable that a text names, or a configuration key of OCPP 1.6. Raises `VerbRefused`."""
    found = FORM.fullmatch(_OLDER.get(key.lower(), key))
    if found is None:
        raise VerbRefused(
            f"OCPP 2.0.1: {key!r} names no variable: it must have the form Component.Variable, as {RATE_UNIT}"
        )
    evse = None
    if found["evse"] is not None:
        evse = EVSE(id=int(found["evse"]), connector_id=int(found["connector"]) or None)
    return (
        Component(evse=evse, name=found["component"], instance=found["owner"]),
        Variable(name=found["variable"], instance=found["instance"]),
    )
