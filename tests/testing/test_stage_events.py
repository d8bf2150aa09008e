"""Events on the stage, and simulated charge points that stand on it."""

import pytest

from chargehand import (
    ChargePointOnline,
    Plugin,
    StatusChanged,
    TicketState,
    TransactionEnded,
    TransactionStarted,
    after,
    on,
    v16,
    v201,
)
from chargehand.simulator import Disconnected, NotPossible
from chargehand.testing import Recording, Stage
from chargehand.testing.events import RETRY_S

VERSION_NAMES = [v16.VERSION.name, v201.VERSION.name]


class Bills(Plugin):
    def __init__(self):
        super().__init__()
        self.energy = []

    @on(TransactionEnded)
    def bill(self, event):
        self.energy.append((event.charge_point_id, event.transaction.energy_wh))


@pytest.mark.parametrize("version", VERSION_NAMES)
def test_an_hour_of_charging_is_billed_without_a_wait(version):
    with Stage(Bills, bundled=True) as stage:
        charge_point = stage.simulate("CP1", version=version)
        before = charge_point.meter_wh()
        charge_point.plug_in()
        charge_point.start("T1")
        stage.advance(3600)
        charge_point.stop()
        stage.settle()
        energy = charge_point.meter_wh() - before
        assert 10_000 <= energy <= 11_100
        assert stage.plugins[0].actor.energy == [("CP1", energy)]
        (ended,) = stage.events.of(TransactionEnded)
        assert ended.transaction.energy_wh == energy


def test_live_events_are_kept_in_order():
    with Stage(bundled=True) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        for status in ("Available", "Preparing"):
            charge_point.call(
                "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status}
            )
        assert [event.status for event in stage.events.of(StatusChanged)] == ["Available", "Preparing"]
        assert [event.charge_point_id for event in stage.events.of(ChargePointOnline)] == ["CP1"]


def test_an_event_that_failed_is_delivered_again_before_the_next():
    class Failing(Plugin):
        def __init__(self):
            super().__init__()
            self.seen = []

        @on(TransactionStarted)
        def began(self, event):
            self.seen.append("start")
            if len(self.seen) == 1:
                raise ValueError("the first time")

        @on(TransactionEnded)
        def ended(self, event):
            self.seen.append("end")

    with Stage(Failing, bundled=True) as stage:
        stage.simulate("CP1").charge("T1")
        stage.settle()
        assert stage.plugins[0].actor.seen == ["start"]
        ((plugin, event, error),) = stage.events.failed
        assert (plugin, type(event), str(error)) == ("Failing", TransactionStarted, "the first time")
        stage.advance(RETRY_S)
        assert stage.plugins[0].actor.seen == ["start", "start", "end"]


def test_what_a_charge_point_was_sent_is_there_by_its_kind():
    class Unlocks(Plugin):
        @after(v16.StopTransaction)
        def unlock(self, call, _answer):
            self.system.send(call.charge_point.id, v16.UnlockConnector(connector_id=1))

    with Stage(Unlocks, bundled=True) as stage:
        stage.simulate("CP1").charge("T1")
        stage.settle()
        assert stage.sent("CP1", v16.UnlockConnector) == [v16.UnlockConnector(connector_id=1)]
        assert stage.sent("CP1", v16.Reset) == []
        assert stage.sent("CP2", v16.UnlockConnector) == []


@pytest.mark.parametrize("version", VERSION_NAMES)
def test_a_verb_takes_effect_at_a_simulated_charge_point(version):
    with Stage(bundled=True) as stage:
        charge_point = stage.simulate("CP1", version=version)
        ticket = stage.start_charging("CP1", "T1", evse=1, until_effect=True)
        stage.settle()
        assert ticket.result() is not None
        assert [event.charge_point_id for event in stage.events.of(TransactionStarted)] == ["CP1"]
        charge_point.stop()


def test_charge_points_of_both_versions_stand_side_by_side():
    with Stage(bundled=True) as stage:
        stage.simulate("CP1")
        stage.simulate("CP2", version=v201.VERSION.name)
        assert [facts.version for facts in stage.charge_points()] == [v16.VERSION.name, v201.VERSION.name]


def test_a_stage_of_one_version_refuses_a_charge_point_of_another():
    with Stage() as stage:
        stage.context.rules_of = {"ocpp1.6": stage.context.rules}
        with pytest.raises(ConnectionRefusedError, match="speaks none of"):
            stage.simulate("CP1", version=v201.VERSION.name)


def test_a_charge_point_that_is_cut_off_charges_on_and_tells_later():
    with Stage(Bills, bundled=True) as stage:
        charge_point = stage.simulate("CP1")
        charge_point.plug_in()
        charge_point.start("T1")
        charge_point.faults.cut()
        stage.settle()
        assert not charge_point.online
        assert not stage.charge_point("CP1").connected
        stage.advance(600)
        charge_point.stop()
        stage.settle()
        assert stage.plugins[0].actor.energy == []
        charge_point.connect()
        stage.settle()
        ((_, energy),) = stage.plugins[0].actor.energy
        assert energy > 0


def test_a_half_open_connection_holds_what_is_sent():
    with Stage(bundled=True) as stage:
        charge_point = stage.simulate("CP1")
        charge_point.faults.go_half_open()
        ticket = stage.send("CP1", v16.ClearCache())
        stage.settle()
        assert ticket.state is TicketState.SENT
        charge_point.faults.recover()
        stage.settle()
        assert ticket.result().status == "Accepted"


def test_a_connection_in_memory_has_no_bytes_to_break():
    with Stage(bundled=True) as stage:
        charge_point = stage.simulate("CP1")
        with pytest.raises(NotPossible, match="2 bytes"):
            charge_point.faults.send_raw(b"\x81\x00")
        charge_point.close()
        with pytest.raises(Disconnected):
            charge_point.faults.send_text("[]")


# A recorded conversation as input


def recorded():
    """The recording of a charge point that charged, and answered a command."""
    with Stage(bundled=True) as stage:
        charge_point = stage.simulate("CP1")
        charge_point.plug_in()
        charge_point.start("T1")
        stage.advance(600)
        stage.send("CP1", v16.ClearCache())
        stage.settle()
        charge_point.stop()
        stage.settle()
        return stage.recording("CP1").splitlines(), stage.events.of(TransactionEnded)


def test_a_recording_is_played_to_the_plugins_of_a_stage():
    lines, (then,) = recorded()

    class Clears(Plugin):
        def __init__(self):
            super().__init__()
            self.ticket = None

        @on(TransactionStarted)
        def clear(self, event):
            self.ticket = self.system.send(event.charge_point_id, v16.ClearCache())

    with Stage(Bills, Clears, bundled=True) as stage:
        Recording(lines).play(stage)
        ((_, energy),) = stage.plugins[0].actor.energy
        assert energy == then.transaction.energy_wh > 1000
        (now,) = stage.events.of(TransactionEnded)
        assert now.transaction.stopped_at == then.transaction.stopped_at
        assert stage.plugins[1].actor.ticket.result().status == "Accepted"


def test_a_command_that_was_not_sent_then_is_not_answered():
    lines, _ = recorded()

    class Resets(Plugin):
        @on(TransactionStarted)
        def reset(self, event):
            self.system.send(event.charge_point_id, v16.Reset(type=v16.ResetType.SOFT))

    with Stage(Resets, bundled=True) as stage:
        Recording(lines).play(stage)
        assert stage.sent("CP1", v16.Reset) == [v16.Reset(type=v16.ResetType.SOFT)]
        (ticket,) = stage.tickets("CP1")
        assert ticket.state is not TicketState.ANSWERED
