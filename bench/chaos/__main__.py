"""`make chaos`: all kinds of faults at once, and no effect on the charge points that are not attacked.

    python bench/chaos [--seed 7] [--seconds 60] [--charge-points 200] [--transport reactor] [--ocpp mixed|1.6|2.0.1]
        [--patience 1] [--ping-interval 1]
    python bench/chaos --seconds 3 --charge-points 10 --plant open-ticket

Rule: any breach of any check fails the run. The seed decides which charge points are attacked, how, and in which
order; the exact timing depends on the machine.
"""

import logging
import sys
import time

import click
from checks import look
from dialects import DIALECTS
from fleet import MIXED
from plants import PLANTS
from rich.console import Console
from rich.table import Table
from run import Plan, Run

SHOWN = 5
"""Breaches of one check that are printed."""

CONSOLE = Console(width=None if sys.stdout.isatty() else 160)


def tables(run: Run) -> None:
    """Print the attacks that were made and the counters of the system."""
    for title, rows in (
        ("What was done to it", run.done),
        ("How handlers went wrong", run.fates),
        ("What the system counted", run.counts),
    ):
        table = Table(title=title, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right")
        for name, number in sorted(rows.items()):
            table.add_row(name, str(number))
        CONSOLE.print(table)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Decides everything that is left to chance.")
@click.option("--seconds", default=60.0, show_default=True, help="How long it is attacked.")
@click.option("--charge-points", default=200, show_default=True, type=click.IntRange(min=10))
@click.option(
    "--transport", default="greenlet", type=click.Choice(["greenlet", "reactor"]), show_default=True
)
@click.option(
    "--chance", default=0.0, help="Part of the handlers' calls that go wrong; 0 is 1 / charge points."
)
@click.option("--plant", default="", type=click.Choice(["", *PLANTS]), help="A fault that must be reported.")
@click.option(
    "--ocpp",
    default=MIXED,
    type=click.Choice([MIXED, *DIALECTS]),
    show_default=True,
    help="Version of OCPP of the charge points.",
)
@click.option(
    "--patience",
    default=1.0,
    show_default=True,
    help="Factor of all times within which something must happen: more where the machine is slow.",
)
@click.option("--ping-interval", default=1.0, show_default=True, help="Seconds between the server's pings.")
@click.option("--log", default="", help="File for the system's own log.")
@click.option("--quiet", is_flag=True, help="Print only the checks.")
def main(log: str, chance: float, charge_points: int, *, quiet: bool, **asked: object) -> None:
    """Print a table of checks; the exit status is 1 if any of them was broken."""
    form = "%(relativeCreated)8d %(levelname)s %(name)s: %(message)s"
    level = logging.INFO if log else logging.CRITICAL + 1
    logging.basicConfig(filename=log or None, filemode="w", level=level, format=form)
    begun_at = time.monotonic()
    chance = chance or 1 / charge_points  # the rate of failures does not depend on the fleet's size
    plan = Plan(chance=chance, charge_points=charge_points, **asked)  # type: ignore[arg-type]
    run = Run(plan, lambda line: CONSOLE.print(f"{time.monotonic() - begun_at:6.1f} s  {line}"))
    checks = list(look(run.run()))
    if not quiet:
        tables(run)
    table = Table(title=f"{plan.charge_points} charge points, {plan.seconds:g} s, seed {plan.seed}")
    for name in ("", "what must hold", "what was seen"):
        table.add_column(name)
    for check in checks:
        table.add_row("[red]BROKEN" if check.breaches else "[green]held", check.what, check.seen)
    CONSOLE.print(table)
    for check in checks:
        for breach in check.breaches[:SHOWN]:
            CONSOLE.print(f"BROKEN {check.what}: {breach}", style="red", markup=False)
        if len(check.breaches) > SHOWN:
            CONSOLE.print(f"BROKEN {check.what}: and {len(check.breaches) - SHOWN} more", style="red")
    sys.exit(any(check.breaches for check in checks))


if __name__ == "__main__":
    main()
