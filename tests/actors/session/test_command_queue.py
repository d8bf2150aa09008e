"""Commands to a charge point that is away, disconnects, or is not registered yet."""

import pytest

from chargehand import NeverSent, OutcomeUnknown, TicketState, v16
from chargehand.protocol.session import Registration, SessionRules
from chargehand.testing import Stage

from ..messages_of_v16 import PASSIVE
from ..recording_plugin import RecordingPlugin
from .exchanges import VERSION, taken, version

# Away


def test_a_call_to_a_charge_point_that_nobody_knows_is_never_sent(stage):
    ticket = stage.send("nobody", v16.GetLocalListVersion())
    with pytest.raises(NeverSent, match="is not connected"):
        ticket.result()


def test_a_call_to_one_that_is_away_is_never_sent_or_waits_as_it_was_told(stage, charge_point):
    charge_point.hang_up()
    fails, waits = version(stage), version(stage, when_offline="queue")
    assert (fails.state, waits.state) == (TicketState.NEVER_SENT, TicketState.QUEUED)
    again = stage.connect("CP1")
    again.answer(again.take()[0], VERSION)
    assert waits.result().list_version == 3


def test_a_lost_connection_ends_what_it_carried_and_what_does_not_wait_for_another(stage, charge_point):
    on_wire, fails, waits = version(stage), version(stage), version(stage, when_offline="queue")
    charge_point.hang_up(1006)
    with pytest.raises(OutcomeUnknown, match=r"the connection was closed \(1006\)"):
        on_wire.result()
    assert fails.state is TicketState.NEVER_SENT
    assert waits.state is TicketState.QUEUED
    again = stage.connect("CP1")
    assert waits.state is TicketState.SENT
    assert len(again.take()) == 1


def test_a_takeover_moves_the_queue_and_ends_only_what_was_on_the_wire(stage, charge_point):
    on_wire, waits = version(stage), version(stage)
    second = stage.connect("CP1")
    assert on_wire.state is TicketState.OUTCOME_UNKNOWN
    assert waits.state is TicketState.SENT
    second.answer(second.take()[0], VERSION)
    assert waits.result().list_version == 3


def test_a_call_that_waits_for_an_absent_charge_point_expires(stage, charge_point):
    charge_point.hang_up()
    ticket = version(stage, when_offline="queue", expires_in_s=100)
    stage.advance(100)
    assert ticket.state is TicketState.EXPIRED


def test_the_end_of_a_session_ends_all_its_tickets(stage, charge_point):
    tickets = [version(stage, when_offline="queue") for _ in range(3)]
    cell = stage.cells["CP1"]
    unheard = stage.send("CP1", v16.GetLocalListVersion())
    cell.kill()
    cell.end()
    assert [ticket.state for ticket in tickets] == ["outcome_unknown", "never_sent", "never_sent"]
    assert unheard.state is TicketState.NEVER_SENT


# Registration


def boot(charge_point, way, status):
    way[0] = lambda: {"status": status, "currentTime": "2026-01-01T00:00:00Z", "interval": 1}
    assert charge_point.call("BootNotification", PASSIVE["BootNotification"])[2]["status"] == status


def test_nothing_is_sent_to_one_that_was_rejected(stage, charge_point, way):
    boot(charge_point, way, "Rejected")
    ticket = version(stage)
    assert ticket.state is TicketState.HELD
    assert charge_point.take() == []
    boot(charge_point, way, "Accepted")
    assert taken(charge_point) == ["GetLocalListVersion"]


def test_to_one_that_is_pending_everything_is_sent_but_starts_and_stops(stage, charge_point, way):
    boot(charge_point, way, "Pending")
    start = stage.send("CP1", v16.RemoteStartTransaction(id_tag="T1"))
    stop = stage.send("CP1", v16.RemoteStopTransaction(transaction_id=1))
    other = version(stage)
    assert (start.state, stop.state, other.state) == ("held", "held", "sent")
    charge_point.answer(charge_point.take()[0], VERSION)
    boot(charge_point, way, "Accepted")
    assert (start.state, stop.state) == ("sent", "queued")
    assert taken(charge_point) == ["RemoteStartTransaction"]


def test_one_never_seen_booting_counts_as_accepted_or_not_as_the_setting_says(stage, charge_point, way):
    assert version(stage).state is TicketState.SENT
    with Stage(
        RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, accept_unbooted=False)
    ) as strict_stage:
        unbooted = strict_stage.connect("CP1")
        ticket = version(strict_stage)
        assert ticket.state is TicketState.HELD
        boot(unbooted, way, "Accepted")
        assert ticket.state is TicketState.SENT


def test_a_registration_outlives_the_connection(stage, charge_point, way):
    boot(charge_point, way, "Rejected")
    charge_point.hang_up()
    stage.connect("CP1")
    assert version(stage).state is TicketState.HELD


def test_what_the_store_knows_of_a_charge_point_holds_from_its_first_frame(stage):
    charge_point = stage.connect("CP2", registration=Registration.REJECTED)
    assert charge_point.call("Heartbeat")[2] == "SecurityError"
