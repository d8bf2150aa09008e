"""Variables of simulated stations: read, set, reported, compared, in messages that the stations can take."""

import contextlib
import datetime as dt

import pytest

from chargehand import (
    CentralSystem,
    InvalidPayload,
    ReportSettings,
    Settings,
    VariableName,
    VariablesNotSupported,
    VerbRefused,
    v201,
)
from chargehand.protocol.device_model import MessageLimits, ToldVariable
from chargehand.protocol.effects import Effect
from chargehand.protocol.errors import ErrorCode, OcppError
from chargehand.simulator import ChargePoint
from chargehand.simulator.v201 import Misbehaviour, Station

from ..hub import until

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TIMEOUT = "TxCtrlr.EVConnectionTimeOut"
GET_LIMIT = "DeviceDataCtrlr.ItemsPerMessage[GetVariables]"
SET_LIMIT = "DeviceDataCtrlr.ItemsPerMessage[SetVariables]"
NAMES = [
    TIMEOUT,
    "TxCtrlr.TxStartPoint",
    "1/1/Connector.ConnectorType",
    "AuthCtrlr.Enabled",
    "ClockCtrlr.TimeSource",
]


@pytest.fixture
def system():
    with CentralSystem(Settings(port=0, reports=ReportSettings(wait_s=0.05))) as running:
        yield running


@pytest.fixture
def connect(system):
    """Connect a simulated station; what it was sent is in `sent`."""
    with contextlib.ExitStack() as stack:

        def connect(id_="CP1", **options):
            station = stack.enter_context(Station(f"ws://127.0.0.1:{system.port}/ocpp", id_, **options))
            until(lambda: station.ready, f"{id_} is accepted")
            return station

        yield connect


def sizes(system, charge_point_id="CP1"):
    """Return the numbers of variables in the messages to a station, in the order of their tickets."""
    found = []
    for ticket in reversed(system.tickets(charge_point_id)):
        data = getattr(ticket.request, "get_variable_data", None) or getattr(
            ticket.request, "set_variable_data", ()
        )
        if data:
            found.append((ticket.action[:3], len(data), str(ticket.state)))
    return found


def stored(system, charge_point_id="CP1", **narrowed):
    return {one.name.text: one.value for one in system.variables.of(charge_point_id, **narrowed)}


def test_a_full_report_fills_the_device_model(system, connect):
    station = connect()
    found = system.variables.refresh("CP1", timeout_s=5, effect_timeout_s=5)
    assert (found.ticket.effect, found.report.state) == (Effect.DONE, "complete")
    assert len(found.report.parts) > 3
    assert len(stored(system)) == len(list(station.model.keys()))
    (one,) = system.variables.of("CP1", search=TIMEOUT)
    assert (one.value, one.access.mutability, one.characteristics.unit) == ("60", "ReadWrite", "s")
    assert stored(system)["1/1/Connector.ConnectorType"] == "cType2"


@pytest.mark.parametrize(
    ("extent", "state"), [("full", "complete"), ("configuration", "complete"), ("summary", "complete")]
)
def test_reports_of_every_extent_are_whole(system, connect, extent, state):
    connect()
    assert system.variables.refresh("CP1", extent=extent, timeout_s=5).report.state == state


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Misbehaviour.REPORT_FROM_ONE, "complete"),
        (Misbehaviour.REPORT_UNORDERED, "complete"),
        (Misbehaviour.REPORT_PART_LOST, "partial"),
    ],
)
def test_faults_of_reports_are_seen_and_what_came_is_stored(system, connect, fault, state):
    connect(misbehaviour=[fault])
    found = system.variables.refresh("CP1", timeout_s=5, effect_timeout_s=5)
    report = lambda: system.reports.of("CP1", request_id=found.report.request_id)[0]  # noqa: E731
    until(lambda: report().state == state, state)
    assert report().missing == ((1,) if state == "partial" else ())
    assert len(stored(system)) > 60


def test_a_report_of_one_part_is_there_when_the_refresh_returns(system, connect):
    connect(variables={"DeviceDataCtrlr.ItemsPerMessage[GetReport]": "1000"})
    for _ in range(10):
        report = system.variables.refresh("CP1", timeout_s=5, effect_timeout_s=5).report
        assert (report.state, len(report.parts)) == ("complete", 1)


def test_a_refresh_of_which_no_part_comes_returns_without_a_report(system, connect):
    station = connect()
    station.answers["GetBaseReport"] = lambda _: v201.GetBaseReportResponse(status="EmptyResultSet")
    found = system.variables.refresh("CP1", timeout_s=5, effect_timeout_s=5)
    assert (found.ticket.response.status, found.report) == ("EmptyResultSet", None)


def test_each_variable_has_a_result_of_its_own_in_the_order_that_was_asked(system, connect):
    connect()
    results = system.variables.get(
        "CP1", ["ConnectionTimeOut", "X.Y", "AuthCtrlr.Nothing", *NAMES[1:3]], timeout_s=5
    )
    assert [(one.name, one.status, one.value) for one in results] == [
        (TIMEOUT, "Accepted", "60"),
        ("X.Y", "UnknownComponent", None),
        ("AuthCtrlr.Nothing", "UnknownVariable", None),
        ("TxCtrlr.TxStartPoint", "Accepted", "Authorized"),
        ("1/1/Connector.ConnectorType", "Accepted", "cType2"),
    ]
    until(lambda: stored(system).get(TIMEOUT) == "60", "it is stored")


def test_the_limit_is_asked_first_alone_and_then_obeyed(system, connect):
    connect(variables={GET_LIMIT: "2"})
    system.variables.get("CP1", NAMES, timeout_s=5)
    (first, *others) = sizes(system)
    assert first == ("Get", 1, "answered")
    assert {size for _, size, _ in others} == {1, 2}
    assert {state for _, _, state in others} == {"answered"}
    number = len(sizes(system))
    system.variables.get("CP1", NAMES, timeout_s=5)
    assert sizes(system)[number:] == [("Get", size, "answered") for size in (2, 2, 1)]


def test_a_limit_that_is_stored_is_not_asked_for(system, connect):
    connect(variables={GET_LIMIT: "3"})
    system.variables.refresh("CP1", timeout_s=5)
    system.variables.get("CP1", NAMES, timeout_s=5)
    assert ("Get", 1, "answered") not in sizes(system)[:1]
    assert [size for _, size, _ in sizes(system)[-2:]] == [3, 2]


def test_a_station_that_tells_no_limit_gets_ten_and_one_after_a_refusal(system, connect):
    station = connect()
    answer = station.answers["GetVariables"]

    def at_most(number):
        def get(request):
            if len(request.get_variable_data) > number:
                raise OcppError(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "too many")
            results = [
                one
                if "PerMessage" not in one.variable.name
                else v201.GetVariableResult(
                    attribute_status=v201.GetVariableStatus.UNKNOWN_VARIABLE,
                    component=one.component,
                    variable=one.variable,
                )
                for one in answer(request).get_variable_result
            ]
            return v201.GetVariablesResponse(get_variable_result=tuple(reversed(results)))

        return get

    station.answers["GetVariables"] = at_most(10)
    names = list(station.model.keys())[:12]
    results = system.variables.get("CP1", names, timeout_s=5)
    assert [one.name for one in results] == names
    assert sizes(system)[-2:] == [("Get", 10, "answered"), ("Get", 2, "answered")]
    station.answers["GetVariables"] = at_most(1)
    assert system.variables.get("CP1", names, timeout_s=5)[0].status == "Accepted"
    assert [size for _, size, state in sizes(system)[-13:]] == [10, *[1] * 12]
    system.variables.get("CP1", names[:2], timeout_s=5)
    assert [size for _, size, _ in sizes(system)[-2:]] == [1, 1]


def test_messages_are_no_larger_than_the_station_says(system, connect):
    connect(variables={"DeviceDataCtrlr.BytesPerMessage[SetVariables]": "700", "TxCtrlr.TxStopPoint": ""})
    names = ["SecurityCtrlr.OrganizationName", "TariffCostCtrlr.Currency", TIMEOUT]
    results = system.variables.set("CP1", dict.fromkeys(names, "1" * 250), timeout_s=5)
    assert [one.status for one in results] == ["Accepted", "Accepted", "Rejected"]
    assert [size for kind, size, _ in sizes(system) if kind == "Set"] == [1, 1, 1]


def test_what_is_set_is_stored_when_it_is_accepted(system, connect):
    station = connect(variables={SET_LIMIT: "1"})
    priority = "OCPPCommCtrlr.NetworkConfigurationPriority"
    values = {TIMEOUT: "77", "ChargingStation.Model": "x", priority: "2,1"}
    results = system.variables.set("CP1", values, timeout_s=5)
    assert [(one.status, one.value) for one in results] == [
        ("Accepted", "77"),
        ("Rejected", None),
        ("RebootRequired", "2,1"),
    ]
    assert station.model[TIMEOUT] == "77"
    until(lambda: stored(system).get(TIMEOUT) == "77", "it is stored")
    assert "ChargingStation.Model" not in stored(system)


def test_a_password_is_neither_stored_nor_shown(system, connect):
    connect()
    wanted = {"AuthorizationKey": "a-password-of-20-char", TIMEOUT: "90"}
    results = system.variables.set("CP1", wanted, timeout_s=5)
    assert [(one.status, one.value) for one in results] == [("Accepted", None), ("Accepted", "90")]
    until(lambda: stored(system).get(TIMEOUT) == "90", "it is stored")
    assert "SecurityCtrlr.BasicAuthPassword" not in stored(system)


def test_a_command_of_the_host_fills_the_device_model_too(system, connect):
    connect()
    system.get_configuration("CP1", ["ConnectionTimeOut"], timeout_s=60).result()
    until(lambda: stored(system).get(TIMEOUT) == "60", "it is stored")


def test_names_with_dots_are_found_among_the_stored_ones(system, connect):
    station = connect()
    name = VariableName("Maker.Part", "Some.Value")
    system.store.variables.put(
        "CP1", [ToldVariable(name=name, value="1", has_value=True)], NOW, limit=100
    ).wait(60)
    seen = []

    def get(request):
        seen.extend((one.component.name, one.variable.name) for one in request.get_variable_data)
        raise OcppError(ErrorCode.NOT_SUPPORTED)

    station.answers["GetVariables"] = get
    system.variables.get("CP1", ["maker.part.some.VALUE"], timeout_s=5)
    system.variables.get("CP1", ["Other.Part.Value"], timeout_s=5)
    assert seen == [("Maker.Part", "Some.Value"), ("Other", "Part.Value")]


def test_stations_are_compared_by_what_is_stored(system, connect):
    connect("CP1", evses=1)
    connect("CP2", evses=2, variables={TIMEOUT: "90"})
    for id_ in ("CP1", "CP2"):
        system.variables.refresh(id_, timeout_s=5)
    found = {one.name: (one.value, one.other) for one in system.variables.compare("CP1", "CP2")}
    assert found[TIMEOUT] == ("60", "90")
    assert found["SecurityCtrlr.Identity"] == ("CP1", "CP2")
    assert found["2/1/Connector.ConnectorType"] == (None, "cType2")
    assert "TxCtrlr.TxStartPoint" not in found


def test_nothing_is_sent_for_a_text_or_a_value_that_is_none(system, connect):
    connect()
    with pytest.raises(VerbRefused, match="names no variable"):
        system.variables.get("CP1", [TIMEOUT, "nothing"])
    with pytest.raises(VerbRefused, match="an attribute is one of"):
        system.variables.get("CP1", [TIMEOUT], attribute="Wrong")
    with pytest.raises(VerbRefused, match="extent"):
        system.variables.refresh("CP1", extent="all")
    with pytest.raises(InvalidPayload):
        system.variables.set("CP1", {TIMEOUT: "x" * 1001})
    assert system.tickets("CP1") == []
    assert system.variables.get("CP1", []) == []


def test_a_station_that_goes_away_leaves_results_without_a_status(system, connect):
    station = connect(variables={GET_LIMIT: "1"})
    system.variables.limits("CP1", "GetVariables", timeout_s=5)
    station.close()
    until(lambda: not system.charge_point("CP1").connected, "it is away")
    results = system.variables.get("CP1", NAMES[:3], timeout_s=5)
    assert [one.status for one in results] == ["", "", ""]
    assert "never_sent" in results[0].reason
    assert results[1].reason.startswith("not sent: ")


def test_a_charge_point_of_1_6_has_no_variables(system):
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1"):
        with pytest.raises(VariablesNotSupported, match=r"CP1: OCPP 1\.6 has no variables"):
            system.variables.get("CP1", [TIMEOUT])
        assert system.variables.limits("CP1", "GetVariables") == MessageLimits()


def test_an_answer_without_a_value_leaves_what_is_stored(system, connect):
    station = connect()
    system.variables.refresh("CP1", timeout_s=5)

    def accepts(request):
        return v201.GetVariablesResponse(
            get_variable_result=tuple(
                v201.GetVariableResult(
                    attribute_status=v201.GetVariableStatus.ACCEPTED,
                    component=one.component,
                    variable=one.variable,
                )
                for one in request.get_variable_data
            )
        )

    station.answers["GetVariables"] = accepts
    assert [(one.status, one.value) for one in system.variables.get("CP1", NAMES[:2], timeout_s=5)] == [
        ("Accepted", None)
    ] * 2
    system.variables.set("CP1", {"TxCtrlr.TxStopPoint": "EVConnected"}, timeout_s=5)
    until(lambda: stored(system)["TxCtrlr.TxStopPoint"] == "EVConnected", "the later answer is stored")
    assert stored(system)[TIMEOUT] == "60"


def test_an_answer_for_another_variable_is_no_result(system, connect):
    station = connect()

    def answers_for_another(request):
        (one,) = request.set_variable_data
        return v201.SetVariablesResponse(
            set_variable_result=(
                v201.SetVariableResult(
                    attribute_status=v201.SetVariableStatus.ACCEPTED,
                    component=v201.Component(name="SecurityCtrlr"),
                    variable=v201.Variable(name=name(one)),
                ),
            )
        )

    def name(one):
        return "BasicAuthPassword" if one.component.name == "TxCtrlr" else one.variable.name

    station.answers["SetVariables"] = answers_for_another
    (one,) = system.variables.set("CP1", {TIMEOUT: "90"}, timeout_s=5)
    assert (one.status, one.reason) == ("", "the answer has no result for it")
    (one,) = system.variables.set("CP1", {"1/2/SecurityCtrlr.X[y]": "1"}, timeout_s=5)
    assert one.status == "Accepted"
    assert stored(system) == {}
