"""Checks that must hold in every run, whatever the attacks: one row of the table each.

Rule: a check reports the breaches that it sees; it never excuses one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from attacks import Attacks
from commander import Commander
from fleet import Fleet
from inside import Hung
from msgspec import json
from truth import Truth
from watch import Restarts

from chargehand import TicketState
from chargehand.actors.session.tickets import OPEN

FIRST_RESTART_S = 1.0
UNTOUCHED_P99_S = 1.0
MARGIN_S = 0.5
"""Tolerance for times that a busy hub measures late."""


@dataclass(frozen=True, slots=True)
class Check:
    """Row of the table: the requirement (`what`), a summary of the evidence, and every breach."""

    what: str
    seen: str
    breaches: list[str]


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that the checks look at, collected when the load has ended."""

    fleet: Fleet
    commander: Commander
    attacks: Attacks
    truth: Truth
    restarts: Restarts
    ping_interval_s: float
    hang_limit_s: float
    patience: float
    hung: list[Hung]
    spooled: list[Any]  # messages in the spool, and dead letters
    unsettled: list[str]  # work that was not finished when the run had to end
    uncaught: list[str]
    open_tickets: int  # before the system was stopped
    left: list[str]  # after everything was closed


def calls_answered(evidence: Evidence) -> Check:
    """Check that every CALL was answered once, unless its socket was down."""
    tallies = [member.tally for member in evidence.fleet]
    calls, answered, excused = (
        sum(getattr(tally, name) for tally in tallies) for name in ("calls", "answered", "excused")
    )
    breaches = [breach for tally in tallies for breach in tally.breaches]
    breaches += [f"{tally.identity}: {tally.waiting} calls wait still" for tally in tallies if tally.waiting]
    breaches += [wrong for member in evidence.fleet for wrong in member.wrong]
    return Check(
        "every CALL was answered, once and as it asked, or its socket was down",
        f"{calls} calls: {answered} answered, {excused} with the socket",
        breaches,
    )


def nothing_false(evidence: Evidence) -> Check:
    """Check that no transaction message was refused."""
    lies = [lie for member in evidence.fleet for lie in member.tally.lies]
    lies += [f"{member.identity} got no acknowledgement" for member in evidence.fleet if member.unsent]
    seen = sum(len(member.acknowledged) for member in evidence.fleet)
    return Check("no message of a transaction was refused", f"{seen} acknowledged", lies)


def nothing_lost(evidence: Evidence) -> Check:
    """Check that every acknowledged message is with its plugin or in the spool."""
    in_spool: dict[str, set[int]] = {}
    for record in evidence.spooled:
        in_spool.setdefault(record.charge_point_id, set()).add(_number(record))
    breaches = []
    for member in evidence.fleet:
        kept = set(evidence.truth.kept.get(member.identity, ()))
        lost = set(member.acknowledged) - kept - in_spool.get(member.identity, set())
        breaches += [f"{member.identity}: number {number} is nowhere" for number in sorted(lost)]
    kept_all = sum(len(set(kept)) for kept in evidence.truth.kept.values())
    spooled = sum(map(len, in_spool.values()))
    return Check(
        "every acknowledged message is with its plugin or in the spool",
        f"{kept_all} with plugins, {spooled} in the spool or dead letters",
        breaches,
    )


def _number(record: Any) -> int:
    payload = json.decode(record.payload)
    if record.action in ("MeterValues", "TransactionEvent"):
        return int(payload["meterValue"][0]["sampledValue"][0]["value"])
    number: int = payload["meterStart" if record.action == "StartTransaction" else "meterStop"]
    return number


def in_order(evidence: Evidence) -> Check:
    """Check that plugins got the transaction messages of each charge point in order."""
    breaches = []
    for identity, kept in evidence.truth.kept.items():
        first_time = list(dict.fromkeys(kept))
        if first_time != sorted(first_time):
            place = next(i for i in range(1, len(first_time)) if first_time[i] < first_time[i - 1])
            breaches.append(f"{identity}: {first_time[place]} came after {first_time[place - 1]}")
    return Check(
        "plugins got the transaction messages of a charge point in order",
        f"{evidence.restarts.counts.get('redelivered', 0)} of them out of the spool",
        breaches,
    )


def transaction_ids(evidence: Evidence) -> Check:
    """Check that no transaction id was allotted twice."""
    owners: dict[int, str] = {}
    breaches = []
    for member in evidence.fleet:
        for number in member.transactions:
            if number in owners:
                breaches.append(f"{member.identity} and {owners[number]} both have transaction {number}")
            owners[number] = member.identity
    return Check("no transaction id was given twice", f"{len(owners)} transactions", breaches)


def tickets_ended(evidence: Evidence) -> Check:
    """Check that every ticket ended, in exactly one final state."""
    issues, counts = evidence.commander.issues, evidence.restarts.counts
    states: dict[TicketState, int] = {}
    breaches = [
        f"{issue.ticket!r} ({issue.kind}) was never seen to end" for issue in issues if issue.ended is None
    ]
    for issue in issues:
        ticket = issue.ticket
        states[ticket.state] = states.get(ticket.state, 0) + 1
        if issue.ended is not None and issue.ended != (ticket.state, ticket.ended_at):
            breaches.append(f"{ticket!r} ended as {issue.ended[0]} before")
    for ticket_id, times in evidence.truth.outcomes.items():
        if times > 1:
            breaches.append(f"ticket {ticket_id}: its end was told {times} times")
    for state in TicketState:
        counted = counts.get(f"ticket_{state}", 0)
        if state in OPEN:
            continue
        others = counted - states.get(state, 0)
        if others < 0:
            breaches.append(f"{states[state]} tickets are {state}, and {counted} were counted")
    if evidence.open_tickets:
        breaches.append(f"{evidence.open_tickets} tickets were open when the system was stopped")
    shown = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return Check("every ticket has exactly one final state", f"{len(issues)} tickets: {shown}", breaches)


def own_responses(evidence: Evidence) -> Check:
    """Check that no ticket has the response of another."""
    issues = evidence.commander.issues
    late = sum(issue.ticket.late_answer is not None for issue in issues)
    return Check(
        "no ticket has the response of another",
        f"{sum(issue.ticket.response is not None for issue in issues)} responses, {late} late ones",
        [
            f"{issue.ticket!r} has the response to {issue.token_seen}, not {issue.token}"
            for issue in issues
            if issue.token_seen != issue.token
        ],
    )


def untouched(evidence: Evidence) -> Check:
    """Check that untouched charge points lost no connection and no answer."""
    tallies = [member.tally for member in evidence.fleet.untouched]
    breaches = [f"{tally.identity} lost its socket {tally.losses} times" for tally in tallies if tally.losses]
    breaches += [breach for tally in tallies for breach in tally.breaches]
    breaches += [
        f"{tally.identity}: {tally.excused} calls were excused" for tally in tallies if tally.excused
    ]
    answers = sum(len(tally.latencies) for tally in tallies)
    return Check(
        "untouched charge points saw no drop and no missing answer",
        f"{len(tallies)} charge points, {answers} answers",
        breaches,
    )


def untouched_in_time(evidence: Evidence) -> Check:
    """Check the latency of untouched charge points.

    The bound is generous, because the whole fleet runs on the same core as the system.
    """
    limit_s = UNTOUCHED_P99_S * evidence.patience
    latencies = [latency for member in evidence.fleet.untouched for latency in member.tally.latencies]
    percentiles = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    p50, p99 = percentiles[49], percentiles[98]
    return Check(
        f"untouched charge points had their answers in time (p99 within {limit_s:g} s)",
        f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms",
        [f"the p99 was {p99:.2f} s"] if p99 > limit_s else [],
    )


def first_restarts(evidence: Evidence) -> Check:
    """Check the time of first restarts of sessions and plugins."""
    limit_s = FIRST_RESTART_S * evidence.patience
    delays = list(evidence.restarts.delays)
    breaches = [f"the session of {name} never came back" for name in evidence.restarts.crashed]
    for kill in evidence.attacks.kills:
        back = next((at for at in evidence.truth.starts.get(kill.plugin, ()) if at >= kill.at), None)
        if back is None:
            breaches.append(f"the plugin {kill.plugin} never came back")
        else:
            delays.append((kill.plugin, back - kill.at))
    breaches += [f"{name} came back after {delay:.2f} s" for name, delay in delays if delay > limit_s]
    longest = max((delay for _, delay in delays), default=0.0)
    return Check(
        f"first restarts came within {limit_s:g} s",
        f"{len(delays)} first restarts, the longest after {longest * 1000:.1f} ms",
        breaches,
    )


def hangs_ended(evidence: Evidence) -> Check:
    """Check that hanging sessions were at work again in time."""
    hung = evidence.hung
    longest = max((one.over_after_s or 0.0 for one in hung), default=0.0)
    return Check(
        f"sessions that hung were at work again within {evidence.hang_limit_s:g} s",
        f"{len(hung)} hung, the longest for {longest:.2f} s",
        [f"{one.identity}: it hangs still" for one in hung if one.over_after_s is None],
    )


def half_open_found(evidence: Evidence) -> Check:
    """Check that half-open sockets were found in time."""
    limit_s = 2 * evidence.ping_interval_s + MARGIN_S * evidence.patience
    found = [one for one in evidence.attacks.half_open if one.found_after_s is not None]
    longest = max((one.found_after_s or 0.0 for one in found), default=0.0)
    breaches = [
        f"{one.identity}: not noticed" for one in evidence.attacks.half_open if one.found_after_s is None
    ]
    breaches += [
        f"{one.identity}: noticed after {one.found_after_s:.2f} s"
        for one in found
        if (one.found_after_s or 0.0) > limit_s
    ]
    return Check(
        f"half-open sockets were found within twice the ping interval ({evidence.ping_interval_s:g} s)",
        f"{len(found)} found, the longest after {longest:.2f} s",
        breaches,
    )


def all_back(evidence: Evidence) -> Check:
    """Check that the system settled and every charge point is connected again."""
    return Check("in the end the system settled and every charge point is back", "", evidence.unsettled)


def nothing_uncaught(evidence: Evidence) -> Check:
    """Check that no error reached the hub."""
    return Check("no error reached the hub", "", evidence.uncaught)


def nothing_left(evidence: Evidence) -> Check:
    """Check that no greenlet, actor or socket is left."""
    return Check("no greenlet, actor or socket is left", "", evidence.left)


CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    calls_answered,
    nothing_false,
    nothing_lost,
    in_order,
    transaction_ids,
    tickets_ended,
    own_responses,
    untouched,
    untouched_in_time,
    first_restarts,
    hangs_ended,
    half_open_found,
    all_back,
    nothing_uncaught,
    nothing_left,
)


def look(evidence: Evidence) -> Iterator[Check]:
    """Make all checks."""
    for check in CHECKS:
        yield check(evidence)
