"""Configuration of a charge point: keys, their values and rules.

The one rule: a value is text, as it is on the wire; a change is checked here and takes effect elsewhere. Names are
compared without case. OCPP 1.6, section 9; "Improved security for OCPP 1.6-J", section 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol import v16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Check = Callable[[str], bool]


def _integer(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", text) is not None


def _boolean(text: str) -> bool:
    return text.lower() in ("true", "false")


def _anything(_: str) -> bool:
    return True


def _measurands(text: str) -> bool:
    known = {str(measurand) for measurand in v16.Measurand}
    return all(part.strip() in known for part in text.split(",")) if text else True


def _authorization_key(text: str) -> bool:
    """16 to 20 bytes, as hexadecimal digits. White paper, A00.FR.204 and 205."""
    return re.fullmatch(r"(?:[0-9A-Fa-f]{2}){16,20}", text) is not None


@dataclass(slots=True)
class Key:
    """Configuration key."""

    name: str
    value: str
    readonly: bool = False
    check: Check = _anything
    reboot: bool = False  # a change counts from the next boot on
    secret: bool = False  # may be written, and is never shown


def _keys() -> Iterator[Key]:
    """Make every key with the initial value of a charge point."""
    profiles = ",".join(profile for profile in PROFILES)
    fixed = {
        "NumberOfConnectors": "1",
        "GetConfigurationMaxKeys": "100",
        "SupportedFeatureProfiles": profiles,
        "ReserveConnectorZeroSupported": "true",
        "LocalAuthListMaxLength": "1000",
        "SendLocalListMaxLength": "100",
        "ChargeProfileMaxStackLevel": "10",
        "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
        "ChargingScheduleMaxPeriods": "24",
        "MaxChargingProfilesInstalled": "20",
        "ConnectorSwitch3to1PhaseSupported": "false",
        "CertificateSignedMaxChainSize": "10000",
        "CertificateStoreMaxLength": "10",
        "SupportedFileTransferProtocols": "HTTP,HTTPS,FTP",
    }
    integers = {
        "HeartbeatInterval": "300",
        "ConnectionTimeOut": "60",
        "ClockAlignedDataInterval": "0",
        "MeterValueSampleInterval": "0",  # 0: meter values are sent on request only
        "MinimumStatusDuration": "0",
        "ResetRetries": "1",
        "TransactionMessageAttempts": "3",
        "TransactionMessageRetryInterval": "60",
        "WebSocketPingInterval": "0",
        "BlinkRepeat": "0",
        "LightIntensity": "100",
        "MaxEnergyOnInvalidId": "0",
    }
    booleans = {
        "AllowOfflineTxForUnknownId": "true",
        "AuthorizationCacheEnabled": "true",
        "AuthorizeRemoteTxRequests": "false",
        "LocalAuthorizeOffline": "true",
        "LocalPreAuthorize": "false",
        "LocalAuthListEnabled": "true",
        "StopTransactionOnEVSideDisconnect": "true",
        "StopTransactionOnInvalidId": "true",
        "UnlockConnectorOnEVSideDisconnect": "true",
    }
    measurands = {
        "MeterValuesAlignedData": "",
        "MeterValuesSampledData": "Energy.Active.Import.Register",
        "StopTxnAlignedData": "",
        "StopTxnSampledData": "",
    }
    yield from (Key(name, value, readonly=True) for name, value in fixed.items())
    yield from (Key(name, value, check=_integer) for name, value in integers.items())
    yield from (Key(name, value, check=_boolean) for name, value in booleans.items())
    yield from (Key(name, value, check=_measurands) for name, value in measurands.items())
    yield Key("ConnectorPhaseRotation", "NotApplicable")
    yield Key("CpoName", "")
    yield Key("SecurityProfile", "0", check=_integer, reboot=True)
    yield Key("AdditionalRootCertificateCheck", "false", readonly=True)
    yield Key("AuthorizationKey", "", check=_authorization_key, secret=True)


PROFILES = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "SmartCharging",
    "RemoteTrigger",
)


class Configuration:
    """The table of keys. `values` are given at the factory: they may set read-only keys and add keys of a vendor's."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._keys = {key.name.lower(): key for key in _keys()}
        for name, value in (values or {}).items():
            self.set(name, value)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def __getitem__(self, name: str) -> str:
        return self._keys[name.lower()].value

    def integer(self, name: str) -> int:
        """Return the value of a key that holds a number."""
        return int(self[name])

    def flag(self, name: str) -> bool:
        """Return the value of a key that holds true or false."""
        return self[name].lower() == "true"

    def set(self, name: str, value: str) -> None:
        """Set a key from within, regardless of its rules; a new key may be changed by commands."""
        key = self._keys.setdefault(name.lower(), Key(name, value))
        key.value = value

    def change(self, name: str, value: str) -> v16.ConfigurationStatus:
        """Set a key as ChangeConfiguration does. OCPP 1.6, 5.3."""
        status = v16.ConfigurationStatus
        key = self._keys.get(name.lower())
        if key is None:
            return status.NOT_SUPPORTED
        if key.readonly or not key.check(value):
            return status.REJECTED
        key.value = value
        return status.REBOOT_REQUIRED if key.reboot else status.ACCEPTED

    def read(self, names: Iterable[str] = ()) -> v16.GetConfigurationResponse:
        """Read keys as GetConfiguration does: all of them if no name is given. OCPP 1.6, 5.8."""
        names = list(names)
        known = [self._keys[name.lower()] for name in names if name.lower() in self._keys]
        unknown = tuple(name for name in names if name.lower() not in self._keys)
        shown = tuple(
            v16.KeyValue(key=key.name, readonly=key.readonly, value=None if key.secret else key.value)
            for key in (known if names else self)
        )
        return v16.GetConfigurationResponse(
            configuration_key=shown or None,
            unknown_key=unknown or None,
        )
