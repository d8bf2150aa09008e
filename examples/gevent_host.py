"""The central system in a gevent program that does something of its own meanwhile: it knows who is charging.

Run it:    python examples/gevent_host.py
"""

import gevent

from chargehand import CentralSystem, Settings, StatusChanged
from chargehand.simulator import ChargePoint


def main() -> None:
    """Start the system beside the program's own greenlets, and follow the statuses of connectors."""
    charging: set[str] = set()

    def changed(event: StatusChanged) -> None:
        if event.status == "Charging":
            charging.add(event.charge_point_id)
        elif event.connector:
            charging.discard(event.charge_point_id)

    with CentralSystem(Settings(port=0, store="memory")) as system:
        system.subscribe(StatusChanged, changed)  # called in a greenlet of its own
        with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point:
            charge_point.boot()
            charge_point.plug_in()
            charge_point.start("T1")
            while not charging:
                gevent.sleep(0.01)  # the work of the program
            print("charging:", sorted(charging))
            charge_point.stop()
            charge_point.unplug()
            while charging:
                gevent.sleep(0.01)
            print("charging:", sorted(charging))


if __name__ == "__main__":
    main()
