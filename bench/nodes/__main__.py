"""`make nodes`: two nodes, two plugin hosts, Redis and PostgreSQL behind one address, and each of them killed in turn.

    python bench/nodes [--charge-points 500] [--quiet-s 5] [--seed 1]
        [--upgrade-from PYTHON] [--upgrade-to MODULE]

Every CALL must be answered or lose its socket, every ticket must end, no command may reach a charge point twice, and
every acknowledged message must be in the database once. The address is HAProxy's if it is installed; otherwise each
charge point chooses a node by chance. With one of the last two nothing is killed: nodes and plugin hosts run with the
chargehand of another Python at first, or of this one, and are stopped in order, and started with the module of this
one (`future_version`: a version to come), one after the other. The exit
status is 1 if anything of this does not hold.
"""

import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

import click
import gevent
from commands import Commander
from deployment import Deployment, NotHere
from rich.console import Console
from rich.table import Table
from station import Station, Tally

sys.path.insert(0, str(Path(__file__).parents[1] / "killtest"))
from checks import check

from chargehand.tests.postgres_process import NoPostgres, PostgresProcess

CONSOLE = Console(width=None if sys.stdout.isatty() else 120)
FAULTS_SHOWN = 20
AWAY_S = 2.0  # between a kill and the new start
BACK_S = 120.0
DRAIN_S = 120.0


def run(
    deployment: Deployment, charge_points: int, quiet_s: float, seed: int, upgrade_to: str = ""
) -> tuple[Tally, Commander, list[str]]:
    """Run the load, and kill one process after the other, or upgrade it."""
    tally, chance, faults = Tally(), random.Random(seed), []
    stations = [Station(f"CP{number}", deployment.addresses, tally, seed) for number in range(charge_points)]
    running = [gevent.spawn(station.run) for station in stations]
    commander = Commander(deployment, [station.name for station in stations], chance, tally)
    if not settled(stations, BACK_S):
        faults.append("not every charge point is connected at the beginning")
    commander.start()
    gevent.sleep(quiet_s)
    done = "upgraded" if upgrade_to else "killed"
    for what, end, start in deployment.upgraded(upgrade_to) if upgrade_to else deployment.victims():
        begun_at = time.monotonic()
        CONSOLE.print(f"{what} is {done}")
        end()
        if not upgrade_to:
            gevent.sleep(AWAY_S)
        start()
        gevent.sleep(quiet_s)
        if not settled(stations, BACK_S):
            faults.append(f"not every charge point is back after {what} was {done}")
        tally.longest_away_s[f"{what} {done}"] = max(
            (station.away_s(begun_at) for station in stations), default=0.0
        )
    commander.stop()
    faults += commander.faults()
    for station in stations:
        station.end()
    gevent.joinall(running, timeout=DRAIN_S)
    gevent.killall(running)
    faults += tally.faults
    return tally, commander, faults


def settled(stations: list[Station], timeout_s: float) -> bool:
    """Tell if all stations are connected within the timeout."""
    ends_at = time.monotonic() + timeout_s
    while not all(station.online for station in stations):
        if time.monotonic() > ends_at:
            return False
        gevent.sleep(0.05)
    return True


@click.command()
@click.option("--charge-points", default=500, show_default=True)
@click.option("--quiet-s", default=5.0, show_default=True, help="Seconds between two kills.")
@click.option("--seed", default=1, show_default=True)
@click.option("--upgrade-from", metavar="PYTHON", help="Python that has the version to upgrade from.")
@click.option("--upgrade-to", metavar="MODULE", help="Module of the version to upgrade to.")
def main(
    *, charge_points: int, quiet_s: float, seed: int, upgrade_from: str | None, upgrade_to: str | None
) -> None:
    """Make the run and print its results."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodes-")))
        try:
            database = stack.enter_context(PostgresProcess(fsync=True))
            deployment = stack.enter_context(Deployment(folder, database.url, upgrade_from or sys.executable))
        except (NoPostgres, NotHere) as error:
            raise click.ClickException(str(error)) from error
        tally, commander, faults = run(
            deployment, charge_points, quiet_s, seed, upgrade_to or ("chargehand" if upgrade_from else "")
        )
        deployment.stop_nodes()
        counts, lost = check(tally.log, database.url, {})
        faults += lost
    table = Table("what", "figure")
    rows = {
        "charge points": charge_points,
        "address": deployment.balancer,
        "CALLs sent": tally.sent,
        "answered by a handler": tally.answered,
        "answered by a fallback": tally.fallback_taken,
        "cut off, the socket went down": tally.cut_off,
        "answer p50 ms": tally.percentile(50),
        "answer p99 ms": tally.percentile(99),
        **{f"longest away, {what}, s": round(away_s, 2) for what, away_s in tally.longest_away_s.items()},
        **commander.figures(),
        **counts,
        "faults": len(faults),
    }
    for what, figure in rows.items():
        table.add_row(what, f"{figure:,}" if isinstance(figure, int | float) else str(figure))
    CONSOLE.print(table)
    for fault in faults[:FAULTS_SHOWN]:
        CONSOLE.print(f"FAULT {fault}", style="red", markup=False, highlight=False)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
