"""Every command of OCPP 2.0.1 over HTTP, by verb or by its message, until its effect, to a simulated station.

The server is a process of its own, the station runs here: requests are made in another thread.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import gevent
import pytest

from chargehand import v201
from chargehand.protocol.actions import Sender
from chargehand.simulator.v201 import Station

from ..simulator.test_certificates import ROOT
from .conftest import StartServer
from .server import Reply, Server

pytestmark = pytest.mark.slow

COMMANDS = {row.name for row in v201.VERSION.sent_by(Sender.CENTRAL_SYSTEM)}
ACCEPTED = {"status": "Accepted"}
CHECKSUM = "0f" * 16
WAIT_S = 60.0
HOT = "1/1/Connector.Temperature"
ONE = "/api/v1/charge-points/CP1"


class Operator:
    """An operator who uses the HTTP API, and notes which messages were sent."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent: set[str] = set()

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Reply:
        """Make a request while the station runs on."""
        path += f"?{urlencode(query)}" if query else ""
        reply: Reply = gevent.get_hub().threadpool.apply(self.server.ask, (method, path, body))
        return reply

    def do(self, verb: str, *, effect: bool = False, **members: Any) -> Any:
        """Send a verb; return the response."""
        return self._sent(f"verbs/{verb}", members, effect=effect)

    def send(self, action: str, payload: Any, *, effect: bool = False) -> Any:
        """Send a message; return the response."""
        self.sent.add(action)
        return self._sent(f"commands/{action}", payload, effect=effect)

    def _sent(self, path: str, body: Any, *, effect: bool) -> Any:
        options = {"until_effect": 1, "effect_timeout": 20} if effect else {}
        reply = self.ask("POST", f"{ONE}/{path}", body, **options)
        assert reply.status == 200, reply.text
        if effect:
            assert reply.json["effect"] == "done", reply.text
        if "action" in reply.json:
            self.sent.add(reply.json["action"])
        return reply.json["response"]

    def listed(self, path: str, **query: Any) -> Any:
        """Read a list: the rows behind its name."""
        reply = self.ask("GET", f"/api/v1/{path}", **query).json
        return next(value for value in reply.values() if isinstance(value, list))

    def until(self, wanted: Callable[[], Any], what: str) -> Any:
        """Ask until there is what was wanted."""
        ends_at = time.monotonic() + WAIT_S
        while time.monotonic() < ends_at:
            found = wanted()
            if found:
                return found
            gevent.sleep(0.05)
        raise AssertionError(f"{what} was not seen")


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server with an authority of nobody, and a store on a disk."""
    return start_server("--store", "sqlite")


@pytest.fixture
def station(server: Server) -> Iterator[Station]:
    """A station that is accepted."""
    made = Station(server.ws.rstrip("/"), "CP1", variables={"OCPPCommCtrlr.HeartbeatInterval": "0"})
    gevent.spawn(made.connect).get()
    made.boot()
    yield made
    made.close()


def test_every_command_is_sent_by_a_verb_or_its_message_until_its_effect(
    server: Server, station: Station
) -> None:
    operator = Operator(server)
    do, send = operator.do, operator.send

    # Of block B, variables, networks
    (result,) = do("set_configuration", key="MeterValueSampleInterval", value="0")["setVariableResult"]
    assert result["attributeStatus"] == "Accepted"
    (result,) = do("get_configuration", keys=["SmartChargingCtrlr.RateUnit"])["getVariableResult"]
    assert result["attributeValue"] == "A,W"
    assert do("get_configuration", effect=True) == ACCEPTED
    wanted = [{"component": {"name": "TxCtrlr"}}]
    assert send("GetReport", {"componentVariable": wanted}, effect=True) == ACCEPTED
    whole = [("NotifyReport", "complete")] * 2
    operator.until(
        lambda: (
            [(one["action"], one["state"]) for one in operator.listed("charge-points/CP1/reports")] == whole
        ),
        "two whole reports",
    )
    profile = {"slot": 1, "csms_url": "wss://example.org/ocpp", "security_profile": 2}
    assert do("set_network_profile", **profile) == ACCEPTED
    operator.until(lambda: operator.listed("network-profiles"), "the network profile")

    # Of block C and D, cache and local list
    assert operator.ask("PUT", "/api/v1/tags/T1", {"status": "Accepted"}).status == 200
    assert send("ClearCache", {}) == ACCEPTED
    assert do("sync_local_list", full=True) == ACCEPTED
    assert send("GetLocalListVersion", {})["versionNumber"] > 0

    # Of block H, reservations
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    reserved = do("reserve", id_tag="T1", until=until, reservation_id=5, connector_type="cType2")
    assert reserved == ACCEPTED
    assert do("cancel_reservation", reservation_id=5) == ACCEPTED

    # Of block F and E and I and K, a transaction, its cost and its limits
    assert do("limit", watts=11_000) == ACCEPTED
    started = do("start_charging", id_tag="T1", evse=1, id_type="ISO14443", effect=True)
    assert started["status"] == "Accepted"
    (running,) = operator.until(lambda: operator.listed("transactions", open=1), "the transaction")
    number, remote_id = running["transaction_id"], running["remote_id"]
    assert do("limit", watts=5_000, transaction_id=number) == ACCEPTED
    schedule = do("composite_schedule", evse=1, duration_s=60, unit="W")["schedule"]
    assert schedule["chargingSchedulePeriod"][0]["limit"] == 5000
    assert do("get_charging_profiles", effect=True) == ACCEPTED
    operator.until(lambda: len(operator.listed("charging-profiles")) == 2, "the profiles")
    assert do("clear_limit") == ACCEPTED
    assert send("GetTransactionStatus", {"transactionId": remote_id})["ongoingIndicator"]
    assert send("CostUpdated", {"totalCost": 1.5, "transactionId": remote_id}) == {}
    shown = do("set_display_message", text="Hello", message_id=3, transaction_id=number)
    assert shown == ACCEPTED
    assert do("stop_charging", transaction_id=number, effect=True) == ACCEPTED
    operator.until(lambda: not operator.listed("display-messages"), "the end of the message")

    # Of block F and G, connectors, availability
    assert do("unlock", evse=1) == {"status": "Unlocked"}
    assert do("set_availability", available=False, evse=2, effect=True) == ACCEPTED
    assert do("trigger", message="Heartbeat", effect=True) == ACCEPTED

    # Of block N, monitors and their events
    (monitor,) = do("set_monitor", variable=HOT, kind="UpperThreshold", value=80, severity=2)[
        "setMonitoringResult"
    ]
    assert do("get_monitors", effect=True) == ACCEPTED
    assert send("SetMonitoringLevel", {"severity": 8}) == ACCEPTED
    station.set_variable(HOT, "91")
    operator.until(
        lambda: (
            operator.ask("GET", "/api/v1/counters").json.get("alert_raised")
            or operator.ask("GET", "/api/v1/counters").json.get("counters", {}).get("alert_raised")
        ),
        "the alert",
    )
    (event,) = operator.listed("charge-points/CP1/events", kind="device_event")
    assert (event["data"]["severity"], event["data"]["actualValue"]) == (2, "91")
    (known,) = operator.listed("monitors")
    assert (known["monitor_id"], known["variable"], known["ours"]) == (monitor["id"], HOT, True)
    (cleared,) = do("clear_monitors", monitor_ids=[monitor["id"]])["clearMonitoringResult"]
    assert cleared["status"] == "Accepted"
    assert send("SetMonitoringBase", {"monitoringBase": "FactoryDefault"}) == ACCEPTED
    operator.until(lambda: not operator.listed("monitors"), "the end of the monitor")

    # Of block N, logs and customers
    for kind in ("diagnostics", "security"):
        uploaded = do("get_logs", location="https://example.org/up", kind=kind, effect=True)
        assert uploaded["status"] == "Accepted"
    assert do("customer_information", id_tag="T1", id_type="ISO14443", report=True, effect=True) == ACCEPTED
    (told,) = operator.until(
        lambda: operator.listed("charge-points/CP1/reports", action="NotifyCustomerInformation"),
        "the report of the customer",
    )
    assert "local list" in operator.ask("GET", f"{ONE}/reports/{told['number']}").text
    events = operator.ask("GET", f"{ONE}/events").text + operator.ask("GET", f"{ONE}/recording").text
    assert "local list" not in events + server.output

    # Of block O, displays
    assert do("set_display_message", text="Hello", message_id=4, state="Idle") == ACCEPTED
    assert do("get_display_messages", effect=True) == ACCEPTED
    assert do("clear_display_message", message_id=4) == ACCEPTED

    # Of block L, firmware
    signed = {"signing_certificate": ROOT, "signature": "c2ln"}
    assert do("update_firmware", location="https://example.org/f", effect=True, **signed) == ACCEPTED
    assert do("update_firmware", location="https://example.org/f", effect=True) == ACCEPTED
    assert (
        do("publish_firmware", location="https://example.org/f", checksum=CHECKSUM, effect=True) == ACCEPTED
    )
    assert do("unpublish_firmware", checksum=CHECKSUM) == {"status": "Unpublished"}

    # Of block A and M, certificates
    assert do("install_certificate", certificate=ROOT) == ACCEPTED
    (chain,) = do("get_installed_certificates")["certificateHashDataChain"]
    named = chain["certificateHashData"]
    deleted = do(
        "delete_certificate",
        serial_number=named["serialNumber"],
        issuer_name_hash=named["issuerNameHash"],
        issuer_key_hash=named["issuerKeyHash"],
    )
    assert deleted == ACCEPTED
    # It has not asked for this one.
    assert do("send_certificate", certificate_chain=ROOT)["status"] == "Rejected"

    # Of block P and B, data of a vendor, and a restart
    assert send("DataTransfer", {"vendorId": "Chargehand", "data": {"a": 1}})["data"] == {"a": 1}
    assert do("reset", effect=True) == ACCEPTED

    # By the messages, for which no other way was taken.
    period = {"startPeriod": 0, "limit": 16}
    asked = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargingStationExternalConstraints",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}],
    }
    refused = operator.ask(
        "POST", f"{ONE}/commands/SetChargingProfile", {"evseId": 0, "chargingProfile": asked}
    )
    assert refused.status == 422
    assert refused.json["violations"][0]["path"] == "chargingProfile.chargingProfilePurpose"
    assert operator.sent == COMMANDS
