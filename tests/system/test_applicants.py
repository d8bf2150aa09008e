"""A closed list of charge points, and those that nobody had entered: they wait until a person decides."""

import gevent
import pytest
from click.testing import CliRunner

from chargehand import AuthSettings, CentralSystem, HttpSettings, Settings, serve_http, v16
from chargehand.admission.applicants import ApplicantNotFound
from chargehand.cli.main import main
from chargehand.simulator import HandshakeRefused
from chargehand.simulator.v201 import Station
from chargehand.testing import StubStore

from ..hub import until
from ..in_process import QUICK, connect, system_with

KEY = b"a key of twenty byte"


def served(unknown="ask", *, store=None, http=None, **options):
    auth = AuthSettings(unknown=unknown, **options)
    enabled = HttpSettings(enabled=http is not None, port=0, open=True)
    settings = Settings(port=0, supervision=QUICK, auth=auth, http=enabled)
    return system_with(settings=settings, store=store, http=http)


def refused(system, identity="CP1", **options):
    try:
        with connect(system, identity, **options):
            return None
    except HandshakeRefused as error:
        return error.status


def waiting(system):
    return [one.charge_point_id for one in system.store.collections.applicants if one.state == "waiting"]


def test_with_a_closed_list_only_who_was_entered_gets_in():
    with served("refuse") as system:
        assert refused(system) == 404
        system.register("CP1", "Accepted").wait(60)
        assert refused(system) is None
        system.credentials.set_password("CP2", KEY).wait(60)
        assert refused(system, "CP2", password=KEY) is None
        assert refused(system, "CP2") == 401
        assert waiting(system) == []
    with served("refuse", hide_unknown=True) as system:
        assert refused(system) == 401


def test_who_was_served_before_the_list_was_closed_stays_on_it():
    store = StubStore()
    with served("accept", store=store) as system:
        assert refused(system) is None
    with served("refuse", store=store) as system:
        assert refused(system) is None
        assert refused(system, "CP2") == 404


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_an_unknown_charge_point_is_pending_until_it_is_approved(version):
    with served() as system:
        url = f"ws://127.0.0.1:{system.port}/ocpp/"
        kind = connect(system) if version == "1.6" else Station(url, "CP1")
        kind.connect()
        kind.boot()
        try:
            assert kind.registration == "Pending"
            (applicant,) = system.store.collections.applicants
            assert (applicant.charge_point_id, applicant.state) == ("CP1", "waiting")
            system.approve("CP1", by="a person").wait(60)
            until(lambda: kind.registration == "Accepted", "it has booted again, as it was asked to")
            assert system.charge_point("CP1").registration == "Accepted"
        finally:
            kind.close()
        (applicant,) = system.store.collections.applicants
        assert (applicant.state, applicant.decided_by) == ("approved", "a person")
        assert waiting(system) == []


def test_a_charge_point_that_is_not_approved_is_not_served_even_if_it_never_boots():
    with served() as system:
        charge_point = connect(system)
        charge_point.connect()
        try:
            with pytest.raises(Exception, match="SecurityError"):
                charge_point.send(v16.Authorize(id_tag="T1"))
        finally:
            charge_point.close()


def test_a_rejected_charge_point_is_cut_off_and_gets_in_no_more():
    with served() as system:
        charge_point = connect(system)
        charge_point.connect()
        try:
            until(lambda: waiting(system) == ["CP1"])
            system.reject("CP1", by="a person").wait(60)
            charge_point.wait_offline()
        finally:
            charge_point.close()
        assert refused(system) == 404
        system.approve("CP1", by="another person").wait(60)
        assert refused(system) is None
        with pytest.raises(ApplicantNotFound, match="CP9"):
            system.approve("CP9", by="a person")


def test_only_so_many_wait_and_a_decision_makes_room():
    with served(applicants_limit=2) as system:
        for identity in ("CP1", "CP2", "CP1"):
            applying(system, identity)
        assert refused(system, "CP3") == 404
        system.reject("CP1", by="a person").wait(60)
        applying(system, "CP3")
        assert waiting(system) == ["CP2", "CP3"]


def test_who_waited_is_served_when_everybody_is_accepted_again():
    store = StubStore()
    with served(store=store) as system:
        for identity in ("CP1", "CP2"):
            applying(system, identity)
        system.reject("CP2", by="a person").wait(60)
    with served("accept", store=store) as system:
        for identity in ("CP1", "CP2"):
            with connect(system, identity) as charge_point:
                assert charge_point.registration == "Accepted"


def applying(system, identity):
    charge_point = connect(system, identity)
    charge_point.connect()
    charge_point.close()


def test_one_that_waits_may_be_given_a_key_and_needs_it_from_then_on():
    with served(required=True) as system:
        applying(system, "CP1")
        system.credentials.set_password("CP1", KEY).wait(60)
        assert refused(system, "CP1") == 401
        system.approve("CP1", by="a person").wait(60)
        assert refused(system, "CP1", password=KEY) is None


def test_one_that_is_entered_or_forgotten_is_no_applicant_any_more():
    with served() as system:
        applying(system, "CP1")
        until(lambda: not system.charge_point("CP1").connected)
        system.register("CP1", "Accepted").wait(60)
        assert waiting(system) == []
        assert refused(system, "CP1") is None
        applying(system, "CP2")
        until(lambda: not system.charge_point("CP2").connected)
        system.reject("CP2", by="a person").wait(60)
        system.forget("CP2").wait(60)
        applying(system, "CP2")
        assert waiting(system) == ["CP2"]


def test_applicants_and_decisions_outlive_the_process(tmp_path):
    auth = AuthSettings(unknown="ask")
    settings = Settings(port=0, supervision=QUICK, auth=auth, store="sqlite", data=str(tmp_path))
    with CentralSystem(settings) as system:
        for identity in ("CP1", "CP2", "CP3"):
            applying(system, identity)
        system.approve("CP1", by="a person").wait(60)
        system.reject("CP2", by="a person").wait(60)
    with CentralSystem(settings) as system:
        assert waiting(system) == ["CP3"]
        assert refused(system, "CP1") is None
        assert refused(system, "CP2") == 404


def test_the_command_line_lists_approves_and_rejects():
    with served(http=serve_http) as system:
        url = f"http://127.0.0.1:{system.http_port}"

        def run(*arguments):
            call = ["charge-points", *arguments, "--url", url]
            return gevent.get_hub().threadpool.apply(CliRunner().invoke, (main, call))

        applying(system, "CP1")
        applying(system, "CP2")
        listed = run("applicants")
        assert listed.exit_code == 0, listed.output
        assert "CP1" in listed.output
        assert "CP2" in listed.output
        assert run("approve", "CP1").output == "CP1 is approved\n"
        assert run("reject", "CP2").output == "CP2 is rejected\n"
        assert "no applicants" in run("applicants").output
        assert "CP2" in run("applicants", "--state", "rejected").output
        assert run("approve", "CP9").exit_code == 1


def test_where_everybody_needs_a_password_an_applicant_is_noted_and_refused():
    with served(security_profile=1) as system:
        assert refused(system) == 401
        assert waiting(system) == ["CP1"]
        system.credentials.set_password("CP1", KEY).wait(60)
        system.approve("CP1", by="a person").wait(60)
        assert refused(system, password=KEY) is None
