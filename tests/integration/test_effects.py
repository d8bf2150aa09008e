"""Commands that wait for their effect, each pair of OCPP from end to end with a simulated charge point."""

import datetime as dt

import pytest

from chargehand import CentralSystem, SessionSettings, Settings, TicketState, TransactionFilter, v16
from chargehand.simulator import ChargePoint, silent

from ..hub import until
from ..simulator.test_certificates import ROOT

NOW = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)  # long ago: firmware is fetched at once
EFFECT_S = 60.0
SOON_S = 0.3


@pytest.fixture
def system():
    settings = Settings(port=0, sessions=SessionSettings(effect_timeout_s=EFFECT_S, close_timeout_s=0.1))
    with CentralSystem(settings) as system:
        yield system


@pytest.fixture
def charge_point(system):
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point:
        yield charge_point


@pytest.fixture
def ask(system, charge_point):
    """Send a command and wait for its effect."""

    def ask(request, **options):
        ticket = system.send(charge_point.identity, request, until_effect=True, **options)
        assert ticket.wait(EFFECT_S + 5)
        return ticket

    return ask


def charging(charge_point):
    """Start a transaction on connector 1."""
    charge_point.plug_in()
    return charge_point.start("T1")


def firmware():
    return v16.Firmware(
        location="https://example.com/f",
        retrieve_date_time=NOW,
        signing_certificate=ROOT,
        signature="c2ln",
    )


UPDATE = v16.UpdateFirmware(location="https://example.com/f", retrieve_date=NOW)
SIGNED_UPDATE = v16.SignedUpdateFirmware(request_id=5, firmware=firmware())
GET_DIAGNOSTICS = v16.GetDiagnostics(location="ftp://user:pass@example.com/up")
GET_LOG = v16.GetLog(
    log=v16.LogParameters(remote_location="ftp://example.com/up"), log_type="DiagnosticsLog", request_id=6
)


def test_a_remote_start_is_done_with_its_start_transaction(system, charge_point, ask):
    ticket = ask(v16.RemoteStartTransaction(id_tag="T1", connector_id=2))
    assert ticket.effect == "done"
    open_here = TransactionFilter(charge_point_id=charge_point.identity, open_only=True)
    (transaction,) = until(lambda: system.store.transactions(open_here), "the store has its start")
    assert (transaction.connector_id, transaction.id_tag) == (2, "T1")


def test_a_remote_stop_is_done_with_its_stop_transaction(system, charge_point, ask):
    transaction = charging(charge_point)
    ticket = ask(v16.RemoteStopTransaction(transaction_id=transaction.id))
    assert ticket.effect == "done"
    until(lambda: not system.store.transaction(transaction.id).open)


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
def test_a_reset_is_done_with_the_boot_that_follows(system, charge_point, ask, kind):
    before = charge_point.connection.connections
    ticket = ask(v16.Reset(type=kind))
    assert (ticket.state, ticket.effect) == (TicketState.ANSWERED, "done")
    assert charge_point.connection.connections == before + 1


def test_availability_that_can_change_at_once_is_done_with_the_answer(ask):
    ticket = ask(v16.ChangeAvailability(connector_id=1, type="Inoperative"))
    assert (ticket.response.status, ticket.effect) == ("Accepted", "done")


def test_availability_that_was_scheduled_is_done_when_the_transaction_is_over(system, charge_point):
    charging(charge_point)
    request = v16.ChangeAvailability(connector_id=1, type="Inoperative")
    ticket = system.send(charge_point.identity, request, until_effect=True)
    until(lambda: ticket.state is TicketState.ANSWERED)
    assert ticket.response.status == "Scheduled"
    assert ticket.effect == "pending"
    charge_point.stop()
    charge_point.unplug()
    assert ticket.wait(EFFECT_S)
    assert ticket.effect == "done"
    assert system.charge_point(charge_point.identity).connectors[1].status == "Unavailable"


@pytest.mark.parametrize(
    "request_", [UPDATE, SIGNED_UPDATE, GET_DIAGNOSTICS, GET_LOG], ids=lambda one: type(one).__action__.name
)
def test_upkeep_is_done_with_its_last_step(ask, request_):
    assert ask(request_).effect == "done"


@pytest.mark.parametrize(
    ("request_", "work", "steps"),
    [
        (UPDATE, "firmware", ["Downloading", "DownloadFailed"]),
        (UPDATE, "firmware", ["Downloading", "Downloaded", "Installing", "InstallationFailed"]),
        (SIGNED_UPDATE, "signed_firmware", ["Downloading", "Downloaded", "InvalidSignature"]),
        (GET_DIAGNOSTICS, "diagnostics", ["Uploading", "UploadFailed"]),
        (GET_LOG, "log", ["Uploading", "PermissionDenied"]),
    ],
)
def test_upkeep_that_fails_had_no_effect(charge_point, ask, request_, work, steps):
    getattr(charge_point.maintenance, work).steps = steps
    assert ask(request_).effect == "no_effect"


@pytest.mark.parametrize("message", list(v16.MessageTrigger))
def test_every_message_that_can_be_triggered_is_waited_for(ask, message):
    ticket = ask(v16.TriggerMessage(requested_message=message))
    assert (ticket.response.status, ticket.effect) == ("Accepted", "done")


@pytest.mark.parametrize("message", list(v16.ExtendedMessageTrigger))
def test_and_those_of_the_security_extension(ask, message):
    ticket = ask(v16.ExtendedTriggerMessage(requested_message=message))
    assert (ticket.response.status, ticket.effect) == ("Accepted", "done")


@pytest.mark.parametrize("connector_id", [1, 2])
def test_a_message_of_one_connector_is_waited_for(system, charge_point, ask, connector_id):
    request = v16.TriggerMessage(requested_message="StatusNotification", connector_id=connector_id)
    assert ask(request).effect == "done"


@pytest.mark.parametrize(
    "request_",
    [
        v16.RemoteStopTransaction(transaction_id=4711),
        v16.RemoteStartTransaction(id_tag="T1", connector_id=9),
        v16.TriggerMessage(requested_message="MeterValues", connector_id=9),
        v16.ChangeAvailability(connector_id=9, type="Operative"),
        v16.SignedUpdateFirmware(
            request_id=1,
            firmware=v16.Firmware(
                location="https://example.com", retrieve_date_time=NOW, signing_certificate="x", signature="x"
            ),
        ),
    ],
    ids=lambda one: type(one).__action__.name,
)
def test_what_the_charge_point_will_not_do_is_declined(ask, request_):
    ticket = ask(request_)
    assert (ticket.state, ticket.effect) == (TicketState.ANSWERED, "declined")


def test_a_promise_that_is_not_kept_had_no_effect_after_its_time(charge_point, ask):
    charge_point.maintenance.firmware.steps = ["Downloading"]
    ticket = ask(UPDATE, effect_timeout_s=SOON_S)
    assert (ticket.state, ticket.effect) == (TicketState.ANSWERED, "no_effect")


def test_a_call_that_is_never_answered_and_not_carried_out_had_no_effect(charge_point, ask):
    charge_point.answers["Reset"] = silent
    ticket = ask(v16.Reset(type="Soft"), timeout_s=SOON_S, effect_timeout_s=SOON_S)
    assert (ticket.state, ticket.effect) == (TicketState.TIMED_OUT, "no_effect")


def test_a_reset_that_cuts_the_socket_before_its_answer_is_done_with_the_boot(system, charge_point):
    charge_point.answers["Reset"] = silent
    ticket = system.send(charge_point.identity, v16.Reset(type="Hard"), until_effect=True)
    until(lambda: ticket.state is TicketState.SENT)
    charge_point.connection.close()
    until(lambda: not ticket.open)
    assert (ticket.state, ticket.effect) == (TicketState.OUTCOME_UNKNOWN, "pending")
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", charge_point.identity):
        assert ticket.wait(EFFECT_S)
    assert ticket.effect == "done"


def test_a_call_to_nobody_had_no_effect(system):
    ticket = system.send("nobody", v16.Reset(type="Soft"), until_effect=True)
    assert (ticket.state, ticket.effect) == (TicketState.NEVER_SENT, "no_effect")
    assert system.counters.counts == {"ticket_never_sent": 1, "effect_no_effect": 1}


def test_an_effect_that_ocpp_does_not_show_cannot_be_waited_for(system, charge_point):
    for request in (v16.ClearCache(), v16.UnlockConnector(connector_id=1), v16.GetConfiguration()):
        with pytest.raises(ValueError, match="no message that shows the effect"):
            system.send(charge_point.identity, request, until_effect=True)


def test_a_stop_of_the_system_ends_the_wait():
    system = CentralSystem(Settings(port=0, sessions=SessionSettings(close_timeout_s=0.1)))
    system.start()
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point:
        charge_point.maintenance.firmware.steps = ["Downloading"]
        ticket = system.send("CP1", UPDATE, until_effect=True)
        until(lambda: ticket.state is TicketState.ANSWERED)
        system.stop()
        assert ticket.settled
        assert ticket.effect == "no_effect"
