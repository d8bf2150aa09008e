"""Memory of a system when charging sessions come and go: its objects, and the lengths of their containers."""

import gc
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator

import gevent

from chargehand import CentralSystem, Settings
from chargehand.simulator.fleet import Fleet
from chargehand.simulator.models import MODELS

from ..hub import until
from ..in_process import QUICK

STATIONS = 8
SESSIONS = 60
BOUNDED = {
    "HubTimers._heap",  # the checks of connections that are closed, until they are due
    "LifeCheck",
    "Recorder._older",
    "Recorder._rows",
    "SqliteStore._closed",
    "StoreMeter._not_derived",
    "TicketRegistry._tickets",
}
"""Objects and containers that grow with each session, message, connection or command, up to a bound."""
OF_THE_BOUNDED = {"Ticket"}
CONTAINERS = (dict, list, set, deque, OrderedDict, bytearray)


def names_of(one: object) -> Iterator[str]:
    yield from getattr(one, "__dict__", ())
    for base in type(one).__mro__:
        slots = base.__dict__.get("__slots__", ())
        yield from [slots] if isinstance(slots, str) else slots


def census() -> Counter[str]:
    """Count the objects of the server by class, and what their containers hold by class and attribute."""
    gc.collect()
    counts: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = type(one)
        module = getattr(kind, "__module__", "")
        if not isinstance(module, str) or not module.startswith("chargehand."):
            continue
        if module.startswith(("chargehand.simulator", "chargehand.tests")) or kind.__name__ in OF_THE_BOUNDED:
            continue
        counts[kind.__qualname__] += 1
        for name in names_of(one):
            value = getattr(one, name, None)
            if isinstance(value, CONTAINERS):
                counts[f"{kind.__qualname__}.{name}"] += len(value)
    return counts


def run_sessions(system: CentralSystem, seed: int) -> int:
    """Have stations with all faults, but one that never stops a transaction, charge and go; return the sessions."""
    faults = {name for model in MODELS.values() for name in model.misbehaviours} - {"never-stops"}
    fleet = Fleet(
        f"ws://127.0.0.1:{system.port}/ocpp",
        stations=STATIONS,
        profile="fast",
        days=30.0,
        speed=1e6,
        seed=seed,
        misbehaviour=sorted(faults),
        share=0.8,
    )
    watching = gevent.spawn(lambda: (until(lambda: fleet.sessions >= SESSIONS), fleet.stop()))
    fleet.run()
    watching.join()
    until(lambda: not any(one.connected for one in system.charge_points()))
    return fleet.sessions


def test_sessions_that_are_over_leave_nothing_in_memory_but_what_is_bounded(tmp_path):
    settings = Settings(port=0, supervision=QUICK, store="sqlite", data=str(tmp_path))
    with CentralSystem(settings) as system:
        run_sessions(system, 1)
        before = census()
        least = min(run_sessions(system, seed) for seed in (2, 3))
        after = census()
    grown = {name: number - before[name] for name, number in after.items()}
    assert before["SqliteStore._closed"] > 0
    assert {name for name, more in grown.items() if more >= least} <= BOUNDED, grown
