"""Rotation of keys, in both versions of OCPP: the old key counts until the charge point is back with the new one."""

import gevent
import pytest
from click.testing import CliRunner

from chargehand import HttpSettings, Settings, VerbRefused, serve_http, verbs
from chargehand.cli.main import main
from chargehand.simulator import HandshakeRefused
from chargehand.simulator.v201 import Station

from ..hub import until
from ..in_process import QUICK, connect, system_with

OLD = b"an old key of 20 byt"


@pytest.fixture
def system():
    with system_with() as system:
        system.credentials.set_password("CP1", OLD).wait(60)
        yield system


def enters(system, password):
    try:
        with connect(system, password=password):
            return True
    except HandshakeRefused:
        return False


def test_a_charge_point_comes_back_with_the_key_that_was_drawn_for_it(system):
    with connect(system, password=OLD) as charge_point:
        ticket = system.rotate_key("CP1")
        assert ticket.result(60).status == "Accepted"
        until(lambda: charge_point.password != OLD and charge_point.online, "it comes back")
        assert len(charge_point.password) == 20
        until(lambda: system.credentials.unused_since("CP1") is None)
    assert not enters(system, OLD)
    assert enters(system, charge_point.password)


def test_a_station_of_2_0_1_comes_back_with_the_text_that_was_drawn_for_it(system):
    with Station(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1", password=OLD) as station:
        assert system.rotate_key("CP1").result(60).set_variable_result[0].attribute_status == "Accepted"
        until(lambda: station.password != OLD and station.online, "it comes back")
        until(lambda: system.credentials.unused_since("CP1") is None)
        assert len(station.password) == 40
        assert "deviation" not in system.counters.counts
    assert not enters(system, OLD)


def test_the_old_key_counts_while_the_charge_point_has_not_used_the_new_one(system):
    with connect(system, password=OLD) as charge_point:
        charge_point.answers["ChangeConfiguration"] = lambda _: {
            "status": "Accepted"
        }  # and nothing comes of it
        assert system.rotate_key("CP1").result(60).status == "Accepted"
    assert system.credentials.unused_since("CP1") is not None
    assert enters(system, OLD)
    assert system.credentials.unused_since("CP1") is not None


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_a_key_that_was_not_taken_is_forgotten(system, status):
    with connect(system, password=OLD) as charge_point:
        charge_point.answers["ChangeConfiguration"] = lambda _: {"status": status}
        assert system.rotate_key("CP1").result(60).status == status
        until(lambda: system.credentials.unused_since("CP1") is None)
    assert enters(system, OLD)


def test_the_new_key_counts_before_the_charge_point_has_it(system):
    staged = []
    with connect(system, password=OLD) as charge_point:

        def taken(_):
            staged.append(system.credentials.unused_since("CP1"))
            return {"status": "Accepted"}

        charge_point.answers["ChangeConfiguration"] = taken
        system.rotate_key("CP1").result(60)
    assert staged != [None]


def test_each_charge_point_of_a_bulk_command_gets_a_key_of_its_own(system):
    system.credentials.set_password("CP2", OLD).wait(60)
    with connect(system, "CP1", password=OLD) as one, connect(system, "CP2", password=OLD) as other:
        bulk = system.send_many(["CP1", "CP2"], verbs.RotateKey())
        assert bulk.wait(60)
        until(lambda: OLD not in (one.password, other.password))
        assert one.password != other.password


def test_a_key_that_the_version_does_not_take_is_refused(system):
    with connect(system, password=OLD):
        with pytest.raises(VerbRefused, match="hexadecimal digits"):
            system.rotate_key("CP1", "no digits, but a text")
        assert system.rotate_key("CP1", "00112233445566778899aabbccddeeff").result(60).status == "Accepted"


def test_the_key_of_a_rotation_is_in_no_ticket_and_no_repr(system):
    key = "00112233445566778899aabbccddeeff"
    with connect(system, password=OLD):
        ticket = system.rotate_key("CP1", key)
        ticket.wait(60)
    assert key not in repr(ticket)
    assert key not in repr(ticket.verb)
    assert key not in system.recording("CP1")


def test_the_command_line_rotates_keys_and_lists_those_that_wait():
    settings = Settings(port=0, supervision=QUICK, http=HttpSettings(enabled=True, port=0, open=True))
    with system_with(settings=settings, http=serve_http) as system:
        system.credentials.set_password("CP1", OLD).wait(60)
        system.credentials.set_password("CP2", OLD).wait(60)
        url = f"http://127.0.0.1:{system.http_port}"

        def run(*arguments):
            return gevent.get_hub().threadpool.apply(
                lambda: CliRunner().invoke(main, ["keys", *arguments, "--url", url])
            )

        with connect(system, password=OLD) as charge_point:
            charge_point.answers["ChangeConfiguration"] = lambda _: {"status": "Accepted"}
            done = run("rotate", "CP1")
            assert done.exit_code == 0, done.output
            assert "CP1: answered Accepted" in done.output
            listed = run("list", "--waiting")
            assert "CP1" in listed.output
            assert "CP2" not in listed.output
            assert "CP2" in run("list").output
            assert run("rotate", "CP9").exit_code == 1
            assert run("rotate").exit_code == 2
