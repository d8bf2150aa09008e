"""Monitors, messages of displays, network profiles and profiles of others, by the answers and reports of a station."""

import json
import logging
from decimal import Decimal

import msgspec
import pytest

from chargehand import AlertRaised, ChargingLimitChanged, DeviceEventReceived, Monitor, v201
from chargehand.plugins.accepted_state import AcceptedState
from chargehand.plugins.back_office_201 import BackOffice201
from chargehand.plugins.reports_201 import Reports201
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage, StubStore

TEMPERATURE = {"component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}}
TEMPERATURE |= {"variable": {"name": "Temperature"}}
KEY = "1/1/Connector.Temperature"


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def stage(store, clock, now):
    plugins = [
        AcceptedState.spec(store, now=now),
        BackOffice201.spec(store, now=now, ask_after_s=1e6, alert_severity=3),
        Reports201.spec(store),
    ]
    with Stage(*plugins, store=store, clock=clock, rules=SessionRules(version=v201.VERSION)) as stage:
        yield stage


@pytest.fixture
def station(stage):
    return stage.connect("CP1")


@pytest.fixture
def do(stage, station):
    """Send a command a second later, and answer it; return its request id, if it has one."""

    def do(request, answer):
        stage.advance(1)
        ticket = stage.send("CP1", request)
        stage.settle()
        station.answer(station.take()[-1], answer if isinstance(answer, dict) else {"status": answer})
        stage.advance(1)
        return getattr(ticket.request, "request_id", None)

    return do


@pytest.fixture
def tell(station):
    def tell(action, payload):
        kind, _, answer = station.call(action, payload)
        assert kind == 3
        return answer

    return tell


def data(kind="UpperThreshold", value=80, severity=2, **more):
    component = v201.Component(name="Connector", evse=v201.EVSE(id=1, connector_id=1))
    return v201.SetMonitoringData(
        value=Decimal(value),
        type=v201.MonitorType(kind),
        severity=severity,
        component=component,
        variable=v201.Variable(name="Temperature"),
        **more,
    )


def result(number=None, status="Accepted", kind="UpperThreshold", severity=2):
    told = {"status": status, "type": kind, "severity": severity, **TEMPERATURE}
    return told if number is None else {**told, "id": number}


def set_(do, *pairs):
    request = v201.SetVariableMonitoring(set_monitoring_data=tuple(asked for asked, _ in pairs))
    do(request, {"setMonitoringResult": [answer for _, answer in reversed(pairs)]})


def monitoring(number, value=80, kind="UpperThreshold", severity=2):
    return {"id": number, "transaction": False, "value": value, "type": kind, "severity": severity}


def monitors(store):
    return sorted(
        (one.monitor_id, one.kind, one.value, one.severity, one.ours) for one in store.collections.monitors
    )


# -- Monitors --------------------------------------------------------------------------------------


def test_a_monitor_that_was_accepted_has_the_number_that_its_station_gave_it(do, store):
    set_(
        do,
        (data(), result(41)),
        (data("LowerThreshold", -10, 5), result(42, kind="LowerThreshold", severity=5)),
        (data("Delta", 2, 6), result(status="UnsupportedMonitorType", kind="Delta", severity=6)),
    )
    assert monitors(store) == [
        (41, "UpperThreshold", 80.0, 2, True),
        (42, "LowerThreshold", -10.0, 5, True),
    ]
    assert store.collections.monitors.get("41/CP1").variable == KEY


def test_a_monitor_that_is_changed_by_its_number_stays_whose_it_was(do, tell, store, now):
    report(tell, 1, [monitoring(7)], now)
    set_(
        do,
        (data(value=90, id=7), result(7)),
        (data("Delta", 1, 4, id=8), result(8, kind="Delta", severity=4)),
    )
    assert monitors(store) == [
        (7, "UpperThreshold", 90.0, 2, False),
        (8, "Delta", 1.0, 4, False),
    ]


def test_monitors_that_were_cleared_or_are_not_there_are_forgotten(do, store):
    set_(
        do,
        (data(), result(1)),
        (data("Delta"), result(2, kind="Delta")),
        (data("Periodic"), result(3, kind="Periodic")),
    )
    cleared = [
        {"id": 1, "status": "Accepted"},
        {"id": 2, "status": "NotFound"},
        {"id": 3, "status": "Rejected"},
    ]
    do(v201.ClearVariableMonitoring(id=(1, 2, 3)), {"clearMonitoringResult": cleared})
    assert [one[0] for one in monitors(store)] == [3]


@pytest.mark.parametrize(
    ("base", "status", "left"),
    [("All", "Accepted", [1, 9]), ("FactoryDefault", "Accepted", [9]), ("HardWiredOnly", "Rejected", [1, 9])],
)
def test_a_station_that_goes_back_to_its_makers_monitors_has_none_of_ours(
    base, status, left, do, tell, store, now
):
    report(tell, 1, [monitoring(9)], now)
    set_(do, (data(), result(1)))
    do(v201.SetMonitoringBase(monitoring_base=v201.MonitoringBase(base)), status)
    assert [one[0] for one in monitors(store)] == left


def report(tell, request_id, found, now, *, seq=0, tbc=False):
    part = {"requestId": request_id, "seqNo": seq, "tbc": tbc, "generatedAt": now().isoformat()}
    tell("NotifyMonitoringReport", {**part, "monitor": [{**TEMPERATURE, "variableMonitoring": found}]})


def test_a_whole_report_of_all_monitors_is_what_the_station_has(do, tell, store, now):
    set_(do, (data(), result(1)), (data("Delta"), result(2, kind="Delta")))
    asked = do(v201.GetMonitoringReport(request_id=v201.ALLOTTED), "Accepted")
    report(tell, asked, [monitoring(1, value=70)], now, tbc=True)
    assert [one[0] for one in monitors(store)] == [1, 2]  # it is not whole
    report(tell, asked, [monitoring(3, severity=0)], now, seq=1)
    assert monitors(store) == [(1, "UpperThreshold", 70.0, 2, True), (3, "UpperThreshold", 80.0, 0, False)]


def test_a_report_that_nobody_asked_for_takes_no_monitor_away(do, tell, store, now):
    set_(do, (data(), result(1)))
    report(tell, 4711, [monitoring(3)], now)
    assert [one[0] for one in monitors(store)] == [1, 3]


def test_a_report_takes_away_only_the_monitors_that_it_was_asked_for(do, tell, store, now):
    set_(do, (data(), result(1)), (data("Delta"), result(2, kind="Delta")))
    narrowed = (v201.MonitoringCriterion.DELTA_MONITORING,)
    asked = do(v201.GetMonitoringReport(request_id=v201.ALLOTTED, monitoring_criteria=narrowed), "Accepted")
    report(tell, asked, [monitoring(3, kind="Delta")], now)
    assert [one[0] for one in monitors(store)] == [1, 3]
    do(v201.GetMonitoringReport(request_id=5, monitoring_criteria=narrowed), "EmptyResultSet")
    assert [one[0] for one in monitors(store)] == [1]


@pytest.mark.parametrize(
    ("name", "connector", "left"),
    [("temperature", 1, []), ("Temperature", 2, [1]), ("Current", 1, [1]), (None, 1, [1])],
)
def test_a_report_for_a_variable_says_nothing_of_others(name, connector, left, do, store):
    set_(do, (data(), result(1)))
    component = v201.Component(name="connector", evse=v201.EVSE(id=1, connector_id=connector))
    place = v201.ComponentVariable(
        component=component, variable=None if name is None else v201.Variable(name=name)
    )
    do(v201.GetMonitoringReport(request_id=6, component_variable=(place,)), "EmptyResultSet")
    assert [one[0] for one in monitors(store)] == left


def test_a_monitor_that_was_set_after_the_question_is_not_taken_away_by_its_answer(do, tell, store, now):
    asked = do(v201.GetMonitoringReport(request_id=v201.ALLOTTED), "Accepted")
    set_(do, (data(), result(1)))
    report(tell, asked, [monitoring(2)], now)
    assert [one[0] for one in monitors(store)] == [1, 2]


# -- Events ----------------------------------------------------------------------------------------


def event(now, monitor=None, trigger="Alerting", **more):
    found = {
        "eventId": 5,
        "timestamp": now().isoformat(),
        "trigger": trigger,
        "actualValue": "91",
        "eventNotificationType": "CustomMonitor",
        **TEMPERATURE,
        **more,
    }
    return found if monitor is None else {**found, "variableMonitoringId": monitor}


def notify(tell, now, *events):
    tell("NotifyEvent", {"generatedAt": now().isoformat(), "seqNo": 0, "eventData": list(events)})


def logged(store, kind):
    log = store.event_log
    (origin,) = log.origins()
    found = [one.event(origin.name) for one in log.read(origin.number, 0, 100)]
    return [one for one in found if isinstance(one, kind)]


def test_an_event_of_a_variable_has_the_severity_of_its_monitor(do, tell, store, now):
    set_(do, (data(severity=2), result(41)))
    notify(tell, now, event(now, 41, techCode="E7", techInfo="too hot"), event(now, 42, cleared=True))
    first, second = logged(store, DeviceEventReceived)
    assert (first.component, first.variable, first.evse, first.connector) == (
        "Connector",
        "Temperature",
        1,
        1,
    )
    assert (first.trigger, first.actual_value, first.monitor_id, first.severity) == ("Alerting", "91", 41, 2)
    assert (first.tech_code, first.tech_info, first.cleared, first.event_id) == ("E7", "too hot", False, 5)
    assert (second.monitor_id, second.severity, second.cleared) == (42, None, True)
    kept = store.events(charge_point_id="CP1", kind="device_event")
    assert [one.data.get("severity") for one in kept] == [None, 2]


@pytest.mark.parametrize(
    ("severity", "more", "raised"),
    [
        (3, {}, 1),
        (4, {}, 0),
        (0, {"trigger": "Delta"}, 1),
        (0, {"trigger": "Periodic"}, 0),
        (0, {"cleared": True}, 0),
        (None, {}, 1),
        (None, {"trigger": "Delta"}, 0),
        (None, {"cleared": True}, 0),
    ],
)
def test_a_severe_event_and_one_that_its_station_calls_an_alert_raise_one(
    severity, more, raised, do, tell, store, now, stage, caplog
):
    caplog.set_level(logging.WARNING)
    if severity is not None:
        set_(do, (data(severity=severity), result(41, severity=severity)))
    notify(tell, now, event(now, 41, **more))
    alerts = logged(store, AlertRaised)
    assert len(alerts) == stage.counts["alert_raised"] == caplog.text.count("alert of severity") == raised
    for alert in alerts:
        assert (alert.charge_point_id, alert.severity, alert.source) == ("CP1", severity, "monitor")
        assert (alert.subject, alert.text, alert.data["eventId"]) == (KEY, "is 91", 5)


def test_an_event_is_answered_when_it_is_stored(station, stage, store, now):
    store.hold()
    payload = {"generatedAt": now().isoformat(), "seqNo": 0, "eventData": [event(now)]}
    station.send([2, "1", "NotifyEvent", payload])
    assert not station.take()
    store.work()
    stage.settle()
    assert station.take() == [[3, "1", {}]]


# -- Messages of displays and network profiles -----------------------------------------------------


def info(number=3, text="Hello", transaction=None, **more):
    return v201.MessageInfo(
        id=number,
        priority=v201.MessagePriority.NORMAL_CYCLE,
        message=v201.MessageContent(format=v201.MessageFormat.UTF8, content=text),
        transaction_id=transaction,
        **more,
    )


def shown(store):
    return [(one.message_id, one.text, one.transaction_id) for one in store.collections.display_messages]


def told(number, text="Hello"):
    return {"id": number, "priority": "InFront", "message": {"format": "UTF8", "content": text}}


def test_a_message_is_known_until_it_is_cleared(do, store):
    do(v201.SetDisplayMessage(message=info(1)), "Accepted")
    do(v201.SetDisplayMessage(message=info(2)), "NotSupportedMessageFormat")
    do(v201.SetDisplayMessage(message=info(3, state=v201.MessageState.IDLE)), "Accepted")
    assert shown(store) == [(1, "Hello", None), (3, "Hello", None)]
    do(v201.ClearDisplayMessage(id=1), "Accepted")
    do(v201.ClearDisplayMessage(id=3), "Unknown")
    assert shown(store) == []


def transaction(tell, now, kind, seq):
    tell(
        "TransactionEvent",
        {
            "eventType": kind,
            "timestamp": now().isoformat(),
            "triggerReason": "Authorized",
            "seqNo": seq,
            "transactionInfo": {"transactionId": "tx-1"},
            "evse": {"id": 1},
        },
    )


def test_the_message_of_a_transaction_ends_with_it(do, tell, store, now):
    transaction(tell, now, "Started", 0)
    known = store.remote_transaction("CP1", "tx-1")
    do(v201.SetDisplayMessage(message=info(1, transaction="tx-1")), "Accepted")
    do(v201.SetDisplayMessage(message=info(2)), "Accepted")
    assert shown(store) == [(1, "Hello", known.id), (2, "Hello", None)]
    transaction(tell, now, "Ended", 1)
    assert shown(store) == [(2, "Hello", None)]
    do(v201.SetDisplayMessage(message=info(3, transaction="tx-1")), "Accepted")
    assert shown(store) == [(2, "Hello", None)]


def test_a_whole_report_of_messages_is_what_the_displays_show(do, tell, store):
    do(v201.SetDisplayMessage(message=info(1)), "Accepted")
    do(v201.SetDisplayMessage(message=info(2)), "Accepted")
    asked = do(v201.GetDisplayMessages(request_id=v201.ALLOTTED), "Accepted")
    tell("NotifyDisplayMessages", {"requestId": asked, "tbc": True, "messageInfo": [told(2, "Bye")]})
    assert shown(store) == [(1, "Hello", None), (2, "Bye", None)]
    tell("NotifyDisplayMessages", {"requestId": asked, "messageInfo": [told(4)]})
    assert shown(store) == [(2, "Bye", None), (4, "Hello", None)]
    wanted = v201.GetDisplayMessages(
        request_id=v201.ALLOTTED, priority=v201.MessagePriority.IN_FRONT, id=(4, 5)
    )
    do(wanted, "Unknown")
    assert shown(store) == [(2, "Bye", None)]


def test_a_network_profile_is_remembered_without_its_secrets(do, store):
    data = v201.NetworkConnectionProfile(
        ocpp_version=v201.OCPPVersion.OCPP20,
        ocpp_transport=v201.OCPPTransport.JSON,
        ocpp_csms_url="wss://example.org",
        message_timeout=30,
        security_profile=2,
        ocpp_interface=v201.OCPPInterface.WIRED0,
        vpn=v201.VPN(server="h", user="u", password="sesame", key="4711", type=v201.VPNType.IPSEC),
    )
    do(v201.SetNetworkProfile(configuration_slot=1, connection_data=data), "Accepted")
    do(v201.SetNetworkProfile(configuration_slot=2, connection_data=data), "Failed")
    (kept,) = store.collections.network_profiles
    assert (kept.slot, kept.charge_point_id, kept.data["vpn"]["password"]) == (1, "CP1", "***")
    assert "sesame" not in repr(kept)


# -- Profiles of others ----------------------------------------------------------------------------


def profile(number, purpose="TxDefaultProfile", level=0, **more):
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}]}
    return {
        "id": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule, {**schedule, "id": 2, "chargingRateUnit": "W"}],
        **more,
    }


def told_profiles(tell, request_id, evse, *profiles, source="CSO", tbc=False):
    payload = {"requestId": request_id, "chargingLimitSource": source, "tbc": tbc, "evseId": evse}
    tell("ReportChargingProfiles", {**payload, "chargingProfile": list(profiles)})


def book(store):
    return sorted((one.source, one.connector_id, one.id) for one in store.collections.profiles)


def criteria(**more):
    wanted = v201.ChargingProfileCriterion(**more)
    return v201.GetChargingProfiles(request_id=v201.ALLOTTED, charging_profile=wanted)


@pytest.fixture
def ours(do):
    """Set a profile of ours at an EVSE."""

    def ours(number, evse=1):
        period = v201.ChargingSchedulePeriod(start_period=0, limit=Decimal(16))
        schedule = v201.ChargingSchedule(
            id=1, charging_rate_unit=v201.ChargingRateUnit.A, charging_schedule_period=(period,)
        )
        asked = v201.ChargingProfile(
            id=number,
            stack_level=number,
            charging_profile_purpose=v201.ChargingProfilePurpose.TX_DEFAULT_PROFILE,
            charging_profile_kind=v201.ChargingProfileKind.RELATIVE,
            charging_schedule=(schedule,),
        )
        do(v201.SetChargingProfile(evse_id=evse, charging_profile=asked), "Accepted")

    return ours


def test_a_whole_report_of_profiles_corrects_what_is_believed(do, ours, tell, store):
    ours(1)
    ours(2)
    ours(3, evse=2)
    asked = do(criteria(), "Accepted")
    told_profiles(tell, asked, 1, profile(2, level=2), tbc=True)
    told_profiles(tell, asked, 0, profile(9, "ChargingStationMaxProfile"))
    assert book(store) == [("", 0, 9), ("", 1, 2)]
    (corrected,) = [one for one in store.collections.profiles if one.id == 2]
    first, second = corrected.data["chargingSchedule"]
    assert first["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16}]
    assert second["chargingRateUnit"] == "W"


def test_a_profile_of_somebody_else_is_never_taken_for_ours(do, ours, tell, store, now):
    ours(1)
    outside = profile(1, "ChargingStationExternalConstraints", level=1)
    told_profiles(tell, 4711, 1, outside, source="EMS")
    told_profiles(tell, 4712, 1, profile(2, level=1), source="SO")
    assert book(store) == [("", 1, 1), ("EMS", 1, 1), ("SO", 1, 2)]
    ours(2)  # with the number of one of theirs
    do(v201.ClearChargingProfile(charging_profile_id=1), "Accepted")
    assert book(store) == [("", 1, 2), ("EMS", 1, 1), ("SO", 1, 2)]
    do(v201.ClearChargingProfile(), "Accepted")
    assert book(store) == [("EMS", 1, 1), ("SO", 1, 2)]
    tell("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1})
    assert book(store) == [("SO", 1, 2)]


def test_a_report_takes_away_only_what_it_was_asked_for(do, ours, tell, store):
    ours(1)
    ours(2, evse=2)
    told_profiles(tell, 4711, 1, profile(7), source="EMS")
    sources = (v201.ChargingLimitSource.CSO,)
    do(criteria(charging_limit_source=sources, charging_profile_id=(1, 7)), "NoProfiles")
    assert book(store) == [("", 2, 2), ("EMS", 1, 7)]
    do(criteria(stack_level=3), "NoProfiles")
    assert book(store) == [("", 2, 2), ("EMS", 1, 7)]
    do(criteria(), "NoProfiles")
    assert book(store) == []


def test_the_profile_of_a_transaction_that_is_reported_belongs_to_it(tell, store, now):
    transaction(tell, now, "Started", 0)
    known = store.remote_transaction("CP1", "tx-1")
    told_profiles(tell, 1, 1, profile(5, "TxProfile", transactionId="tx-1"))
    (kept,) = store.collections.profiles
    assert kept.transaction_id == known.id
    transaction(tell, now, "Ended", 1)
    told_profiles(tell, 2, 1, profile(5, "TxProfile", transactionId="tx-1"))
    assert book(store) == []


def test_limits_of_others_are_events(tell, store):
    schedule = {
        "id": 1,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7.5}],
    }
    limit = {"chargingLimit": {"chargingLimitSource": "EMS", "isGridCritical": True}, "evseId": 2}
    limit["chargingSchedule"] = [schedule]
    tell("NotifyChargingLimit", limit)
    tell("ClearedChargingLimit", {"chargingLimitSource": "SO"})
    first, second = logged(store, ChargingLimitChanged)
    assert (first.source, first.evse, first.cleared, first.grid_critical) == ("EMS", 2, False, True)
    assert first.data == limit
    assert (second.source, second.evse, second.cleared, second.grid_critical) == ("SO", None, True, None)


def test_records_over_their_limit_are_left_out(tell, store, now, monkeypatch):
    monkeypatch.setattr("chargehand.plugins.monitors.KEPT_PER_CHARGE_POINT", 2)
    monkeypatch.setattr("chargehand.plugins.display_messages.KEPT_PER_CHARGE_POINT", 2)
    report(tell, 1, [monitoring(number) for number in range(4)], now)
    tell("NotifyDisplayMessages", {"requestId": 1, "messageInfo": [told(number) for number in range(4)]})
    assert [one[0] for one in monitors(store)] == [0, 1]
    assert [one[0] for one in shown(store)] == [0, 1]


def test_a_limit_has_the_unit_that_a_report_has_told(stage, station, tell, now):
    unit = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "RateUnit"}}
    part = {"requestId": 1, "seqNo": 0, "generatedAt": now().isoformat()}
    tell("NotifyReport", {**part, "reportData": [{**unit, "variableAttribute": [{"value": "A"}]}]})
    stage.limit("CP1", watts=11_040, phases=3)
    stage.settle()
    (schedule,) = station.take()[-1][3]["chargingProfile"]["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "A"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16, "numberPhases": 3}]


def test_a_value_that_no_store_can_hold_is_the_largest_that_it_can(station, store, now):
    part = {"requestId": 1, "seqNo": 0, "generatedAt": now().isoformat()}
    found = [{**TEMPERATURE, "variableMonitoring": [monitoring(1, value="@")]}]
    frame = json.dumps([2, "1", "NotifyMonitoringReport", {**part, "monitor": found}])
    station.send(frame.replace('"@"', "-1e400"))
    (kept,) = store.collections.monitors
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Monitor).value < -1e300
