"""Every command of OCPP 2.0.1, given by a central system to a simulated station, with what follows from it."""

import datetime as dt
from decimal import Decimal

import pytest

from chargehand import CommandRefused, v201
from chargehand.protocol.actions import Sender

from ..test_certificates import ROOT

PAST = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
FUTURE = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
TOKEN = v201.IdToken(id_token="T1", type="ISO14443")
OTHER = v201.IdToken(id_token="T2", type="ISO14443")
EVSE_1 = v201.EVSE(id=1)


def test_a_station_has_an_answer_to_every_command_of_the_version(booted):
    commands = {
        name for name, row in v201.VERSION.actions.items() if row.sender.allows(Sender.CENTRAL_SYSTEM)
    }
    assert len(commands) == 40
    assert commands == set(booted.answers)


def named(name, instance=None, evse=None):
    component, _, variable = name.partition(".")
    return {
        "component": v201.Component(name=component, evse=evse),
        "variable": v201.Variable(name=variable, instance=instance),
    }


def set_variable(name, value, **more):
    return v201.SetVariables(
        set_variable_data=(v201.SetVariableData(attribute_value=value, **named(name), **more),)
    )


def get_variable(name, **more):
    return v201.GetVariables(get_variable_data=(v201.GetVariableData(**named(name, **more)),))


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("TxCtrlr.TxStartPoint", "EVConnected,Authorized", "Accepted"),
        ("txctrlr.txstartpoint", "EVConnected", "Accepted"),
        ("TxCtrlr.TxStartPoint", "Whenever", "Rejected"),
        ("AuthCtrlr.Enabled", "maybe", "Rejected"),
        ("SmartChargingCtrlr.RateUnit", "W", "Rejected"),
        ("OCPPCommCtrlr.NetworkConfigurationPriority", "2,1", "RebootRequired"),
        ("TxCtrlr.Nothing", "1", "UnknownVariable"),
        ("Nothing.Nothing", "1", "UnknownComponent"),
    ],
)
def test_a_variable_takes_what_it_can_hold(call, booted, name, value, status):
    assert call(set_variable(name, value)).set_variable_result[0].attribute_status == status
    if status == "Accepted":
        assert booted.model[name] == value


@pytest.mark.parametrize("limit", [1, 2])
def test_a_message_with_more_variables_than_the_station_says_is_refused(call, booted, limit):
    booted.model.set("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", str(limit))
    booted.model.set("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", str(limit))
    some = [v201.GetVariableData(**named("TxCtrlr.TxStartPoint"))] * 3
    assert len(call(v201.GetVariables(get_variable_data=tuple(some[:limit]))).get_variable_result) == limit
    with pytest.raises(CommandRefused, match="are more than"):
        call(v201.GetVariables(get_variable_data=tuple(some[: limit + 1])))
    changes = [v201.SetVariableData(**named("TxCtrlr.TxStartPoint"), attribute_value="EVConnected")] * 3
    with pytest.raises(CommandRefused):
        call(v201.SetVariables(set_variable_data=tuple(changes)))
    assert booted.model["TxCtrlr.TxStartPoint"] == "Authorized"


def test_variables_are_read_with_the_state_of_connectors(call, booted):
    booted.plug_in()
    request = get_variable("Connector.AvailabilityState", evse=v201.EVSE(id=1, connector_id=1))
    assert call(request).get_variable_result[0].attribute_value == "Occupied"
    assert call(get_variable("ClockCtrlr.DateTime")).get_variable_result[0].attribute_value.endswith("Z")
    hidden = call(get_variable("SecurityCtrlr.BasicAuthPassword")).get_variable_result[0]
    assert (hidden.attribute_status, hidden.attribute_value) == ("Rejected", None)
    target = v201.GetVariableData(attribute_type="Target", **named("AuthCtrlr.Enabled"))
    result = call(v201.GetVariables(get_variable_data=(target,))).get_variable_result[0]
    assert result.attribute_status == "NotSupportedAttributeType"


def test_a_new_password_is_used_on_a_new_connection(call, booted, until):
    call(set_variable("SecurityCtrlr.BasicAuthPassword", "0123456789abcdef"))
    until(lambda: booted.connection.connections == 2)
    assert booted.password == "0123456789abcdef"


@pytest.mark.parametrize("base", list(v201.ReportBase))
def test_a_base_report_comes_in_numbered_parts_of_which_the_last_says_so(call, booted, office, until, base):
    assert call(v201.GetBaseReport(request_id=7, report_base=base)).status == "Accepted"
    until(lambda: [one for one in office.of(v201.NotifyReport) if not one.tbc])
    parts = office.of(v201.NotifyReport)
    assert [one.seq_no for one in parts] == list(range(len(parts)))
    assert {one.request_id for one in parts} == {7}
    data = [one for part in parts for one in part.report_data]
    names = {(one.component.name, one.variable.name) for one in data}
    assert len(parts) > 1 or base == "SummaryInventory"
    assert (("ChargingStation", "Model") in names) == (base == "FullInventory")
    assert (("ChargingStation", "AvailabilityState") in names) == (base != "ConfigurationInventory")


def test_a_report_has_the_variables_that_were_asked_for(call, office, until):
    wanted = v201.ComponentVariable(component=v201.Component(name="EVSE"))
    assert call(v201.GetReport(request_id=8, component_variable=(wanted,))).status == "Accepted"
    until(lambda: office.of(v201.NotifyReport))
    assert {one.component.evse.id for one in office.of(v201.NotifyReport)[0].report_data} == {1, 2}
    nothing = v201.ComponentVariable(component=v201.Component(name="Oven"))
    assert call(v201.GetReport(request_id=9, component_variable=(nothing,))).status == "EmptyResultSet"
    assert call(v201.GetReport(request_id=10, component_criteria=("Problem",))).status == "EmptyResultSet"


def network_profile(security_profile=1):
    return v201.NetworkConnectionProfile(
        ocpp_version="OCPP20",
        ocpp_transport="JSON",
        ocpp_csms_url="wss://example.com/ocpp",
        message_timeout=30,
        security_profile=security_profile,
        ocpp_interface="Wired0",
    )


def test_a_network_profile_is_kept_unless_it_is_less_secure(call, booted):
    answers = [
        call(v201.SetNetworkProfile(configuration_slot=slot, connection_data=network_profile(security)))
        for slot, security in ((1, 1), (2, 0), (9, 1))
    ]
    assert [one.status for one in answers] == ["Accepted", "Rejected", "Rejected"]
    assert list(booted.commands.network_profiles) == [1]


def test_a_reset_at_once_ends_transactions_and_boots_again(call, booted, office, until):
    booted.plug_in()
    booted.start("T1")
    assert call(v201.Reset(type="Immediate")).status == "Accepted"
    until(lambda: len(office.of(v201.BootNotification)) == 2)
    assert office.of(v201.BootNotification)[-1].reason == "RemoteReset"
    assert (office.events[-1].event_type, office.events[-1].trigger_reason) == ("Ended", "ResetCommand")
    assert office.events[-1].transaction_info.stopped_reason == "ImmediateReset"


def test_a_reset_on_idle_waits_for_the_transaction(call, booted, office, until):
    booted.plug_in()
    booted.start("T1")
    assert call(v201.Reset(type="OnIdle")).status == "Scheduled"
    assert len(office.of(v201.BootNotification)) == 1
    booted.stop()
    until(lambda: len(office.of(v201.BootNotification)) == 2)
    assert call(v201.Reset(type="OnIdle", evse_id=9)).status == "Rejected"


def test_a_reset_of_one_evse_ends_only_its_transaction(call, booted, until):
    for evse in (1, 2):
        booted.plug_in(evse)
        booted.start("T1", evse)
    assert call(v201.Reset(type="Immediate", evse_id=2)).status == "Accepted"
    until(lambda: booted.evses[2].transaction is None)
    assert booted.evses[1].transaction is not None


def test_list_and_cache_decide_while_the_central_system_is_away(call, booted):
    entry = v201.AuthorizationData(id_token=OTHER, id_token_info=v201.IdTokenInfo(status="Accepted"))
    full = v201.SendLocalList(version_number=3, update_type="Full", local_authorization_list=(entry,))
    assert call(full).status == "Accepted"
    assert call(v201.GetLocalListVersion()).version_number == 3
    less = v201.SendLocalList(version_number=2, update_type="Differential")
    assert call(less).status == "VersionMismatch"
    booted.authorize("T1")
    assert call(v201.ClearCache()).status == "Accepted"
    assert not booted.charging.authorization.cache
    booted.close()
    assert booted.authorize("t2").status == "Accepted"
    assert booted.authorize("T1").status == "Unknown"


def test_a_remote_start_and_stop_are_told_with_their_reasons(call, booted, office, until):
    start = v201.RequestStartTransaction(id_token=TOKEN, remote_start_id=5, evse_id=2)
    assert call(start).status == "Accepted"
    transaction = until(lambda: booted.evses[2].transaction)
    until(lambda: len(office.events) == 2)
    assert office.events[0].trigger_reason == "RemoteStart"
    assert [one.transaction_info.remote_start_id for one in office.events] == [5, None]
    assert call(start).status == "Rejected"
    asked = v201.GetTransactionStatus(transaction_id=transaction.id)
    assert call(asked).ongoing_indicator is True
    assert call(v201.RequestStopTransaction(transaction_id=transaction.id)).status == "Accepted"
    until(lambda: not transaction.running)
    until(lambda: len(office.events) == 3)
    assert office.events[-1].trigger_reason == "RemoteStop"
    answer = call(asked)
    assert (answer.ongoing_indicator, answer.messages_in_queue) == (False, False)
    assert call(v201.RequestStopTransaction(transaction_id="none")).status == "Rejected"


def test_with_the_cable_in_first_a_remote_start_is_an_update(system, make, office, until):
    with make(variables={"TxCtrlr.TxStartPoint": "EVConnected"}) as station:
        station.plug_in()
        start = v201.RequestStartTransaction(id_token=TOKEN, remote_start_id=6)
        answer = system.send("CP1", start, timeout_s=60).result()
        assert answer.transaction_id == station.evses[1].transaction.id
        event = until(lambda: next((e for e in office.events if e.trigger_reason == "RemoteStart"), None))
        assert (event.event_type, event.transaction_info.remote_start_id) == ("Updated", 6)


def test_a_remote_start_without_a_vehicle_waits_for_one(system, make, until):
    with make(auto_plug=False) as station:
        start = v201.RequestStartTransaction(id_token=TOKEN, remote_start_id=6, evse_id=1)
        assert system.send("CP1", start, timeout_s=60).result().status == "Accepted"
        until(lambda: station.evses[1].presented)
        station.plug_in()
        assert station.evses[1].transaction.remote_start_id == 6


def test_a_connector_is_unlocked_unless_somebody_charges(call, booted):
    unlock = v201.UnlockConnector(evse_id=1, connector_id=1)
    assert call(unlock).status == "Unlocked"
    booted.plug_in()
    booted.start("T1")
    assert call(unlock).status == "OngoingAuthorizedTransaction"
    assert call(v201.UnlockConnector(evse_id=1, connector_id=2)).status == "UnknownConnector"


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        ("BootNotification", v201.BootNotification),
        ("LogStatusNotification", v201.LogStatusNotification),
        ("FirmwareStatusNotification", v201.FirmwareStatusNotification),
        ("MeterValues", v201.MeterValues),
        ("StatusNotification", v201.StatusNotification),
        ("SignChargingStationCertificate", v201.SignCertificate),
        ("SignV2GCertificate", v201.SignCertificate),
        ("PublishFirmwareStatusNotification", v201.PublishFirmwareStatusNotification),
    ],
)
def test_a_triggered_message_is_sent(call, booted, office, until, wanted, action):
    office.seen.clear()
    assert call(v201.TriggerMessage(requested_message=wanted, evse=EVSE_1)).status == "Accepted"
    until(lambda: office.of(action))


def test_triggers_that_cannot_be_obeyed_are_refused(call, booted, office, until):
    event = v201.TriggerMessage(requested_message="TransactionEvent")
    assert call(event).status == "Rejected"
    booted.plug_in()
    booted.start("T1")
    assert call(event).status == "Accepted"
    until(lambda: office.events[-1].trigger_reason == "Trigger")
    assert call(v201.TriggerMessage(requested_message="Heartbeat")).status == "Accepted"
    assert call(v201.TriggerMessage(requested_message="SignCombinedCertificate")).status == "NotImplemented"
    elsewhere = v201.TriggerMessage(requested_message="MeterValues", evse=v201.EVSE(id=9))
    assert call(elsewhere).status == "Rejected"


def test_availability_changes_at_once_or_after_the_transaction(call, booted, office, until):
    off = v201.ChangeAvailability(operational_status="Inoperative", evse=v201.EVSE(id=2))
    assert call(off).status == "Accepted"
    until(lambda: office.of(v201.StatusNotification)[-1].connector_status == "Unavailable")
    booted.plug_in()
    booted.start("T1")
    assert call(v201.ChangeAvailability(operational_status="Inoperative")).status == "Scheduled"
    booted.stop()
    booted.unplug()
    until(lambda: {str(one.status) for one in booted.evses.connectors()} == {"Unavailable"})
    call(v201.ChangeAvailability(operational_status="Operative"))
    assert booted.evses[1].status == "Available"
    assert booted.evses[2].status == "Unavailable"
    nowhere = v201.ChangeAvailability(operational_status="Operative", evse=v201.EVSE(id=9))
    assert call(nowhere).status == "Rejected"


def test_a_reservation_keeps_others_away_and_is_used_up(call, booted, office):
    reserve = v201.ReserveNow(id=4, expiry_date_time=FUTURE, id_token=OTHER, evse_id=1)
    assert call(reserve).status == "Accepted"
    assert booted.evses[1].status == "Reserved"
    start = v201.RequestStartTransaction(id_token=TOKEN, remote_start_id=5, evse_id=1)
    assert call(start).status == "Rejected"
    booted.plug_in()
    booted.start("T2")
    assert office.events[0].reservation_id == 4
    assert call(v201.CancelReservation(reservation_id=4)).status == "Rejected"


def test_a_reservation_of_any_evse_holds_the_last_one_back(call, booted):
    anywhere = v201.ReserveNow(id=1, expiry_date_time=FUTURE, id_token=OTHER)
    assert call(anywhere).status == "Accepted"
    assert booted.evses[1].status == "Available"
    booted.plug_in(1)
    booted.start("T1", 1)
    assert booted.evses[2].status == "Reserved"
    assert call(v201.ReserveNow(id=2, expiry_date_time=FUTURE, id_token=TOKEN)).status == "Occupied"
    assert call(v201.CancelReservation(reservation_id=1)).status == "Accepted"
    assert booted.evses[2].status == "Available"
    assert call(v201.ReserveNow(id=3, expiry_date_time=PAST, id_token=TOKEN)).status == "Rejected"


def test_a_reservation_that_is_over_or_lost_is_reported(system, make, office, clock, timers, until):
    with make(timers=timers) as station:
        now = station.now()
        for number, evse in ((1, 1), (2, 2)):
            expiry = now + dt.timedelta(seconds=100 * number)
            reserve = v201.ReserveNow(id=number, expiry_date_time=expiry, id_token=OTHER, evse_id=evse)
            assert system.send("CP1", reserve, timeout_s=60).result().status == "Accepted"
        clock.advance(101)
        until(lambda: office.of(v201.ReservationStatusUpdate))
        station.break_down(2)
        told = office.of(v201.ReservationStatusUpdate)
        assert [(one.reservation_id, str(one.reservation_update_status)) for one in told] == [
            (1, "Expired"),
            (2, "Removed"),
        ]
        station.break_down(2, repaired=True)
        assert [str(evse.status) for evse in station.evses] == ["Available", "Available"]


def profile(number=1, purpose="TxDefaultProfile", limit=5000, transaction_id=None, level=0):
    schedule = v201.ChargingSchedule(
        id=1,
        charging_rate_unit="W",
        charging_schedule_period=(v201.ChargingSchedulePeriod(start_period=0, limit=limit),),
    )
    return v201.ChargingProfile(
        id=number,
        stack_level=level,
        charging_profile_purpose=purpose,
        charging_profile_kind="Relative",
        charging_schedule=(schedule,),
        transaction_id=transaction_id,
    )


def test_charging_profiles_are_set_reported_put_together_and_cleared(call, booted, office, until):
    assert call(v201.SetChargingProfile(evse_id=0, charging_profile=profile(1))).status == "Accepted"
    own = profile(2, limit=4000, level=1)
    assert call(v201.SetChargingProfile(evse_id=1, charging_profile=own)).status == "Accepted"
    stray = profile(3, purpose="TxProfile", transaction_id="none")
    assert call(v201.SetChargingProfile(evse_id=1, charging_profile=stray)).status == "Rejected"
    schedule = call(v201.GetCompositeSchedule(duration=60, evse_id=1)).schedule
    assert [int(one.limit) for one in schedule.charging_schedule_period] == [4000]
    every = v201.GetChargingProfiles(request_id=3, charging_profile=v201.ChargingProfileCriterion())
    assert call(every).status == "Accepted"
    until(lambda: len(office.of(v201.ReportChargingProfiles)) == 2)
    assert [one.tbc for one in office.of(v201.ReportChargingProfiles)] == [True, False]
    assert call(v201.ClearChargingProfile(charging_profile_id=2)).status == "Accepted"
    assert call(v201.ClearChargingProfile(charging_profile_id=2)).status == "Unknown"
    call(v201.ClearChargingProfile())
    assert call(every).status == "NoProfiles"
    assert call(v201.GetCompositeSchedule(duration=60, evse_id=9)).status == "Rejected"


def test_the_profile_of_a_remote_start_ends_with_its_transaction(call, booted, until):
    start = v201.RequestStartTransaction(
        id_token=TOKEN, remote_start_id=5, evse_id=1, charging_profile=profile(9, purpose="TxProfile")
    )
    assert call(start).status == "Accepted"
    transaction = until(lambda: booted.evses[1].transaction)
    until(lambda: booted.charging.profiles.installed)
    assert booted.charging.profiles.installed[0][1].transaction_id == transaction.id
    booted.stop()
    assert booted.charging.profiles.installed == ()


def statuses(office, action):
    return [str(one.status) for one in office.of(action)]


def test_firmware_is_updated_step_by_step_with_the_number_of_the_command(call, office, until):
    firmware = v201.Firmware(location="https://example.com/f", retrieve_date_time=PAST)
    assert call(v201.UpdateFirmware(request_id=11, firmware=firmware)).status == "Accepted"
    action = v201.FirmwareStatusNotification
    until(lambda: "Installed" in statuses(office, action))
    assert statuses(office, action) == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert {one.request_id for one in office.of(action)} == {11}
    bad = v201.Firmware(
        location="https://example.com/f", retrieve_date_time=PAST, signing_certificate="none", signature="x"
    )
    assert call(v201.UpdateFirmware(request_id=12, firmware=bad)).status == "InvalidCertificate"


def test_an_update_may_fail(call, booted, office, until):
    booted.maintenance.firmware_steps = ("Downloading", "DownloadFailed")
    firmware = v201.Firmware(location="https://example.com/f", retrieve_date_time=PAST)
    call(v201.UpdateFirmware(request_id=11, firmware=firmware))
    until(lambda: statuses(office, v201.FirmwareStatusNotification) == ["Downloading", "DownloadFailed"])


def test_firmware_is_published_and_taken_back(call, office, until):
    checksum = "a" * 32
    publish = v201.PublishFirmware(location="https://example.com/f", checksum=checksum, request_id=3)
    assert call(publish).status == "Accepted"
    until(lambda: "Published" in statuses(office, v201.PublishFirmwareStatusNotification))
    assert office.of(v201.PublishFirmwareStatusNotification)[-1].location[0].endswith(checksum)
    taken = v201.UnpublishFirmware(checksum=checksum)
    assert [call(taken).status for _ in range(2)] == ["Unpublished", "NoFirmware"]


def test_a_log_is_uploaded_with_the_number_of_the_command(call, office, until):
    log = v201.LogParameters(remote_location="https://example.com/l")
    answer = call(v201.GetLog(log=log, log_type="SecurityLog", request_id=21))
    assert (answer.status, answer.filename) == ("Accepted", "SecurityLog.txt")
    until(lambda: statuses(office, v201.LogStatusNotification) == ["Uploading", "Uploaded"])
    assert {one.request_id for one in office.of(v201.LogStatusNotification)} == {21}


def test_certificates_are_installed_listed_and_deleted(call, booted):
    assert call(v201.GetInstalledCertificateIds()).status == "NotFound"
    install = v201.InstallCertificate(certificate_type="CSMSRootCertificate", certificate=ROOT)
    assert call(install).status == "Accepted"
    found = call(v201.GetInstalledCertificateIds(certificate_type=("CSMSRootCertificate",)))
    name = found.certificate_hash_data_chain[0].certificate_hash_data
    assert call(v201.GetInstalledCertificateIds(certificate_type=("MORootCertificate",))).status == "NotFound"
    delete = v201.DeleteCertificate(certificate_hash_data=name)
    assert [call(delete).status for _ in range(2)] == ["Accepted", "NotFound"]
    assert call(v201.CertificateSigned(certificate_chain=ROOT)).status == "Rejected"
    assert call(v201.CertificateSigned(certificate_chain="none")).status == "Rejected"
    assert booted.maintenance.certificates.own is None


def monitor(name="SampledDataCtrlr.TxUpdatedInterval", kind="UpperThreshold", number=None):
    return v201.SetMonitoringData(id=number, value=5, type=kind, severity=5, **named(name))


def test_monitors_are_set_reported_and_cleared(call, office, until):
    wrong = [
        monitor(),
        monitor(kind="LowerThreshold", number=99),
        monitor("ChargingStation.Model"),
        monitor("Nothing.Nothing"),
        monitor("TxCtrlr.Nothing"),
    ]
    results = call(v201.SetVariableMonitoring(set_monitoring_data=(monitor(), *wrong))).set_monitoring_result
    assert [one.status for one in results] == [
        "Accepted",
        "Duplicate",
        "Rejected",
        "UnsupportedMonitorType",
        "UnknownComponent",
        "UnknownVariable",
    ]
    assert call(v201.GetMonitoringReport(request_id=4)).status == "Accepted"
    until(lambda: office.of(v201.NotifyMonitoringReport))
    assert office.of(v201.NotifyMonitoringReport)[0].monitor[0].variable_monitoring[0].id == 1
    clear = v201.ClearVariableMonitoring(id=(1, 2))
    assert [one.status for one in call(clear).clear_monitoring_result] == ["Accepted", "NotFound"]
    assert call(v201.GetMonitoringReport(request_id=5)).status == "EmptyResultSet"
    assert call(v201.SetMonitoringBase(monitoring_base="HardWiredOnly")).status == "Accepted"
    assert call(v201.SetMonitoringLevel(severity=4)).status == "Accepted"
    assert call(v201.SetMonitoringLevel(severity=10)).status == "Rejected"


def test_what_is_known_of_a_customer_is_reported_and_cleared(call, booted, office, until):
    booted.authorize("T1")
    ask = v201.CustomerInformation(request_id=6, report=True, clear=True, id_token=TOKEN)
    assert call(ask).status == "Accepted"
    until(lambda: office.of(v201.NotifyCustomerInformation))
    assert office.of(v201.NotifyCustomerInformation)[0].data == "cache"
    assert not booted.charging.authorization.cache
    nobody = v201.CustomerInformation(request_id=7, report=True, clear=False)
    assert call(nobody).status == "Invalid"


def message(number=1, form="UTF8", transaction_id=None):
    return v201.SetDisplayMessage(
        message=v201.MessageInfo(
            id=number,
            priority="NormalCycle",
            transaction_id=transaction_id,
            message=v201.MessageContent(format=form, content="Hello"),
        )
    )


def test_messages_are_displayed_listed_and_cleared(call, office, until):
    assert call(message()).status == "Accepted"
    assert call(message(2, "HTML")).status == "NotSupportedMessageFormat"
    assert call(message(2, transaction_id="none")).status == "UnknownTransaction"
    assert call(v201.GetDisplayMessages(request_id=3)).status == "Accepted"
    until(lambda: office.of(v201.NotifyDisplayMessages))
    assert office.of(v201.NotifyDisplayMessages)[0].message_info[0].id == 1
    assert call(v201.GetDisplayMessages(request_id=3, id=(9,))).status == "Unknown"
    assert [call(v201.ClearDisplayMessage(id=1)).status for _ in range(2)] == ["Accepted", "Unknown"]


def test_costs_are_noted_and_data_is_given_back(call, booted):
    booted.plug_in()
    transaction = booted.start("T1")
    call(v201.CostUpdated(total_cost=Decimal("1.25"), transaction_id=transaction.id))
    assert str(transaction.total_cost) == "1.25"
    answer = call(v201.DataTransfer(vendor_id="Chargehand", data={"a": [1]}))
    assert (answer.status, answer.data) == ("Accepted", {"a": [1]})
    assert call(v201.DataTransfer(vendor_id="Acme")).status == "UnknownVendorId"


HOT = "1/1/Connector.Temperature"


def watch(call, kind, value, severity=5, **more):
    data = v201.SetMonitoringData(
        value=Decimal(value),
        type=kind,
        severity=severity,
        **named("Connector.Temperature", evse=v201.EVSE(id=1, connector_id=1)),
        **more,
    )
    (result,) = call(v201.SetVariableMonitoring(set_monitoring_data=(data,))).set_monitoring_result
    assert result.status == "Accepted"
    return result.id


def told(office):
    found = [one for request in office.of(v201.NotifyEvent) for one in request.event_data]
    return [
        (one.variable_monitoring_id, str(one.trigger), one.actual_value, bool(one.cleared)) for one in found
    ]


def test_a_threshold_is_told_when_it_is_crossed_and_when_it_is_crossed_back(booted, call, office, until):
    upper, lower = watch(call, "UpperThreshold", 80), watch(call, "LowerThreshold", 0)
    for value in ("60", "81", "90", "79", "-1"):
        booted.set_variable(HOT, value)
    until(lambda: len(told(office)) == 3)
    assert sorted(told(office)) == [
        (upper, "Alerting", "79", True),
        (upper, "Alerting", "81", False),
        (lower, "Alerting", "-1", False),
    ]


def test_a_threshold_that_is_crossed_already_is_told_at_once(booted, call, office, until):
    booted.set_variable(HOT, "99")
    number = watch(call, "UpperThreshold", 80)
    until(lambda: told(office) == [(number, "Alerting", "99", False)])


def test_a_change_is_told_when_it_is_large_enough_and_one_of_a_word_at_all(booted, call, office, until):
    number = watch(call, "Delta", 5)
    state = named("Connector.AvailabilityState", evse=v201.EVSE(id=1, connector_id=1))
    data = v201.SetMonitoringData(value=Decimal(1), type="Delta", severity=5, **state)
    (result,) = call(v201.SetVariableMonitoring(set_monitoring_data=(data,))).set_monitoring_result
    for value in ("23", "26", "28", "20"):
        booted.set_variable(HOT, value)
    booted.plug_in()
    until(lambda: len(told(office)) == 3)
    assert sorted(told(office)) == [
        (number, "Delta", "20", False),
        (number, "Delta", "26", False),
        (result.id, "Delta", "Occupied", False),
    ]


def test_a_value_is_told_from_time_to_time(booted, call, office, until):
    number = watch(call, "Periodic", "0.02")
    clocked = watch(call, "PeriodicClockAligned", "0.02")
    until(lambda: {one[0] for one in told(office)} == {number, clocked})
    assert call(v201.ClearVariableMonitoring(id=(number, clocked)))


def test_nothing_is_told_of_what_is_not_severe_enough_or_not_of_a_transaction(booted, call, office, until):
    quiet = watch(call, "UpperThreshold", 80, severity=6)
    of_a_transaction = watch(call, "UpperThreshold", 81, severity=3, transaction=True)
    loud = watch(call, "UpperThreshold", 82, severity=4)
    assert call(v201.SetMonitoringLevel(severity=5)).status == "Accepted"
    booted.set_variable(HOT, "90")
    until(lambda: told(office))
    assert told(office) == [(loud, "Alerting", "90", False)]
    assert len({quiet, of_a_transaction, loud}) == 3


def test_a_limit_of_somebody_else_holds_and_is_reported_with_its_source(booted, call, office, until):
    booted.limit_by_others(limit_to(7, number=90), source=v201.ChargingLimitSource.SO)
    assert office.of(v201.NotifyChargingLimit)[0].charging_limit.charging_limit_source == "SO"
    wanted = v201.ChargingProfileCriterion()
    assert call(v201.GetChargingProfiles(request_id=4, charging_profile=wanted)).status == "Accepted"
    until(lambda: office.of(v201.ReportChargingProfiles))
    (part,) = office.of(v201.ReportChargingProfiles)
    assert (part.charging_limit_source, part.evse_id, part.charging_profile[0].id) == ("SO", 0, 90)
    schedule = call(v201.GetCompositeSchedule(duration=60, evse_id=1, charging_rate_unit="A")).schedule
    assert schedule.charging_schedule_period[0].limit == 7
    assert call(v201.ClearChargingProfile(charging_profile_id=90)).status == "Unknown"
    booted.cleared_by_others(source=v201.ChargingLimitSource.SO)
    assert call(v201.GetChargingProfiles(request_id=5, charging_profile=wanted)).status == "NoProfiles"


def limit_to(amperes, number):
    period = v201.ChargingSchedulePeriod(start_period=0, limit=Decimal(amperes), number_phases=3)
    schedule = v201.ChargingSchedule(id=1, charging_rate_unit="A", charging_schedule_period=(period,))
    return v201.ChargingProfile(
        id=number,
        stack_level=0,
        charging_profile_purpose="ChargingStationExternalConstraints",
        charging_profile_kind="Relative",
        charging_schedule=(schedule,),
    )
