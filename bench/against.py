"""Comparison of this checkout with another one: `make against OTHER=../older`.

Each checkout has an environment of its own. Both servers run at once on the same core, and short turns alternate
between them, so that disturbances of the machine (its neighbours, its clock) fall on both. Both are started afresh
in each round, because two processes of one program differ too. A figure is the median of the rounds' ratios, with
its quartiles; over 1 is better for this checkout, for calls per second and for memory alike.
"""

import argparse
import statistics
from contextlib import ExitStack
from pathlib import Path

from beside import with_certificate, without_tls
from contestants import HERE, Contestant, Running, at, ours, ours_with, running
from load import call
from machine import cores, make_room
from scenarios import IDLE_S, Plan, memory

TRANSPORTS = ("reactor", "greenlet")


def contestant(checkout: Path, transport: str, store: str, *, secure: bool) -> Contestant:
    """Return the server of a checkout, run by the Python of that checkout's environment."""
    python = checkout.resolve() / ".venv" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{checkout} has no .venv: run `make .venv/installed` in it first")
    name = str(checkout)
    if not secure:
        return at(Contestant(name, transport, ours(transport, store=store)), python)
    command = ours_with(transport, store=store, port="0")
    return at(Contestant(name, transport, command, rate=300, beside=with_certificate, secure=True), python)


def summary(ratios: list[float]) -> str:
    """Write the median and the quartiles of some ratios."""
    if len(ratios) < 2:
        return f"{ratios[0]:.3f} (one round)"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} (quartiles {low:.3f} to {high:.3f}, {len(ratios)} rounds)"


def speed(
    pair: tuple[Contestant, Contestant], rounds: int, turns: int, connections: int, seconds: float
) -> str:
    """Measure the ratio of CPU time per call at full load, other checkout to this one; fresh servers each round."""
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
                # The order alternates too.
                for server in servers if number % 2 == 0 else servers[::-1]:
                    spent[server.pid].append(turn(server))
            pairs = zip(spent[other.pid], spent[here.pid], strict=True)
            ratios.append(statistics.median(theirs / ours for theirs, ours in pairs))
    return summary(ratios)


def kib(pair: tuple[Contestant, Contestant], turns: int, connections: int) -> str:
    """Measure the KiB per idle connection of both checkouts, by turns."""
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
    """Compare both checkouts and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--turns", type=int, default=6, help="pairs of turns in a round")
    parser.add_argument("--rounds", type=int, default=8, help="fresh starts of both; 0 leaves the speed out")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one turn")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--store", default="memory", choices=("memory", "sqlite"))
    parser.add_argument("--tls", action="store_true", help="over wss")
    parser.add_argument("--transport", action="append", choices=TRANSPORTS)
    parser.add_argument(
        "--idle", type=int, default=10_000, help="idle connections for the memory; 0 leaves it out"
    )
    parser.add_argument("--memory-turns", type=int, default=3)
    args = parser.parse_args()
    if args.tls and (lack := without_tls()):
        raise SystemExit(lack)
    make_room(max(args.idle, args.connections))
    for transport in args.transport or TRANSPORTS:
        here, there = (
            contestant(place, transport, args.store, secure=args.tls) for place in (HERE.parent, args.other)
        )
        if args.rounds:
            ratio = speed((here, there), args.rounds, args.turns, args.connections, args.seconds)
            print(f"{transport}: calls per CPU second {ratio}", flush=True)
        if args.idle:
            print(
                f"{transport}: KiB per idle charge point {kib((here, there), args.memory_turns, args.idle)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
