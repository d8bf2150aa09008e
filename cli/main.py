"""The commands of `chargehand` and their options.

One rule: nothing is imported here that makes a socket or a lock. `serve` patches first, and then imports the system;
the other commands import what they need when they run.
"""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

import click

from .. import __version__
from .accepted_state_commands import profiles, reservations
from .charge_point_commands import charge_points
from .failures import FAILED
from .options import CONFIG, DATA, JSON, asks_server, echo_json
from .spool_commands import spool
from .store_commands import backup, check_store
from .tag_commands import tags
from .ticket_commands import tickets
from .transaction_commands import transactions

if TYPE_CHECKING:
    from .api import Api


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chargehand")
def main() -> None:
    """Run an OCPP 1.6-J central system: charge points connect to it, plugins and programs decide what they do."""


@main.command()
@CONFIG
@click.option("--host", help="Address for ws.")
@click.option("--port", type=int, help="Port for ws; 0 takes any free one.")
@click.option("--path", help="Path of a charge point, like /ocpp/{id}.")
@click.option("--http-port", "http_port", type=int, help="Port for the HTTP API; 0 takes any free one.")
@click.option("--http-open", "http_open", is_flag=True, help="Ask for no token over HTTP; on loopback only.")
@DATA
@click.option(
    "--transport",
    type=click.Choice(["greenlet", "reactor"]),
    help="How sockets are served: see the settings.",
)
@click.option(
    "--store",
    metavar="memory|sqlite|postgresql://…",
    help="Where transactions are kept: sqlite is a file in the data folder.",
)
@click.option("--redis", metavar="URL", help="Redis, for what more than one process takes part in.")
@click.option("--plugin", "plugins", multiple=True, metavar="MODULE:CLASS", help="A plugin; may be repeated.")
@click.option("--workers", type=int, help="Processes that serve the same ports.")
@click.option("--open", "open_", is_flag=True, help="Let any charge point in from any address.")
def serve(
    config: str | None,
    *,
    http_port: int | None,
    http_open: bool,
    plugins: tuple[str, ...],
    open_: bool,
    redis: str | None,
    **same: Any,
) -> None:
    """Serve charge points until SIGTERM or Ctrl-C.

    Every setting has a default; an option here wins over the environment, and that over the file.
    """
    from gevent import monkey  # noqa: PLC0415 - only here

    monkey.patch_all()

    from .program import serve as run  # noqa: PLC0415 - after the patch

    overrides = same | {
        "http.port": http_port,
        "http.open": http_open or None,
        "plugins": list(plugins) or None,
        "open": open_ or None,
        "redis.url": redis,
    }
    sys.exit(run(config, overrides))


@main.command(hidden=True)
def serve_worker() -> None:
    """Be one of the processes of `serve --workers`, which starts them and hands over what they need."""
    from gevent import monkey  # noqa: PLC0415 - only here

    monkey.patch_all()

    from .serve_worker import serve as run  # noqa: PLC0415 - after the patch

    sys.exit(run())


@main.command()
@CONFIG
@click.argument("plugin", metavar="MODULE:CLASS")
@click.option("--redis", metavar="URL", help="Redis, as the nodes have it.")
@click.option(
    "--group", default="default", show_default=True, help="The group of workers that this one is of."
)
@click.option(
    "--concurrency", type=click.IntRange(1), help="Calls of different charge points handled at once."
)
def worker(
    config: str | None, plugin: str, *, redis: str | None, group: str, concurrency: int | None
) -> None:
    """Run a plugin for the nodes that forward calls through Redis, until SIGTERM or Ctrl-C.

    It is the class that `serve --plugin` takes, unchanged; arguments, name and concurrency are those of the settings if
    `plugins` has it there.
    """
    from gevent import monkey  # noqa: PLC0415 - only here

    monkey.patch_all()

    from .plugin_host import work  # noqa: PLC0415 - after the patch

    sys.exit(work(config, plugin, redis=redis, group=group, concurrency=concurrency))


@main.command()
@CONFIG
def check_config(config: str | None) -> None:
    """Show the settings as `serve` would take them, or all that is wrong with them."""
    from ..config.rendering import redacted  # noqa: PLC0415
    from .configuration import read_settings  # noqa: PLC0415

    click.echo(redacted(read_settings(config, serves=True)), nl=False)


@main.command()
@click.argument("charge_point", metavar="CP")
@click.argument("action")
@click.argument("payload", metavar="[JSON]", default="{}")
@click.option("--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds to wait.")
@click.option("--until-effect", is_flag=True, help="Wait too until what was promised has come to pass.")
@click.option(
    "--effect-timeout",
    "effect_timeout_s",
    type=float,
    default=300.0,
    show_default=True,
    help="Seconds to wait for that.",
)
@click.option("--queue", is_flag=True, help="If it is away, send it when it is back; prints the ticket.")
@click.option("--expires-in", "expires_in_s", type=float, help="Seconds after which it is not sent any more.")
@asks_server
def call(
    api: Api,
    charge_point: str,
    action: str,
    payload: str,
    *,
    timeout_s: float,
    until_effect: bool,
    effect_timeout_s: float,
    queue: bool,
    expires_in_s: float | None,
) -> None:
    """Have a running server send ACTION to the charge point CP, and print the response.

    The exit status is 0 if the charge point answered, whatever its answer says, and 1 if it did not. With
    --until-effect it is 0 only if what was promised has come to pass.
    """
    from .send import call as send  # noqa: PLC0415

    effect_s = effect_timeout_s if until_effect else None
    send(
        api,
        charge_point,
        action,
        payload,
        timeout_s=timeout_s,
        effect_timeout_s=effect_s,
        queue=queue,
        expires_in_s=expires_in_s,
        say=click.echo,
    )


@main.command()
@JSON
@asks_server
def tree(api: Api, *, json: bool) -> None:
    """Show the tree of supervision: state, restarts, what waits, the last crash."""
    from .tree import show_tree  # noqa: PLC0415

    picture = api.get("supervision")
    if json:
        echo_json(picture)
    else:
        show_tree(picture)


@main.command()
@click.option("--charge-points", "charge_points_", is_flag=True, help="Who holds which charge point, too.")
@JSON
@asks_server
def cluster(api: Api, *, charge_points_: bool, json: bool) -> None:
    """Show the nodes, or the workers of this machine, that share the charge points."""
    from .cluster import show_cluster  # noqa: PLC0415

    picture = api.get("cluster", charge_points="1" if charge_points_ else "0")
    if json:
        echo_json(picture)
    else:
        show_cluster(picture)


main.add_command(charge_points)
main.add_command(transactions)
main.add_command(tags)
main.add_command(reservations)
main.add_command(profiles)
main.add_command(tickets)
main.add_command(backup)
main.add_command(check_store)
main.add_command(spool)


@main.group()
def quarantine() -> None:
    """Show plugins that have failed too often and are told of nothing, and let them out again."""


@quarantine.command("list")
@JSON
@asks_server
def list_(api: Api, *, json: bool) -> None:
    """List the plugins in quarantine."""
    from .plugins import quarantined, show_plugins  # noqa: PLC0415

    rows = quarantined(api)
    if json:
        echo_json(rows)
    else:
        show_plugins(rows)


@quarantine.command()
@click.argument("plugin")
@asks_server
def release(api: Api, plugin: str) -> None:
    """Start PLUGIN again; what was acknowledged in its place is handed to it then."""
    from .plugins import release as let_out  # noqa: PLC0415

    click.echo(f"{plugin} is released and {let_out(api, plugin)['state']}")


@main.command()
@click.argument("charge_point", metavar="CP")
@asks_server
def record(api: Api, charge_point: str) -> None:
    """Print the last frames and events of the charge point CP, without its secrets, as lines of JSON."""
    from .flights import record as read  # noqa: PLC0415

    click.echo(read(api, charge_point), nl=False)


@main.command()
@click.argument("file", type=click.File(encoding="utf-8"))
def replay(file: IO[str]) -> None:
    """Feed a record to a fresh session, and show what it sends differently; - reads standard input.

    No server is needed. The exit status is 0 if nothing differs, 1 if something does, and 2 if FILE is no record.
    """
    from .flights import replay as fly  # noqa: PLC0415

    sys.exit(0 if fly(file, click.echo) else FAILED)


@main.command()
@click.argument("charge_point", metavar="CP")
@click.option(
    "--url", help="Address for charge points, without the id; without it, that of the data folder's server."
)
@click.option("--tag", default="T1", show_default=True, help="Id tag that charges.")
@click.option(
    "--connector", type=click.IntRange(1, 1000), default=1, show_default=True, help="Where it charges."
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds to charge.",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Seconds between readings.",
)
@click.option("--password", help="For Basic authentication; without it, that of the settings.")
@click.option("--cafile", metavar="FILE", help="Certificates to trust (PEM), for wss.")
@click.option("--keep", is_flag=True, help="Stay connected then, and answer commands until Ctrl-C.")
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
    **visit: Any,
) -> None:
    """Be the charge point CP: boot, charge a car, and go. One line tells of each step."""
    from .configuration import read_settings  # noqa: PLC0415
    from .simulation import Visit, address, play  # noqa: PLC0415

    settings = read_settings(config, {"data": data})
    known = settings.auth.credentials.get(charge_point)
    play(
        url or address(settings),
        charge_point,
        Visit(**visit),
        password=known if password is None else password,
        cafile=cafile,
        say=click.echo,
    )
