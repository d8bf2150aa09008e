"""Keys of charge points in a running system: the fate of a key that was sent, and the log of it."""

import pytest

from chargehand import AuthSettings, CentralSystem, ErrorCode, Settings, TicketState, v16
from chargehand.config.settings import BUNDLED_PLUGINS
from chargehand.simulator import HandshakeRefused, refusing
from chargehand.testing import StubStore

from ..hub import until
from ..in_process import SETTINGS, connect, system_with, unanswered

OLD, NEW = b"an old key of 20 byt", "00112233445566778899aabbccddeeff00112233"
KEYS = "chargehand.plugins.authorization_keys:AuthorizationKeys"


@pytest.fixture
def system():
    with system_with() as system:
        system.credentials.set_password("CP1", OLD).wait(60)
        yield system


def send_key(system, answer, *, timeout_s=5, hang_up=False):
    """Send CP1 a new key, which it answers with `answer`; wait until the outcome was told."""
    with connect(system, password=OLD) as charge_point:
        charge_point.answers["ChangeConfiguration"] = answer
        request = v16.ChangeConfiguration(key="AuthorizationKey", value=NEW)
        ticket = system.send("CP1", request, timeout_s=timeout_s)
        if hang_up:
            until(lambda: ticket.state is TicketState.SENT)
        else:
            ticket.wait(60)
    assert ticket.wait(60)
    return ticket


def enters(system, password):
    try:
        with connect(system, password=password):
            return True
    except HandshakeRefused:
        return False


def status(text):
    return lambda _: {"status": text}


def test_an_accepted_key_takes_the_place_of_the_old_one(system):
    send_key(system, status("Accepted"))
    until(lambda: not system.credentials.check("CP1", OLD))
    assert not enters(system, OLD)
    assert enters(system, bytes.fromhex(NEW))


@pytest.mark.parametrize("text", ["Rejected", "NotSupported"])
def test_a_key_that_was_not_taken_changes_nothing(system, text):
    send_key(system, status(text))
    assert enters(system, OLD)
    assert not enters(system, bytes.fromhex(NEW))


def test_a_key_refused_with_an_error_changes_nothing(system):
    send_key(system, refusing(ErrorCode.NOT_SUPPORTED, "no"))
    assert enters(system, OLD)
    assert not enters(system, bytes.fromhex(NEW))


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (status("RebootRequired"), {}),
        (unanswered, {"timeout_s": 0.2}),
        (unanswered, {"hang_up": True}),
    ],
    ids=["reboot required", "no answer", "lost connection"],
)
def test_a_key_that_may_count_later_counts_beside_the_old_one_until_it_is_used(system, answer, options):
    send_key(system, answer, **options)
    until(lambda: system.credentials.unused_since("CP1") is not None)
    assert enters(system, OLD)
    assert enters(system, bytes.fromhex(NEW))
    assert not enters(system, OLD)
    assert system.credentials.unused_since("CP1") is None


def test_a_charge_point_that_sends_the_digits_is_let_in_and_flagged(system):
    system.credentials.set_password("CP1", bytes.fromhex(NEW)).wait(60)
    assert enters(system, NEW)
    (deviation,) = system.charge_point("CP1").deviations
    assert deviation.startswith("password: the hexadecimal digits")
    assert system.counters.counts["deviation"] == 1


def test_a_new_key_that_stays_unused_is_warned_of(system, caplog):
    send_key(system, status("RebootRequired"))
    until(lambda: system.credentials.unused_since("CP1") is not None)
    system._parts.admission.sweep()
    assert "rotation_overdue" not in system.counters.counts
    system.credentials._unused["CP1"] = system.credentials._unused["CP1"].replace(year=2000)
    system._parts.admission.sweep()
    system._parts.admission.sweep()
    assert system.counters.counts["rotation_overdue"] == 1
    assert "CP1 has not used the new key" in caplog.text


def test_keys_in_the_store_without_the_plugin_that_keeps_them_are_warned_of(caplog):
    bundled = tuple(name for name in BUNDLED_PLUGINS if name != KEYS)
    store = StubStore()
    for credentials, warned in ((0, False), (1, True)):
        if credentials:
            with CentralSystem(SETTINGS, store=store) as system:
                system.credentials.set_password("CP1", OLD).wait(60)
        caplog.clear()
        with CentralSystem(Settings(port=0, bundled_plugins=bundled), store=store):
            assert (KEYS in caplog.text) is warned


def test_bytes_of_keys_in_the_settings_are_written_as_digits_or_base64():
    auth = AuthSettings(credentials={"CP1": f"hex:{NEW}", "CP2": "base64:AP8KDTqAAQIDBAUGBwgJCgsMDQ4="})
    with system_with(settings=Settings(port=0, auth=auth)) as system:
        with connect(system, "CP1", password=bytes.fromhex(NEW)):
            pass
        with connect(system, "CP2", password=bytes.fromhex("00ff0a0d3a800102030405060708090a0b0c0d0e")):
            pass
