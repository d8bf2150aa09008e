"""Metrics of one process: every family that there is, and a sample of its numbers.

Numbers are kept by the parts that they are of. Depths are summed up when a sample is taken, in small steps, so that
nothing has to be counted on the way of a message. No label has a value that a charge point can choose.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gevent

from ..actors.plugin.cell import PluginCell
from ..protocol.histogram import SECONDS, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..actors.session.meter import CallMeter
    from .counters import Counters
    from .parts import Parts
    from .vitals import Vitals

AT_A_TIME = 200
"""Charge points that are looked at before others have their turn."""
JOULES_PER_WH = 3600.0
DAY_S = 86400.0
UNKNOWN_ACTION = "other"
"""Action of all calls that the version of their connection does not have."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STATM = "/proc/self/statm"

Labels = tuple[str, ...]
Number = float | Histogram
Sample = dict[str, list[tuple[Labels, Number]]]
"""Numbers by the name of their family, each with the values of its labels."""


class Family(NamedTuple):
    """Family of numbers. All but those `of_node` are of one process, and have the label `worker` before the others."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Labels
    meaning: str
    of_node: bool = False


def _calls() -> Iterator[Family]:
    action = ("version", "action")
    yield Family(
        "chargehand_calls_total",
        "counter",
        (*action, "outcome"),
        "Calls of charge points: answered or refused by a handler, fallback (answered in a handler's place), rejected "
        "(before any handler), unanswered (the connection was lost).",
    )
    yield Family(
        "chargehand_call_answer_seconds",
        "histogram",
        action,
        "Time from the receipt of a call to its answer, by a handler or in its place.",
    )
    yield Family(
        "chargehand_call_handler_seconds",
        "histogram",
        action,
        "Time from the start of a handler to its answer; at most that of the answer.",
    )
    yield Family(
        "chargehand_deviations_total",
        "counter",
        ("version", "code"),
        "Deviations from the specification, by the error code that the strict policy would answer.",
    )
    yield Family(
        "chargehand_commands_total", "counter", (*action, "state"), "Commands that ended, by final state."
    )
    yield Family(
        "chargehand_command_effects_total",
        "counter",
        (*action, "effect"),
        "Commands whose effect was awaited, by what came of it.",
    )
    yield Family(
        "chargehand_command_answer_seconds",
        "histogram",
        action,
        "Time from sending a command to a usable answer.",
    )
    yield Family("chargehand_open_commands", "gauge", ("state",), "Commands that have not ended, by state.")


def _sessions() -> Iterator[Family]:
    yield Family(
        "chargehand_connections", "gauge", ("version",), "Charge points that are connected, by version."
    )
    yield Family(
        "chargehand_connections_opened_total", "counter", ("version",), "Connections that were opened."
    )
    yield Family(
        "chargehand_charge_points",
        "gauge",
        (),
        "Charge points that the process knows, connected or not long ago.",
    )
    yield Family(
        "chargehand_received_bytes_total",
        "counter",
        ("endpoint",),
        "Bytes that charge points sent, counted by the kernel (Linux).",
    )
    yield Family(
        "chargehand_sent_bytes_total",
        "counter",
        ("endpoint",),
        "Bytes that charge points acknowledged, counted by the kernel (Linux).",
    )
    yield Family(
        "chargehand_inbox_messages", "gauge", (), "Messages in the inboxes of sessions, held ones too."
    )
    yield Family("chargehand_calls_in_flight", "gauge", (), "Calls that wait for the answer of a handler.")
    yield Family(
        "chargehand_queued_commands", "gauge", (), "Commands that wait in the queues of charge points."
    )
    yield Family("chargehand_outbox_bytes", "gauge", (), "Bytes that the kernel has not taken yet.")
    yield Family("chargehand_paused_connections", "gauge", (), "Connections that are not read for now.")
    yield Family("chargehand_takeovers_total", "counter", (), "Connections that replaced an open one.")
    yield Family(
        "chargehand_half_open_connections_total",
        "counter",
        (),
        "Connections given up because nothing was heard.",
    )
    yield Family(
        "chargehand_handshakes_refused_total", "counter", ("status",), "Handshakes refused, by HTTP status."
    )
    yield Family(
        "chargehand_rate_limited_total",
        "counter",
        ("limit",),
        "Times that a rate limit was hit: messages (sessions.messages_per_s, bytes_per_s), logins, http_logins, "
        "connections of an address that come too often (connection_rate) or are too many (connections), unknown "
        "charge points.",
    )
    yield Family(
        "chargehand_deadlines_passed_total", "counter", (), "Calls whose handler gave no answer in time."
    )
    yield Family("chargehand_session_crashes_total", "counter", (), "Sessions that crashed.")
    yield Family("chargehand_session_restarts_total", "counter", (), "Sessions that were started again.")
    yield Family(
        "chargehand_sessions_given_up_total",
        "counter",
        (),
        "Sessions that crashed too often, and were closed.",
    )
    yield Family(
        "chargehand_occurrences_total",
        "counter",
        ("kind",),
        "Everything else that is counted, by the name that observers get.",
    )


def _plugins() -> Iterator[Family]:
    plugin = ("plugin",)
    yield Family("chargehand_plugin_inbox_messages", "gauge", plugin, "Messages that wait for a plugin.")
    yield Family("chargehand_plugin_handlers", "gauge", plugin, "Handlers of a plugin that run or block now.")
    yield Family(
        "chargehand_plugin_restarts_total", "counter", plugin, "Times that a plugin was started again."
    )
    yield Family(
        "chargehand_plugin_quarantined", "gauge", plugin, "1 while a plugin is in quarantine, else 0."
    )
    yield Family(
        "chargehand_plugin_open_breakers", "gauge", plugin, "Circuit breakers of a plugin that are open."
    )
    yield Family("chargehand_plugin_crashes_total", "counter", (), "Plugins that crashed.")
    yield Family("chargehand_plugin_quarantines_total", "counter", (), "Plugins that were quarantined.")
    yield Family(
        "chargehand_consumer_events_total",
        "counter",
        ("consumer",),
        "Durable events that a consumer has taken.",
    )
    yield Family(
        "chargehand_consumer_waiting_events",
        "gauge",
        ("consumer",),
        "Durable events behind a consumer's position that it has not taken or passed over.",
    )


def _store() -> Iterator[Family]:
    yield Family("chargehand_store_commit_seconds", "histogram", (), "Time of a commit, of many rows mostly.")
    yield Family(
        "chargehand_store_rows_total", "counter", (), "Rows that were handed to a commit that succeeded."
    )
    yield Family("chargehand_store_failed_commits_total", "counter", (), "Commits that failed as a whole.")
    yield Family("chargehand_store_waiting", "gauge", (), "Writes and reads that wait for the database.")
    yield Family("chargehand_transactions_started_total", "counter", (), "Transactions that were started.")
    yield Family("chargehand_transactions_ended_total", "counter", (), "Transactions that have ended.")
    yield Family(
        "chargehand_energy_delivered_joules_total",
        "counter",
        (),
        "Energy of ended transactions, from their registers; where these are not told (OCPP 2.0.1) once it is derived.",
    )
    counted = "in the store, of all processes that share it; counted every ten seconds."
    yield Family(
        "chargehand_spooled_messages",
        "gauge",
        (),
        f"Messages that wait for redelivery {counted}",
        of_node=True,
    )
    yield Family(
        "chargehand_dead_letters",
        "gauge",
        ("kind",),
        f"Dead letters, of messages or events, {counted}",
        of_node=True,
    )
    yield Family("chargehand_open_transactions", "gauge", (), f"Open transactions {counted}", of_node=True)
    yield Family(
        "chargehand_store_bytes",
        "gauge",
        (),
        "Bytes of the store's file in the data folder and of its journal; of PostgreSQL those of its tables and their "
        "indexes, measured within the last quarter of an hour.",
        of_node=True,
    )
    yield Family(
        "chargehand_store_kind_bytes",
        "gauge",
        ("kind",),
        "Bytes of the records of a kind, with their indexes, at the last measurement.",
        of_node=True,
    )
    yield Family(
        "chargehand_store_kind_rows",
        "gauge",
        ("kind",),
        "About how many records of a kind there were at the last measurement.",
        of_node=True,
    )
    yield Family(
        "chargehand_store_growth_bytes_per_second",
        "gauge",
        (),
        "Growth of the records in the last week, or since the first measurement; not there before the second.",
        of_node=True,
    )
    yield Family(
        "chargehand_store_full_seconds",
        "gauge",
        (),
        "Seconds until the disk has no room for records (`resources.disk_stop_bytes`), at that growth; not there if it "
        "does not grow, nor for PostgreSQL without `resources.database_folder`.",
        of_node=True,
    )
    yield Family(
        "chargehand_retention_deleted_total",
        "counter",
        ("kind",),
        "Old records that were exported and deleted by this process (`retention`).",
    )
    yield Family(
        "chargehand_retention_pass_timestamp_seconds",
        "gauge",
        (),
        "End of the last whole pass of retention of this process, Unix time; not there before the first.",
    )
    yield Family(
        "chargehand_backup_timestamp_seconds",
        "gauge",
        (),
        "Time of the last backup that this process made by itself (`backup`), Unix time; not there before the first.",
    )


def _process() -> Iterator[Family]:
    yield Family(
        "chargehand_hub_lag_seconds",
        "histogram",
        (),
        "Lateness of the hub, looked at four times a second: how long everything has waited for its turn.",
    )
    yield Family("chargehand_check_ok", "gauge", ("check",), "1 if a check of /readyz is ok, else 0.")
    yield Family("chargehand_disk_free_bytes", "gauge", (), "Free bytes of the disk with the data folder.")
    yield Family(
        "chargehand_certificate_expiry_timestamp_seconds",
        "gauge",
        ("use", "name"),
        "End of a certificate or a revocation list of the TLS endpoints, Unix time.",
    )
    yield Family(
        "chargehand_lease_held", "gauge", (), "1 while the process has its lease, else 0; with several."
    )
    yield Family("chargehand_cluster_nodes", "gauge", (), "Processes with a lease; with several.")
    yield Family("chargehand_claims", "gauge", (), "Charge points that the process holds; with several.")
    yield Family("chargehand_forwarded_commands", "gauge", (), "Commands that another process has now.")
    yield Family("chargehand_hosted_commands", "gauge", (), "Commands of other processes that are here now.")
    yield Family("chargehand_process_cpu_seconds_total", "counter", (), "CPU time of the process.")
    yield Family("chargehand_process_resident_memory_bytes", "gauge", (), "Memory of the process (Linux).")
    yield Family("chargehand_process_start_time_seconds", "gauge", (), "Start of the system, Unix time.")
    yield Family("chargehand_build_info", "gauge", ("version", "python"), "1; its labels tell the build.")
    yield Family(
        "chargehand_worker_up",
        "gauge",
        ("worker",),
        "1 for a worker process whose numbers are here, 0 for one that is not there or did not answer.",
        of_node=True,
    )


FAMILIES: tuple[Family, ...] = (*_calls(), *_sessions(), *_plugins(), *_store(), *_process())
"""All families, in the order in which they are shown."""

COUNTED: Mapping[str, tuple[str, Labels]] = {
    "takeover": ("chargehand_takeovers_total", ()),
    "half_open": ("chargehand_half_open_connections_total", ()),
    "throttled": ("chargehand_rate_limited_total", ("messages",)),
    "login_limited": ("chargehand_rate_limited_total", ("logins",)),
    "http_login_limited": ("chargehand_rate_limited_total", ("http_logins",)),
    "connection_refused_rate": ("chargehand_rate_limited_total", ("connection_rate",)),
    "connection_refused_address": ("chargehand_rate_limited_total", ("connections",)),
    "unknown_limited": ("chargehand_rate_limited_total", ("unknown",)),
    "deadline_passed": ("chargehand_deadlines_passed_total", ()),
    "session_crashed": ("chargehand_session_crashes_total", ()),
    "session_restarted": ("chargehand_session_restarts_total", ()),
    "session_given_up": ("chargehand_sessions_given_up_total", ()),
    "plugin_crashed": ("chargehand_plugin_crashes_total", ()),
    "plugin_quarantined": ("chargehand_plugin_quarantines_total", ()),
}
"""Families of what observers are told of, by its name; they are there from the start."""
TOLD_ELSEWHERE = ("ticket_", "effect_", "deviation", "fallback", "call_refused", "plugin_restarted")
"""Beginnings of names whose numbers other families have."""
REFUSED = "handshake_refused_"


class Metrics:
    """Samples of one process."""

    def __init__(self, parts: Parts, counters: Counters, vitals: Vitals) -> None:
        self._parts = parts
        self._counters = counters
        self._vitals = vitals
        self._started_at = time.time()

    def sample(self) -> Sample:
        """Take a sample; switches greenlets."""
        found: Sample = {}
        for name, labels, number in self._numbers():
            found.setdefault(name, []).append((labels, number))
        return found

    def _numbers(self) -> Iterator[tuple[str, Labels, Number]]:
        yield from self._of_calls()
        yield from self._of_commands()
        yield from self._of_sessions()
        gevent.sleep(0)
        yield from self._of_connections()
        yield from self._of_counters()
        yield from self._of_plugins()
        yield from self._of_store()
        yield from self._of_process()

    def _of_calls(self) -> Iterator[tuple[str, Labels, Number]]:
        meter = self._parts.context.meter
        for action, calls in meter.calls.items():
            counts = outcomes(calls)
            if not any(counts.values()):
                continue
            labels = (action.version, action.name)
            for outcome, number in counts.items():
                yield "chargehand_calls_total", (*labels, outcome), number
            yield "chargehand_call_answer_seconds", labels, calls.answers
            yield "chargehand_call_handler_seconds", labels, calls.handlers
        for version, number in meter.unknown_calls.items():
            yield "chargehand_calls_total", (version, UNKNOWN_ACTION, "rejected"), number
        for labels, number in meter.deviations.items():
            yield "chargehand_deviations_total", labels, number
        for version, number in meter.connections.items():
            yield "chargehand_connections_opened_total", (version,), number

    def _of_commands(self) -> Iterator[tuple[str, Labels, Number]]:
        meter = self._parts.context.meter
        for ended, number in meter.commands.items():
            yield "chargehand_commands_total", ended, number
        for effect, number in meter.effects.items():
            yield "chargehand_command_effects_total", effect, number
        for labels, times in meter.command_times.items():
            yield "chargehand_command_answer_seconds", labels, times
        states = Counter(str(ticket.state) for ticket in self._parts.registry.open_tickets())
        for state in ("held", "queued", "sent"):
            yield "chargehand_open_commands", (state,), states[state]

    def _of_sessions(self) -> Iterator[tuple[str, Labels, Number]]:
        parts = self._parts
        connected: Counter[str] = Counter(
            dict.fromkeys((rules.version.name for rules in parts.context.rules_of.values()), 0)
        )
        inbox = in_flight = queued = 0
        cells = list(parts.directory)
        for number, cell in enumerate(cells, 1):
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
            session = cell.session
            if cell.connection is not None:
                connected[cell.charge_point.version] += 1
                in_flight += len(session.incoming)
            inbox += cell.depth
            if session.calls is not None:
                queued += len(session.calls.waiting)
        for version, some in connected.items():
            yield "chargehand_connections", (version,), some
        yield "chargehand_charge_points", (), len(cells)
        yield "chargehand_inbox_messages", (), inbox
        yield "chargehand_calls_in_flight", (), in_flight
        yield "chargehand_queued_commands", (), queued

    def _of_connections(self) -> Iterator[tuple[str, Labels, Number]]:
        parts = self._parts
        traffic = {
            name: [transport.traffic.received_bytes, transport.traffic.sent_bytes]
            for name, transport in parts.tree.transports.items()
        }
        outbox = paused = 0
        for number, connection in enumerate(list(parts.connections), 1):
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
            outbox += connection.outbox_bytes
            paused += bool(connection.paused)
            bytes_of = traffic.get("wss" if connection.secure else "ws")
            if bytes_of is not None and connection.open:
                received, sent = connection.traffic()
                bytes_of[0] += received
                bytes_of[1] += sent
        for endpoint, (received, sent) in traffic.items():
            yield "chargehand_received_bytes_total", (endpoint,), received
            yield "chargehand_sent_bytes_total", (endpoint,), sent
        yield "chargehand_outbox_bytes", (), outbox
        yield "chargehand_paused_connections", (), paused

    def _of_counters(self) -> Iterator[tuple[str, Labels, Number]]:
        counts = self._counters.counts
        for name, (family, labels) in COUNTED.items():
            yield family, labels, counts.get(name, 0)
        for name, number in list(counts.items()):
            if name.startswith(REFUSED):
                yield "chargehand_handshakes_refused_total", (name.removeprefix(REFUSED),), number
            elif name not in COUNTED and not name.startswith(TOLD_ELSEWHERE):
                yield "chargehand_occurrences_total", (name,), number

    def _of_plugins(self) -> Iterator[tuple[str, Labels, Number]]:
        plugins: Any = self._parts.tree.cells.get("plugins")
        supervisor = None if plugins is None else plugins.actor
        for child in () if supervisor is None else list(supervisor.children):
            cell = child.cell
            if not isinstance(cell, PluginCell):
                continue
            label = (child.spec.id,)
            yield "chargehand_plugin_inbox_messages", label, cell.depth
            yield "chargehand_plugin_handlers", label, len(cell.ordering_keys)
            yield "chargehand_plugin_restarts_total", label, child.budget.total
            yield "chargehand_plugin_quarantined", label, int(cell.quarantined)
            yield "chargehand_plugin_open_breakers", label, len(cell.breakers.list_open())
        for consumer in self._parts.durable_events.progress():
            yield "chargehand_consumer_events_total", (consumer.name,), consumer.taken
            yield "chargehand_consumer_waiting_events", (consumer.name,), consumer.waiting

    def _of_store(self) -> Iterator[tuple[str, Labels, Number]]:
        store, figures = self._parts.store, self._vitals.figures
        meter = store.meter
        yield "chargehand_store_commit_seconds", (), meter.commits
        yield "chargehand_store_rows_total", (), meter.rows
        yield "chargehand_store_failed_commits_total", (), meter.failed
        yield "chargehand_store_waiting", (), store.depth
        yield "chargehand_transactions_started_total", (), meter.started
        yield "chargehand_transactions_ended_total", (), meter.ended
        yield "chargehand_energy_delivered_joules_total", (), meter.energy_wh * JOULES_PER_WH
        if figures is not None:
            yield "chargehand_spooled_messages", (), figures.spooled
            yield "chargehand_dead_letters", ("message",), figures.dead_letters
            yield "chargehand_dead_letters", ("event",), figures.dead_events
            yield "chargehand_open_transactions", (), figures.open_transactions
        yield from self._of_size()
        retention = self._parts.upkeep.retention
        for kind in retention.days:
            yield "chargehand_retention_deleted_total", (kind,), retention.deleted[kind]
        backups = self._parts.upkeep.backups
        if backups.last is not None:
            yield "chargehand_backup_timestamp_seconds", (), backups.last.timestamp()
        if retention.last is not None:
            yield "chargehand_retention_pass_timestamp_seconds", (), retention.last.ended_at.timestamp()

    def _of_size(self) -> Iterator[tuple[str, Labels, Number]]:
        sizes = self._parts.store_sizes
        measured, growth, days = sizes.last, sizes.growth_bytes_per_day, sizes.full_in_days
        size = self._vitals.store_bytes
        if size is None and measured is not None:
            size = measured.size_bytes
        if size is not None:
            yield "chargehand_store_bytes", (), size
        if measured is not None:
            for kind, size_bytes in measured.kinds.items():
                yield "chargehand_store_kind_bytes", (kind,), size_bytes
            for kind, rows in measured.rows.items():
                yield "chargehand_store_kind_rows", (kind,), rows
        if growth is not None:
            yield "chargehand_store_growth_bytes_per_second", (), growth / DAY_S
        if days is not None:
            yield "chargehand_store_full_seconds", (), days * DAY_S

    def _of_process(self) -> Iterator[tuple[str, Labels, Number]]:
        vitals = self._vitals
        yield "chargehand_hub_lag_seconds", (), vitals.lag
        for check in vitals.checks():
            yield "chargehand_check_ok", (check.name,), int(check.ok)
        free = vitals.free_bytes
        if free is not None:
            yield "chargehand_disk_free_bytes", (), free
        ends: dict[Labels, list[float]] = {}
        for row in self._parts.tls_files.view():
            if row["expires_at"] is not None:
                ends.setdefault((row["use"], row["name"]), []).append(row["expires_at"].timestamp())
        for of, times in ends.items():
            yield "chargehand_certificate_expiry_timestamp_seconds", of, min(times)
        membership = self._parts.membership
        if membership is not None:
            cluster = membership.cluster
            yield "chargehand_lease_held", (), int(cluster.coordinator.held)
            yield "chargehand_cluster_nodes", (), len(cluster.nodes())
            yield "chargehand_claims", (), len(cluster.claims)
            yield "chargehand_forwarded_commands", (), len(cluster.forwarded)
            yield "chargehand_hosted_commands", (), len(cluster.hosted)
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield "chargehand_process_cpu_seconds_total", (), used.ru_utime + used.ru_stime
        memory = resident_bytes()
        if memory is not None:
            yield "chargehand_process_resident_memory_bytes", (), memory
        yield "chargehand_process_start_time_seconds", (), self._started_at


def outcomes(calls: CallMeter) -> dict[str, int]:
    """Return the numbers of calls of an action by outcome."""
    return {
        "answered": calls.answered,
        "refused": calls.refused,
        "fallback": calls.fallback,
        "rejected": calls.rejected,
        "unanswered": calls.unanswered,
    }


def resident_bytes() -> int | None:
    """Return the memory of this process; None where the system does not tell."""
    try:
        with open(STATM, encoding="ascii") as file:  # noqa: PTH123 - no path to work with
            return int(file.read().split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def packed(sample: Sample) -> dict[str, list[Any]]:
    """Turn a sample into what JSON has, for another process of the node."""
    return {
        name: [
            [labels, [number.counts, number.sum] if isinstance(number, Histogram) else number]
            for labels, number in numbers
        ]
        for name, numbers in sample.items()
    }


def unpacked(told: Mapping[str, Iterable[Any]]) -> Sample:
    """Turn what another process has told back into a sample."""
    found: Sample = {}
    for name, numbers in told.items():
        for labels, number in numbers:
            if isinstance(number, list):
                histogram = Histogram()
                histogram.counts, histogram.sum = list(number[0]), float(number[1])
                found.setdefault(name, []).append((tuple(labels), histogram))
            else:
                found.setdefault(name, []).append((tuple(labels), number))
    return found


BOUNDS: tuple[str, ...] = (*map(str, SECONDS), "+Inf")
"""Upper bounds of all histograms, as labels have them."""
