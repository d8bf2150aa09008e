"""Events, reports and limits of stations with members of any kind: each is answered, and what is kept can be read."""

import copy
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand import v201
from chargehand.plugins.accepted_state import AcceptedState
from chargehand.plugins.back_office_201 import BackOffice201
from chargehand.plugins.reports_201 import Reports201
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage, StubStore

TIME = "2026-01-01T00:00:00Z"
VARIABLE = {
    "component": {"name": "C", "evse": {"id": 1, "connectorId": 1}},
    "variable": {"name": "V", "instance": "i"},
}
EVENT = {
    "eventId": 1,
    "timestamp": TIME,
    "trigger": "Alerting",
    "actualValue": "1",
    "eventNotificationType": "CustomMonitor",
    "variableMonitoringId": 3,
    "cleared": False,
    "techCode": "a",
    **VARIABLE,
}
MONITORING = {"id": 1, "transaction": False, "value": 1.5, "type": "Delta", "severity": 3}
MESSAGE = {
    "id": 1,
    "priority": "InFront",
    "transactionId": "t",
    "message": {"format": "UTF8", "content": "x"},
}
SCHEDULE = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}]}
PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "transactionId": "t",
    "chargingSchedule": [SCHEDULE],
}
LIMIT = {"chargingLimitSource": "EMS", "isGridCritical": True}
MESSAGES: dict[str, dict[str, Any]] = {
    "NotifyEvent": {"generatedAt": TIME, "seqNo": 0, "eventData": [EVENT]},
    "NotifyMonitoringReport": {
        "requestId": 1,
        "seqNo": 0,
        "generatedAt": TIME,
        "monitor": [{**VARIABLE, "variableMonitoring": [MONITORING]}],
    },
    "NotifyDisplayMessages": {"requestId": 1, "messageInfo": [MESSAGE]},
    "ReportChargingProfiles": {
        "requestId": 1,
        "chargingLimitSource": "EMS",
        "evseId": 1,
        "chargingProfile": [PROFILE],
    },
    "NotifyChargingLimit": {"chargingLimit": LIMIT, "evseId": 1, "chargingSchedule": [SCHEDULE]},
    "ClearedChargingLimit": {"chargingLimitSource": "EMS", "evseId": 1},
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        [2**31, 2**64, 10**30, "\ud800", "a\x00b", "x" * 3000, [], {}, [None], [{}], {"name": "x"}]
    ),
)
NUMBERS = st.sampled_from(["1e400", "-1e999", "1." + "1" * 400, "NaN"])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@st.composite
def odd_messages(draw: Any) -> tuple[str, str]:
    """Draw an action, and its payload with one member that is odd, or missing."""
    action = draw(st.sampled_from(sorted(MESSAGES)))
    payload: Any = copy.deepcopy(MESSAGES[action])
    path = draw(st.sampled_from(places(payload)[1:]))
    owner = payload
    for key in path[:-1]:
        owner = owner[key]
    match draw(st.sampled_from(["odd", "number", "missing"])):
        case "missing":
            del owner[path[-1]]
        case "number":
            owner[path[-1]] = "@@@"
        case _:
            owner[path[-1]] = draw(ODD)
    return action, json.dumps(payload).replace('"@@@"', draw(NUMBERS))


@settings(max_examples=60, deadline=None)
@given(st.lists(odd_messages(), min_size=1, max_size=8))
def test_odd_members_cost_no_answer_and_no_record(messages: list[tuple[str, str]]) -> None:
    store = StubStore()
    plugins = [BackOffice201.spec(store), Reports201.spec(store), AcceptedState.spec(store)]
    with Stage(*plugins, store=store, rules=SessionRules(version=v201.VERSION)) as stage:
        station = stage.connect("CP1")
        for number, (action, payload) in enumerate(messages):
            station.send(f'[2,"{number}","{action}",{payload}]')
            answers = [frame for frame in station.take() if frame[1] in (str(number), "-1")]
            assert len(answers) == 1
            collections = store.collections
            for records in (collections.monitors, collections.display_messages, collections.profiles):
                for one in records:
                    assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) is not None
        assert stage.counts["handler_failed"] == 0
        for origin in store.event_log.origins():
            for logged in store.event_log.read(origin.number, 0, 1000):
                assert logged.event(origin.name).charge_point_id == "CP1"
