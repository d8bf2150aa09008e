"""`chargehand simulate`: a charge point that comes, charges a car, and goes or stays.

One rule: however it ends, it leaves no transaction running and no socket open, unless the connection itself is gone.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import gevent
from click.core import ParameterSource
from gevent.event import Event

from ..config.keys import InvalidKey, read_key
from ..protocol.handshake import HandshakeError
from ..simulator import Backoff, CallFailed, HandshakeRefused, NotPossible
from ..simulator.charging import CHARGING_W
from ..simulator.fleet import PROFILES
from ..simulator.fleet.fleet import MIXED
from ..simulator.models import MODELS
from .addresses import configured
from .completion import charge_points_like
from .configuration import read_settings
from .console_trace import ConsoleTrace
from .data_folder import DataFolder
from .failures import CommandFailed, CommandMisused
from .options import CONFIG, DATA
from .simulated_fleet import run_fleet
from .stop_signals import ended_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.settings import Settings
    from ..simulator.models import AnyChargePoint, AnyTransaction

POLL_S = 0.05
GOODBYE_S = 3.0
LOOK = "see the lines above, and the server's log"
"""Next step after a charging session that failed on its way."""
"""Seconds to report the last transactions when the simulator is stopped from outside."""
SECONDS_AN_HOUR = 3600
ACCEPTED = "Accepted"
OLDEST = next(iter(MODELS))
ALL = "all"
ONE_ALONE = ("tag", "connector", "duration_s", "interval_s", "keep")
FLEET_ALONE = ("profile", "speed", "days", "share", "seed", "sessions", "json")
"""Options of one charge point, and of a fleet."""
PREFIX = "SIM"
MISBEHAVIOURS = {
    name: [ocpp for ocpp, model in MODELS.items() if name in model.misbehaviours]
    for name in sorted({name for model in MODELS.values() for name in model.misbehaviours})
}
"""Versions of OCPP of the faults that a charge point can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Charging session to simulate: tag, connector, duration, meter interval; `keep` stays connected afterwards.

    With OCPP 2.0.1 the connector is an EVSE.
    """

    tag: str
    connector: int
    duration_s: float
    interval_s: int
    keep: bool
    ocpp: str = OLDEST
    misbehaviour: tuple[str, ...] = ()


def address(settings: Settings) -> str:
    """Return the ws address of the server of the data folder; without one, that of the settings."""
    for there in (DataFolder(settings.data).read_run(), configured(settings)):
        url = there.get("ws") or there.get("wss")
        if url:
            return str(url)
    raise CommandFailed("the settings have no endpoint for charge points", "name one with --url")


def play(
    url: str,
    identity: str,
    visit: Visit,
    *,
    password: bytes | None,
    cafile: str | None,
    say: Callable[[str], object],
) -> None:
    """Be a charge point until the visit is over, or a signal comes. Raises `CommandFailed`."""
    model = MODELS[visit.ocpp]
    try:
        charge_point, _ = model.make(
            url,
            identity,
            max(2, visit.connector),
            visit.interval_s,
            visit.misbehaviour,
            password=password,
            cafile=cafile,
            reconnect=Backoff() if visit.keep else None,
        )
    except OSError as error:  # it has opened nothing else yet
        raise CommandMisused(
            f"{cafile} cannot be used: {error.strerror or error}", "name a file in PEM with --cafile"
        ) from error
    diary = ConsoleTrace(charge_point.record, say, model.sentences)
    diary.line("connecting", charge_point.url)
    following = gevent.spawn(diary.follow)
    try:
        Simulation(charge_point, visit).run()
    finally:
        charge_point.close()
        following.kill()
        diary.catch_up()


class Simulation:
    """Simulation of one charge point's charging session."""

    def __init__(self, charge_point: AnyChargePoint, visit: Visit) -> None:
        self._charge_point = charge_point
        self._visit = visit
        self._over = Event()
        self._failure: CommandFailed | None = None

    def run(self) -> None:
        """Run until the session is over, or a signal comes."""
        visiting = gevent.spawn(self._run)
        visiting.link(lambda _: self._over.set())
        with ended_by_signals(self._over.set):
            self._over.wait()
        if not visiting.ready():
            visiting.kill()
            self._say_goodbye()
        visiting.get()  # an unexpected error
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        charge_point = self._charge_point
        try:
            self._come()
        except ValueError as error:
            self._failure = CommandMisused(str(error), "correct CP or --url")
        except HandshakeRefused as error:
            self._failure = CommandFailed(
                f"the central system refuses {charge_point.identity}: {error}",
                "see the server's log; 401 needs another --password, 404 another path in --url",
            )
        except (OSError, HandshakeError) as error:
            text = getattr(error, "strerror", None) or error
            self._failure = CommandFailed(
                f"no central system at {charge_point.url}: {text}",
                "start one with `chargehand serve`, or name another with --url or --data",
            )
        except (CallFailed, NotPossible) as error:
            self._failure = CommandFailed(str(error), LOOK)
        except CommandFailed as failure:
            self._failure = failure

    def _come(self) -> None:
        charge_point, visit = self._charge_point, self._visit
        charge_point.connect()
        if visit.keep:
            with suppress(CallFailed, NotPossible, CommandFailed):  # the trace has shown it
                self._charge()
            Event().wait()  # a signal ends it
        self._charge()
        if not charge_point.online:
            raise CommandFailed("the connection was lost", LOOK)

    def _charge(self) -> None:
        """Boot, charge and be free again. Raises `CommandFailed` if the central system will not have it."""
        charge_point, visit = self._charge_point, self._visit
        status = charge_point.boot().status
        if status != ACCEPTED and not visit.keep:
            raise CommandFailed(
                f"the central system has not accepted {charge_point.identity}: {status}",
                f"enter it (`chargehand charge-points add {charge_point.identity}`) or approve it, or wait with --keep",
            )
        charge_point.boot_sequence.accepted.wait()
        charge_point.plug_in(visit.connector)
        verdict: str | None = charge_point.authorize(visit.tag).status
        if verdict == ACCEPTED:
            verdict = self._transaction().verdict
        if charge_point.has_vehicle(visit.connector):
            charge_point.unplug(visit.connector)
        if charge_point.online:
            charge_point.backlog.empty.wait(GOODBYE_S)
        if verdict not in (ACCEPTED, None):  # None: it was offline
            raise CommandFailed(
                f"{visit.tag} may not charge: {verdict}",
                f"enter the tag (`chargehand tags add {visit.tag}`), or give another with --tag",
            )

    def _transaction(self) -> AnyTransaction:
        charge_point, visit = self._charge_point, self._visit
        begun = time.monotonic()
        transaction: AnyTransaction = charge_point.start(visit.tag, visit.connector)
        # It may end before: the central system stops it, refuses it, has the charge point restarted, or is gone.
        while transaction.running and (charge_point.online or visit.keep):
            left_s = begun + visit.duration_s - time.monotonic()
            if left_s <= 0:
                break
            gevent.sleep(min(left_s, POLL_S))
        if transaction.running:
            metered_wh = charge_point.meter_wh(visit.connector) - transaction.meter_start
            charged_wh = round(CHARGING_W * visit.duration_s / SECONDS_AN_HOUR)
            charge_point.meter(max(0, charged_wh - metered_wh), visit.connector)
        if transaction.running:
            charge_point.stop(visit.connector)
        return transaction

    def _say_goodbye(self) -> None:
        """Stop the open transactions, and report them if that can be done soon."""
        stopping = gevent.spawn(self._charge_point.charging.stop_all)
        stopping.join(GOODBYE_S)
        stopping.kill()


@click.command()
@click.argument("charge_point", metavar="[CP]", default="", shell_complete=charge_points_like)
@click.option("--url", help="WebSocket URL without the id; default: that of the data folder's server.")
@click.option("--tag", default="T1", show_default=True, help="Id tag to charge with.")
@click.option(
    "--connector", type=click.IntRange(1, 1000), default=1, show_default=True, help="Connector to charge on."
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Duration of the charging session in seconds.",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Seconds between meter readings.",
)
@click.option(
    "--ocpp",
    type=click.Choice([*MODELS, MIXED]),
    default=OLDEST,
    show_default=True,
    help="Version of OCPP; with 2.0.1 --connector is the EVSE; a fleet may be mixed.",
)
@click.option(
    "--misbehave",
    "misbehaviour",
    multiple=True,
    type=click.Choice([*MISBEHAVIOURS, ALL]),
    metavar="NAME",
    help="Fault to show; may be repeated, and `all` for a fleet. Their names are in the documentation.",
)
@click.option(
    "--stations", type=click.IntRange(1, 100_000), help="Simulate a fleet of so many charge points."
)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="home",
    show_default=True,
    help="Fleet: who comes when, with which vehicle.",
)
@click.option(
    "--speed",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    help="Fleet: simulated time goes so many times as fast as real time, as far as the server answers.",
)
@click.option(
    "--days",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Fleet: days of simulated time; they end now.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Fleet: share of charge points that misbehave, each in one of the ways of --misbehave.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Fleet: the same sessions again.")
@click.option(
    "--sessions", metavar="FILE", help="Fleet: write each session and its energy there, as JSON lines."
)
@click.option("--json", is_flag=True, help="Fleet: print the summary as JSON, for programs.")
@click.option("--password", help="Password for Basic authentication; default: from the settings.")
@click.option("--cafile", metavar="FILE", help="Certificates to trust (PEM), for wss.")
@click.option("--keep", is_flag=True, help="Stay connected afterwards and answer commands until Ctrl-C.")
@DATA
@CONFIG
def simulate(
    charge_point: str,
    *,
    config: str | None,
    data: str | None,
    url: str | None,
    password: str | None,
    cafile: str | None,
    stations: int | None,
    profile: str,
    speed: float,
    days: float,
    share: float,
    seed: int,
    sessions: str | None,
    json: bool,
    **visit: Any,
) -> None:
    """Simulate charge point CP: boot, run one charging session, disconnect. Each step is printed as a line.

    With --stations it is a fleet of them, CP-0001 and so on, with drivers that come and go.
    """
    _check(charge_point, visit["ocpp"], visit["misbehaviour"], fleet=stations is not None)
    settings = read_settings(config, {"data": data}, stores=False)
    address_ = url or address(settings)
    if stations is None:
        key = _key(settings, charge_point, password)
        play(address_, charge_point, Visit(**visit), password=key, cafile=cafile, say=click.echo)
        return
    misbehaviour = list(MISBEHAVIOURS) if ALL in visit["misbehaviour"] else visit["misbehaviour"]
    run_fleet(
        address_,
        json=json,
        sessions=sessions,
        stations=stations,
        profile=profile,
        ocpp=visit["ocpp"],
        speed=speed,
        days=days,
        seed=seed,
        prefix=charge_point or PREFIX,
        misbehaviour=misbehaviour,
        share=share,
        cafile=cafile,
        password_of=lambda identity: _key(settings, identity, password),
    )


def _check(charge_point: str, ocpp: str, misbehaviour: tuple[str, ...], *, fleet: bool) -> None:
    """Raise `CommandMisused` for options that do not fit each other."""
    context = click.get_current_context()
    for name in ONE_ALONE if fleet else FLEET_ALONE:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            fits = "does not fit --stations" if fleet else "needs --stations"
            raise CommandMisused(f"{option} {fits}", "leave one of them out" if fleet else "add that")
    if fleet:
        return
    if not charge_point:
        raise CommandMisused("CP is missing", "name a charge point, or give --stations")
    for name, value in (("--ocpp", ocpp), *(("--misbehave", name) for name in misbehaviour)):
        if value in (MIXED, ALL):
            raise CommandMisused(f"{name} {value} needs --stations", "add that, or choose one")
    for name in misbehaviour:
        if ocpp not in MISBEHAVIOURS[name]:
            raise CommandMisused(
                f"--misbehave {name} needs --ocpp {MISBEHAVIOURS[name][0]}",
                "add that, or leave the fault out",
            )


def _key(settings: Settings, charge_point: str, password: str | None) -> bytes | None:
    given = settings.auth.credentials.get(charge_point) if password is None else password
    try:
        return None if given is None else read_key(given)
    except InvalidKey as error:
        raise CommandMisused(f"--password: {error}", "write it as text, or its bytes behind hex:") from error
