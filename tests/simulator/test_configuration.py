import pytest

from chargehand import v16
from chargehand.simulator.configuration import Configuration

Changed = v16.ConfigurationStatus


def test_every_core_key_that_the_specification_requires_is_there():
    required = {
        "AuthorizeRemoteTxRequests",
        "ClockAlignedDataInterval",
        "ConnectionTimeOut",
        "ConnectorPhaseRotation",
        "GetConfigurationMaxKeys",
        "HeartbeatInterval",
        "LocalAuthorizeOffline",
        "LocalPreAuthorize",
        "MeterValuesAlignedData",
        "MeterValuesSampledData",
        "MeterValueSampleInterval",
        "NumberOfConnectors",
        "ResetRetries",
        "StopTransactionOnEVSideDisconnect",
        "StopTransactionOnInvalidId",
        "StopTxnAlignedData",
        "StopTxnSampledData",
        "SupportedFeatureProfiles",
        "TransactionMessageAttempts",
        "TransactionMessageRetryInterval",
        "UnlockConnectorOnEVSideDisconnect",
    }
    assert required <= {key.name for key in Configuration()}


def test_a_key_is_changed_whatever_its_case():
    configuration = Configuration()
    assert configuration.change("heartbeatINTERVAL", "17") is Changed.ACCEPTED
    assert configuration.integer("HeartbeatInterval") == 17


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("NumberOfConnectors", "9", Changed.REJECTED),
        ("HeartbeatInterval", "soon", Changed.REJECTED),
        ("HeartbeatInterval", "-1", Changed.REJECTED),
        ("LocalPreAuthorize", "yes", Changed.REJECTED),
        ("LocalPreAuthorize", "TRUE", Changed.ACCEPTED),
        ("MeterValuesSampledData", "Voltage,SoC", Changed.ACCEPTED),
        ("MeterValuesSampledData", "Voltage,Luck", Changed.REJECTED),
        ("AuthorizationKey", "00" * 16, Changed.ACCEPTED),
        ("AuthorizationKey", "00" * 15, Changed.REJECTED),
        ("AuthorizationKey", "a password", Changed.REJECTED),
        ("SecurityProfile", "2", Changed.REBOOT_REQUIRED),
        ("NoSuchKey", "1", Changed.NOT_SUPPORTED),
    ],
)
def test_a_change_is_judged_by_the_rules_of_its_key(key, value, answer):
    assert Configuration().change(key, value) is answer


def test_what_was_rejected_has_changed_nothing():
    configuration = Configuration({"HeartbeatInterval": "30"})
    configuration.change("HeartbeatInterval", "soon")
    assert configuration["HeartbeatInterval"] == "30"


def test_the_factory_may_set_what_is_read_only_and_add_keys():
    configuration = Configuration({"ChargingScheduleMaxPeriods": "3", "AcmeMode": "eco"})
    assert configuration.integer("ChargingScheduleMaxPeriods") == 3
    assert configuration.change("AcmeMode", "turbo") is Changed.ACCEPTED


def test_all_keys_are_read_if_none_is_named():
    response = Configuration().read()
    assert response.unknown_key is None
    assert len(response.configuration_key or ()) == len(list(Configuration()))


def test_known_and_unknown_keys_are_told_apart():
    response = Configuration().read(["heartbeatinterval", "Luck"])
    assert response.configuration_key == (v16.KeyValue(key="HeartbeatInterval", readonly=False, value="300"),)
    assert response.unknown_key == ("Luck",)


def test_a_secret_is_never_shown():
    configuration = Configuration()
    configuration.change("AuthorizationKey", "ab" * 16)
    (shown,) = configuration.read(["AuthorizationKey"]).configuration_key or ()
    assert shown.value is None
