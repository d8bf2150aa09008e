"""A fleet against a real central system in this process: what is stored is what its meters say."""

import gevent
import pytest

from chargehand import BackOfficeSettings, CentralSystem, Settings
from chargehand.simulator.fleet import Fleet
from chargehand.simulator.models import MODELS

FAST = 1e6
NAMES = sorted({name for model in MODELS.values() for name in model.misbehaviours})
CONSTANT = 1_789_948_800.0  # a Monday, whatever today is


pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def system():
    office = BackOfficeSettings(heartbeat_interval_s=3600)
    with CentralSystem(Settings(port=0, back_office=office)) as system:
        yield system


def run(system, **options):
    sessions = []
    url = f"ws://127.0.0.1:{system.port}/ocpp"
    fleet = Fleet(url, speed=FAST, start=CONSTANT, patience_s=60.0, on_session=sessions.append, **options)
    with gevent.Timeout(300):
        summary = fleet.run()
    return fleet, sessions, summary


def transactions_of(system, charge_point):
    return [one for one in system.store.transactions(limit=10_000) if one.charge_point_id == charge_point]


def stored_wh(system, session):
    """Return the energy that the central system has of a session; None if it has no such transaction."""
    for one in transactions_of(system, session.charge_point):
        if session.transaction in (one.id, one.remote_id):
            return system.assessed(one).energy_wh
    return None


def test_every_session_is_stored_with_the_energy_of_its_meter(system):
    _, sessions, summary = run(system, stations=8, days=1.5, prefix="TRUE")
    assert sessions
    assert {one.ocpp for one in sessions} == {"1.6", "2.0.1"}
    assert [stored_wh(system, one) for one in sessions] == [one.energy_wh for one in sessions]
    assert summary["energy_wh"] == sum(one.energy_wh for one in sessions) > 0
    assert summary["sessions"] == len(sessions)
    assert summary["undelivered"] == 0
    assert summary["messages"] > len(sessions) * 5


def test_one_seed_gives_the_same_sessions_with_the_same_energy(system):
    facts = []
    for _ in range(2):
        _, sessions, _ = run(system, stations=5, days=1, seed=7, prefix="SAME")
        facts.append(sorted((one.charge_point, one.tag, one.energy_wh) for one in sessions))
    assert facts[0] == facts[1]
    assert facts[0]


def test_energy_is_known_whatever_oddity_a_charge_point_has(system):
    names = [name for name in NAMES if name != "flapping"]
    fleet, sessions, summary = run(
        system, stations=2 * len(names), days=0.4, misbehaviour=names, share=1.0, prefix="ODD"
    )
    assert set(summary["misbehaviour"]) == set(names)
    ways = {member.identity: member.misbehaviour for member in fleet.members}
    wrong = [
        (ways[one.charge_point], one.energy_wh, stored)
        for one in sessions
        if one.energy == "exact" and (stored := stored_wh(system, one)) != one.energy_wh
    ]
    assert wrong == []


def test_a_fleet_that_is_stopped_leaves_no_transaction_open(system):
    fleet, _, _ = run_until_charging(system)
    charge_points = {member.identity for member in fleet.members}
    open_ones = [
        one for charge_point in charge_points for one in transactions_of(system, charge_point) if one.open
    ]
    assert open_ones == []
    assert fleet.charging == 0
    assert fleet.online == 0


def run_until_charging(system):
    url = f"ws://127.0.0.1:{system.port}/ocpp"
    fleet = Fleet(url, stations=6, speed=20_000, days=300, start=CONSTANT, prefix="STOP")

    def stop():
        while not fleet.charging:
            gevent.sleep(0.01)
        fleet.stop()

    gevent.spawn(stop)
    with gevent.Timeout(300):
        return fleet, [], fleet.run()
