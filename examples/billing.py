"""A plugin that writes ended transactions into a table of PostgreSQL by psycopg, in a host that is not patched.

Run it:    python examples/billing.py postgresql://user:password@host/database
psycopg waits in C, so its handler is `blocking`: it runs in a native thread, and the hub goes on. An event is delivered
at least once, and its id makes that exactly one row. While the database is away, it comes again, later and later.
"""

import sys
import tempfile

import gevent
import psycopg

from chargehand import CentralSystem, Plugin, Settings, TransactionEnded, on
from chargehand.simulator import ChargePoint

TABLE = """
CREATE TABLE IF NOT EXISTS charged (
    event text PRIMARY KEY,
    charge_point text NOT NULL,
    transaction_id bigint NOT NULL,
    id_tag text NOT NULL,
    energy_wh double precision,
    ended_at timestamptz NOT NULL
)
"""
ROW = "INSERT INTO charged VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (event) DO NOTHING"


class Billing(Plugin):
    """Consumer of the events of ended transactions; its position outlives the process, in the system's store."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    @on(TransactionEnded, blocking=True)
    def write(self, event: TransactionEnded) -> None:
        """Write one row, or fail: then the event comes again. A pool saves connecting, where ends are many."""
        ended = event.transaction
        row = (event.id, event.charge_point_id, ended.transaction_id, ended.id_tag, ended.energy_wh, event.at)
        options = "-c statement_timeout=5s"  # shorter than the handler's deadline, as any limit of a library
        with psycopg.connect(self.url, connect_timeout=5, options=options) as database:
            database.execute(ROW, row)


def main(url: str) -> None:
    """Serve two charge points that charge, and show the table."""
    with psycopg.connect(url) as database:
        database.execute(TABLE)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(port=0, store="sqlite", data=folder)
        with CentralSystem(settings, plugins=[Billing.spec(url)]) as system:
            for identity in ("CP1", "CP2"):
                with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", identity) as charge_point:
                    charge_point.charge("T1", wh=1500)
            rows: list[tuple[object, ...]] = []
            while len(rows) < 2:
                gevent.sleep(0.05)
                # Not in the hub: there the host's own queries would stop everybody, too.
                rows = gevent.get_hub().threadpool.apply(charged, (url,))
    for row in rows:
        print(*row)


def charged(url: str) -> list[tuple[object, ...]]:
    """Read the table."""
    with psycopg.connect(url) as database:
        query = "SELECT charge_point, id_tag, energy_wh FROM charged ORDER BY ended_at"
        return database.execute(query).fetchall()


if __name__ == "__main__":
    main(sys.argv[1])
