"""The main case: a charge point of another library charges a car, and an operator stops it by command line."""

import json
from datetime import datetime

from .client import METER_START_WH, METER_STOP_WH, METER_VALUES
from .conftest import ON_EACH_TRANSPORT, StartClient, StartServer
from .server import Server, chargehand

pytestmark = ON_EACH_TRANSPORT


def remote_stop(server: Server, charge_point: str, transaction_id: int) -> None:
    """Run `chargehand send` with the address and the token that it finds in the data folder."""
    done = chargehand(
        *("send", charge_point, "RemoteStopTransaction", json.dumps({"transactionId": transaction_id})),
        *("--data", str(server.data)),
    )
    assert done.status == 0, done.output
    assert json.loads(done.output)["status"] == "Accepted"


def test_a_charging_session_from_boot_to_heartbeat_is_stopped_by_chargehand_send(
    start_server: StartServer, start_client: StartClient
) -> None:
    server = start_server()
    client = start_client(server.ws + "CP1", "session")
    transaction_id = client.wait_for("waiting")["transactionId"]
    assert len(client.of("meter")) == METER_VALUES
    assert transaction_id > 0

    remote_stop(server, "CP1", transaction_id)
    assert client.wait_for("stop")["transactionId"] == transaction_id
    assert datetime.fromisoformat(client.wait_for("heartbeat")["currentTime"]).tzinfo is not None
    client.wait_for("done")
    assert client.exit_status() == 0

    listed = server.ask("GET", "/api/v1/transactions").json["transactions"]
    assert [row["transaction_id"] for row in listed] == [transaction_id]
    assert listed[0]["charge_point"] == "CP1"
    assert listed[0]["id_tag"] == "TAG1"
    assert listed[0]["meter_start"] == METER_START_WH
    assert listed[0]["meter_stop"] == METER_STOP_WH
    assert listed[0]["stopped_at"] is not None


def test_a_remote_stop_of_another_transaction_is_rejected_and_the_session_goes_on(
    server: Server, start_client: StartClient
) -> None:
    client = start_client(server.ws + "CP2", "session")
    transaction_id = client.wait_for("waiting")["transactionId"]
    assert server.command("CP2", "RemoteStopTransaction", {"transactionId": 1_000_000}).json["response"] == {
        "status": "Rejected"
    }
    remote_stop(server, "CP2", transaction_id)
    client.wait_for("done")


def test_chargehand_send_says_the_error_and_ends_with_status_one(server: Server) -> None:
    options = ("--url", server.http, "--data", str(server.data))
    absent = chargehand("send", "NOBODY", "ClearCache", *options)
    assert absent.status == 1
    assert "NOBODY" in absent.output
    assert "Traceback" not in absent.output

    broken = chargehand("send", "NOBODY", "Reset", '{"type": "Lukewarm"}', *options)
    assert broken.status == 1
    assert "type" in broken.output
    assert "Traceback" not in broken.output
