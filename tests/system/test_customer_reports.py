"""Reports of a customer: their contents are in no log, event, recording or view of the station."""

import json
import logging

import msgspec
import pytest

from chargehand import CentralSystem, Settings
from chargehand.simulator.client import Client
from chargehand.web.charge_point_views import facts

SECRET = "eMAID-of-a-person"
TIME = "2026-01-01T00:00:00Z"
BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Acme"}}
GOOD = {"data": SECRET, "seqNo": 0, "requestId": 7, "generatedAt": TIME}


def frame(payload, unique_id="7"):
    return json.dumps([2, unique_id, "NotifyCustomerInformation", payload])


FRAMES = {
    "as it should be": frame(GOOD),
    "too long": frame({**GOOD, "data": SECRET * 100}),
    "a wrong type": frame({**GOOD, "data": [SECRET]}),
    "a wrong number": frame({**GOOD, "seqNo": SECRET}),
    "a wrong requestId": frame({**GOOD, "requestId": SECRET}),
    "an unknown member": frame({**GOOD, "name": SECRET}),
    "a list": frame([SECRET]),
    "a text": frame(SECRET),
    "nothing else": frame({"data": SECRET}),
    "broken JSON": frame(GOOD)[:-3],
    "its own data": frame({**GOOD, "customData": {"vendorId": "V", "name": SECRET}}),
}


@pytest.mark.parametrize("sent", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("policy", ["lenient", "strict"])
def test_what_is_known_of_a_customer_stands_in_the_report_alone(sent, policy, caplog):
    caplog.set_level(logging.DEBUG)
    with CentralSystem(Settings(port=0, policy=policy)) as system:
        station = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=["ocpp2.0.1"])
        try:
            for text in (
                json.dumps([2, "1", "BootNotification", BOOT]),
                sent,
                json.dumps([2, "8", "Heartbeat", {}]),
            ):
                station.send_text(text.encode())
            answered = b""
            while b'[3,"8"' not in answered:  # all before it is handled
                messages = station.receive()
                assert messages is not None
                answered += b"".join(messages)
            shown = [
                system.recording("CP1"),
                caplog.text,
                repr(system.store.events()),
                repr(system.store.dead_letters()),
                repr(system.crash_reports()),
                msgspec.json.encode(facts(system.charge_point("CP1"), [])).decode(),
            ]
            assert "NotifyCustomerInformation" in shown[0]
            assert [place for place, text in enumerate(shown) if SECRET in text] == []
        finally:
            station.close()
