"""This checkout against another one: `make against OTHER=../older`, each with an environment of its own.

Its one rule: both servers run at once on the same core, and short turns alternate between them, so that what a
machine does meanwhile (its neighbours, its clock) falls on both; both start afresh each round, for two processes of one
program differ too. A figure is the median of the rounds' ratios, with its quartiles; over 1 is better here, for calls
per second and for memory alike.
"""

import argparse
import statistics
from contextlib import ExitStack
from pathlib import Path

from contestants import HERE, Contestant, Running, running
from load import call
from machine import cores, make_room
from scenarios import IDLE_S, Plan, memory

TRANSPORTS = ("reactor", "greenlet")


def contestant(checkout: Path, transport: str, store: str) -> Contestant:
    """The server of a checkout, run by the Python of its own environment."""
    python = checkout.resolve() / ".venv" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{checkout} has no .venv: run `make .venv/installed` in it first")
    return Contestant(
        name=str(checkout),
        what=transport,
        command=lambda port, data: [
            *(str(python), "-m", "chargehand", "serve", "--transport", transport, "--port", str(port)),
            *("--http-port", "0", "--store", store, "--data", str(data)),
        ],
    )


def summary(ratios: list[float]) -> str:
    """Median and quartiles of some ratios."""
    if len(ratios) < 2:
        return f"{ratios[0]:.3f} (one round)"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} (quartiles {low:.3f} to {high:.3f}, {len(ratios)} rounds)"


def speed(
    pair: tuple[Contestant, Contestant], rounds: int, turns: int, connections: int, seconds: float
) -> str:
    """Ratio of the CPU time a call costs, other checkout to this one, at full load; fresh servers each round."""
    served, generator = cores()

    def turn(server: Running) -> float:
        return call(server, generator, connections=connections, seconds=seconds, warmup=0.2)["cpu_us"]

    ratios = []
    for _ in range(rounds):
        with ExitStack() as stack:
            here, other = servers = [stack.enter_context(running(one, served)) for one in pair]
            for server in servers:
                turn(server)
            spent: dict[int, list[float]] = {server.pid: [] for server in servers}
            for number in range(turns):
                # Who goes first alternates too.
                for server in servers if number % 2 == 0 else servers[::-1]:
                    spent[server.pid].append(turn(server))
            pairs = zip(spent[other.pid], spent[here.pid], strict=True)
            ratios.append(statistics.median(theirs / ours for theirs, ours in pairs))
    return summary(ratios)


def kib(pair: tuple[Contestant, Contestant], turns: int, connections: int) -> str:
    """KiB per idle connection, here and there, by turns."""
    plan = Plan(
        rounds=1, seconds=IDLE_S, warmup=0, connections=connections, many=connections, growth=(), storm_rate=0
    )
    found: list[list[float]] = [[], []]
    for _ in range(turns):
        for place, one in enumerate(pair):
            with running(one, cores()[0]) as server:
                found[place].append(memory(server, plan)["kib"])
    here, other = (statistics.median(one) for one in found)
    return f"{here:.2f} here, {other:.2f} there: {other / here:.3f} (medians of {turns})"


def main() -> None:
    """Compare, and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--turns", type=int, default=6, help="pairs of turns in a round")
    parser.add_argument("--rounds", type=int, default=8, help="fresh starts of both; 0 leaves the speed out")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one turn")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--store", default="memory", choices=("memory", "sqlite"))
    parser.add_argument("--transport", action="append", choices=TRANSPORTS)
    parser.add_argument(
        "--idle", type=int, default=10_000, help="idle connections for the memory; 0 leaves it out"
    )
    parser.add_argument("--memory-turns", type=int, default=3)
    args = parser.parse_args()
    make_room(max(args.idle, args.connections))
    for transport in args.transport or TRANSPORTS:
        pair = contestant(HERE.parent, transport, args.store), contestant(args.other, transport, args.store)
        if args.rounds:
            ratio = speed(pair, args.rounds, args.turns, args.connections, args.seconds)
            print(f"{transport}: calls per CPU second {ratio}", flush=True)
        if args.idle:
            print(
                f"{transport}: KiB per idle charge point {kib(pair, args.memory_turns, args.idle)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
