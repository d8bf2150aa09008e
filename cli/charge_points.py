"""The command `charge-points`: charge points that are connected or known, and their facts."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from .api import asks_server
from .charge_point_choice import narrows, pages
from .completion import charge_points_like
from .escape import as_json
from .failures import CommandMisused
from .options import BEFORE, CP, JSON, LIMIT, MAX_LIMIT, RAW
from .output import export, lists, moment, show_facts, show_table, shows, when
from .tickets import show_tickets_of
from .transactions import read_transactions, show_readings, show_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .api import Api

COLUMNS = (
    "charge point", "status", "vendor", "model", "firmware", "OCPP", "peer", "since", "heard", "registration", "flags",
)  # fmt: skip
EXPORTED = (
    "id", "name", "connected", "peer", "secure", "connected_at", "disconnected_at", "registration", "version", "vendor",
    "model", "firmware", "serial_numbers", "connectors", "power_w", "flags", "heard_at", "node", "worker",
)  # fmt: skip
SHOWN = ",".join(sorted({*EXPORTED} - {"power_w"}))
"""Members of rows that a table needs: power takes a query of its own."""
FACTS = (
    "id", "name", "version", "registration", "has_password", "security_profile", "deviations", "ignored",
)  # fmt: skip
HEX_DIGITS = re.compile(r"([0-9A-Fa-f]{2}){16,20}")
"""A password that may be meant as the digits of a key."""

OPEN = 100
"""Number of open transactions that are shown."""
READINGS = ("received_at", "charge_point", "connector_id", "transaction_id", "values", "flags")
QUIET = frozenset({"Available", "Charging", "Occupied", "Preparing", "Finishing", "Reserved"})
"""Statuses that nobody has to look at."""
EVENTS = 20
"""Number of recent events that are shown."""


def find_charge_points(
    api: Api,
    chosen: Mapping[str, str] | None = None,
    *,
    all_: bool = False,
    away: bool = False,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """List the connected charge points, those that are away, or all; narrowed by parameters of the API.

    Processes of the cluster that did not answer are named on standard error.
    """
    state = {"connected": "0" if away else "1"} if away or not all_ else {}
    stored = {"stored": "1"} if away or all_ else {}
    rows: list[dict[str, Any]] = []
    unanswered: set[str] = set()
    for page in pages(api, {**state, **stored, **(chosen or {})}, limit=limit):
        rows += page["charge_points"]
        unanswered |= {*page.get("unanswered", ())}
    if unanswered:
        text = f"no answer from {', '.join(sorted(unanswered))}: charge points of theirs may be missing"
        click.echo(f"chargehand: {text}", err=True)
    return rows


def found(api: Api, charge_point: str) -> dict[str, Any]:
    """Read one charge point: its facts, its last `events` and its `open_transactions`."""
    facts = api.get("charge-points", charge_point)
    events = api.get("charge-points", charge_point, "events", limit=str(EVENTS))
    open_ = read_transactions(api, {"charge_point": charge_point, "open": "1"}, OPEN)
    return facts | {"events": events["events"], "open_transactions": open_["transactions"]}


def enter(api: Api, charge_point: str, *, registration: str | None, password: str | None) -> dict[str, Any]:
    """Enter one before it comes, or set the password of any; how it is known then. Raises `CommandFailed`."""
    path = ("charge-points", charge_point)
    if password is not None:
        api.change("PUT", *path, "password", body=json.dumps({"password": password}))
        if registration is None and api.get(*path)["connected"]:
            return api.get(*path)
    entry = {"registration": registration} if registration is not None else {}
    return api.change("PUT", *path, body=json.dumps(entry))


def forget(api: Api, charge_point: str) -> None:
    """Forget one that is away. Raises `CommandFailed`."""
    api.change("DELETE", "charge-points", charge_point)


def show_charge_points(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [
        (
            row["id"],
            status_of(row["connectors"]),
            row["vendor"],
            row["model"],
            row["firmware"],
            row["version"],
            _peer(row),
            _since(row),
            when(row["heard_at"]),
            row["registration"],
            ", ".join(row["flags"]),
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "no charge point is as asked for", sparse=True)


def status_of(connectors: Sequence[Mapping[str, Any]]) -> str:
    """Write the statuses of connectors: `Faulted (GroundFailure) 2; Available 1, 3`, what is odd first.

    A connector has the number of its EVSE, and of several there also its own: 2.2.
    """
    places: dict[str, list[str]] = {}
    for one in connectors:
        error = f" ({one['error']})" if one["error"] not in ("", "NoError") else ""
        if one["evse"] == 0 and not error and one["status"] in QUIET and len(connectors) > 1:
            continue  # the whole charge point, of which there is nothing to say
        place = str(one["evse"]) if one["connector"] in (0, 1) else f"{one['evse']}.{one['connector']}"
        places.setdefault(one["status"] + error, []).append(place)
    ordered = sorted(places.items(), key=lambda found: (found[0] in QUIET, found[0]))
    return "; ".join(f"{status} {', '.join(numbers)}" for status, numbers in ordered)


def flat(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Make rows for CSV: the statuses of connectors are a text there."""
    for row in rows:
        yield {**row, "connectors": status_of(row["connectors"])}


def show_charge_point(row: Mapping[str, Any]) -> None:
    """Print one with all that is known of it."""
    facts = [
        (name.replace("_", " "), _fact(row[name])) for name in FACTS if row.get(name, "") not in ("", {})
    ]
    facts[1:1] = [("peer", _peer(row)), ("since", _since(row))]
    if row.get("new_key_since"):
        facts.append(("new key, not used yet, since", when(row["new_key_since"])))
    if row.get("new_security_profile") is not None:
        facts.append(("accepted security profile, not used yet", row["new_security_profile"]))
    certificate = (row.get("tls") or {}).get("certificate")
    if certificate:
        ends = f"{certificate['subject']}, until {when(certificate['not_after'])}"
        facts.append(("client certificate", ends))
    facts += sorted((row["boot"] or {}).items())
    show_facts(facts)
    charging = {
        one["connector_id"]: one["charging_state"]
        for one in row["open_transactions"]
        if one["charging_state"]
    }
    statuses = [
        (
            one["evse"],
            one["connector"],
            f"{one['status']}, {charging[one['evse']]}" if one["evse"] in charging else one["status"],
            one["error_code"],
            when(one["at"]),
            one["info"],
        )
        for one in row["statuses"]
    ]
    show_table(("evse", "connector", "status", "error", "at", "info"), statuses, "no connector is known")
    show_tickets_of(row["open_tickets"])
    events = [(when(one["received_at"]), one["kind"], as_json(one["data"])) for one in row["events"]]
    show_table(("received", "event", "what it said"), events, "no event is known")
    if row["open_transactions"]:
        show_rows(row["open_transactions"])


def _fact(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else as_json(value)


def _peer(row: Mapping[str, Any]) -> str:
    if not row["connected"]:
        return "away"
    return f"{row['peer']} (TLS)" if row["secure"] else str(row["peer"])


def _since(row: Mapping[str, Any]) -> str:
    """Format the time of the last connect, or disconnect."""
    return when(row["connected_at"] if row["connected"] else row["disconnected_at"])


HELP = ("-h", "--help")


class _ListsByItself(click.Group):
    """A group that lists when no command of its is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # What is completed may still become the name of a command.
        return super().parse_args(ctx, args if ctx.resilient_parsing and not args else self._named(args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or an option of `list`."""
        named = super().shell_complete(ctx, incomplete)
        return named + self.commands["list"].shell_complete(ctx, incomplete) if incomplete else named

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, self._named(args))

    @staticmethod
    def _named(args: list[str]) -> list[str]:
        unnamed = not args or (args[0].startswith("-") and args[0] not in HELP)
        return ["list", *args] if unnamed else args


@click.group(cls=_ListsByItself)
def charge_points() -> None:
    """Show, add and remove charge points. Without a subcommand, list the connected ones."""


@charge_points.command("list")
@click.option(
    "--all", "all_", is_flag=True, help="Include charge points that are offline or known only to the store."
)
@click.option("--away", is_flag=True, help="Only charge points that are offline or known only to the store.")
@narrows
@click.option("--limit", type=click.IntRange(1), help="Maximum number of rows; default: all.")
@lists(show_charge_points, "", EXPORTED, flat)
@asks_server
def list_charge_points(
    api: Api, *, all_: bool, away: bool, limit: int | None, chosen: Mapping[str, str]
) -> Any:
    """List the charge points that are connected, narrowed by filters; patterns are those of a shell.

    Each row has the statuses of the connectors, what is odd first.
    """
    return find_charge_points(api, {**chosen, "fields": SHOWN}, all_=all_, away=away, limit=limit)


@charge_points.command("show")
@CP
@shows(show_charge_point)
@asks_server
def show_one(api: Api, *, charge_point: str) -> Any:
    """Show one charge point: facts, connectors, open commands, recent events, open transactions."""
    return found(api, charge_point)


@charge_points.command("add")
@CP
@click.option(
    "--password",
    help="Password for Basic authentication, or its bytes as hex:... or base64:... Visible in process lists; prefer "
    "--password-stdin.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--registration",
    type=click.Choice(["Accepted", "Pending", "Rejected"]),
    help="Registration until the next BootNotification; default for a new charge point: Accepted.",
)
@asks_server
def add(
    api: Api, *, charge_point: str, password: str | None, password_stdin: bool, registration: str | None
) -> None:
    """Enter a charge point before it comes, or set its password."""
    if password_stdin:
        if password is not None:
            raise CommandMisused("--password and --password-stdin are one too many", "give one of them")
        try:
            password = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise CommandMisused(
                f"the password is not UTF-8: {error}", "give its bytes behind hex: or base64:"
            ) from error
    if password is not None and HEX_DIGITS.fullmatch(password):
        click.echo("the password is taken as its text; the bytes of a key go behind hex:", err=True)
    told = enter(api, charge_point, registration=registration, password=password)
    with_ = " and has a password" if told["has_password"] else ""
    click.echo(f"{charge_point} is {told['registration']}{with_}")


@charge_points.command("set")
@CP
@click.option(
    "--security-profile",
    type=click.IntRange(0, 3),
    required=True,
    help="Least security profile: 0 none, 1 a password, 2 TLS and a password, 3 TLS and a client certificate.",
)
@asks_server
def set_(api: Api, *, charge_point: str, security_profile: int) -> None:
    """Set the least security profile of a charge point for its next connections, higher or lower."""
    body = json.dumps({"security_profile": security_profile})
    told = api.change("PUT", "charge-points", charge_point, body=body)
    click.echo(f"{charge_point} has the least security profile {told['security_profile']}")


@charge_points.command("remove")
@CP
@asks_server
def remove(api: Api, *, charge_point: str) -> None:
    """Forget registration, password and security profile of one that is away. Its transactions stay."""
    forget(api, charge_point)
    click.echo(f"{charge_point} is forgotten")


APPLICANTS = (
    "charge_point", "connected", "peer", "first_seen_at", "last_seen_at", "state", "decided_by", "boot",
)  # fmt: skip


def show_applicants(told: Mapping[str, Any]) -> None:
    """Print applicants as a table."""
    rows = [
        (
            row["charge_point"],
            row["peer"] if row["connected"] else "away",
            when(row["first_seen_at"]),
            when(row["last_seen_at"]),
            row["state"],
            row["decided_by"],
            as_json(row["boot"]) if row["boot"] else "",
        )
        for row in told["applicants"]
    ]
    show_table(
        ("charge point", "peer", "first seen", "last seen", "state", "by", "boot"), rows, "no applicants"
    )


@charge_points.command("applicants")
@click.option(
    "--state",
    type=click.Choice(["waiting", "approved", "rejected"]),
    default="waiting",
    show_default=True,
    help="Applicants in this state.",
)
@lists(show_applicants, "applicants", APPLICANTS)
@asks_server
def list_applicants(api: Api, *, state: str) -> Any:
    """List charge points that nobody had entered, and that wait for approval (auth.unknown)."""
    return api.whole("applicants", "applicants", cursor="after", limit=str(MAX_LIMIT), state=state)


@charge_points.command("approve")
@click.argument("ids", metavar="CP...", nargs=-1, required=True, shell_complete=charge_points_like)
@asks_server
def approve(api: Api, *, ids: tuple[str, ...]) -> None:
    """Approve charge points: each is registered with its next BootNotification."""
    for charge_point in ids:
        api.change("POST", "applicants", charge_point, "approve")
        click.echo(f"{charge_point} is approved")


@charge_points.command("reject")
@click.argument("ids", metavar="CP...", nargs=-1, required=True, shell_complete=charge_points_like)
@asks_server
def reject(api: Api, *, ids: tuple[str, ...]) -> None:
    """Reject charge points: their connections are closed, and they get no others."""
    for charge_point in ids:
        api.change("POST", "applicants", charge_point, "reject")
        click.echo(f"{charge_point} is rejected")


@charge_points.command("export")
@JSON
@RAW
@asks_server
def export_charge_points(api: Api, *, json: bool, raw: bool) -> None:
    """Print all that are known as CSV, or as JSON."""
    rows = find_charge_points(api, all_=True)
    export(rows if json else flat(rows), EXPORTED, sys.stdout.write, json=json, raw=raw)


@charge_points.command("readings")
@CP
@click.option(
    "--connector", type=click.IntRange(0), help="Only readings of this connector; 0 is the main meter."
)
@click.option(
    "--since", metavar="TIME", help="Only readings received at or after this time or day (see --times)."
)
@click.option("--until", metavar="TIME", help="Only readings received before this time or day (see --times).")
@click.option("--all", "all_", is_flag=True, help="Include the readings of its transactions.")
@BEFORE
@LIMIT
@lists(show_readings, "meter_readings", READINGS)
@asks_server
def list_readings(api: Api, *, charge_point: str, all_: bool, **options: Any) -> Any:
    """List the meter readings of a charge point that belong to no transaction, the newest first by receipt."""
    query = {name: str(value) for name, value in options.items() if value is not None}
    query |= {name: moment(query[name]) for name in ("since", "until") if name in query}
    return api.get("charge-points", charge_point, "meter-readings", **query, all=str(int(all_)))
