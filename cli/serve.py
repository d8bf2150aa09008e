"""The commands that patch first: `serve`, `serve-worker` and `plugin-host`.

One rule: nothing is imported here that makes a socket or a lock; it is imported after the patch.
"""

from __future__ import annotations

import faulthandler
import sys
from typing import Any

import click

from .options import CONFIG, DATA

STANDARD_ERROR = 2


def prepare() -> None:
    """Patch, and leave the stacks of what runs on standard error when a fault ends the process.

    Such is SIGABRT, by which a watchdog ends a process whose hub is blocked: systemd's, or that of the parent.
    """
    from gevent import monkey  # noqa: PLC0415 - only here

    monkey.patch_all()
    faulthandler.enable(STANDARD_ERROR)


@click.command()
@CONFIG
@click.option("--host", help="Address to bind the WebSocket (ws://) endpoint to.")
@click.option("--port", type=int, help="Port of the WebSocket (ws://) endpoint; 0: any free port.")
@click.option("--path", help="URL path of a charge point, such as /ocpp/{id}.")
@click.option("--http-port", "http_port", type=int, help="Port of the HTTP API; 0: any free port.")
@click.option(
    "--http-open",
    "http_open",
    is_flag=True,
    help="Disable bearer-token authentication of the HTTP API (loopback only).",
)
@DATA
@click.option(
    "--transport",
    type=click.Choice(["greenlet", "reactor"]),
    help="Implementation of the sockets; default: from the settings.",
)
@click.option(
    "--store",
    metavar="memory|sqlite|postgresql://…",
    help="Store for transactions and all other records; sqlite is a file in the data folder.",
)
@click.option("--redis", metavar="URL", help="Redis URL for clustering and remote plugins.")
@click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE:CLASS", help="Plugin class to run; repeatable."
)
@click.option("--workers", type=int, help="Number of worker processes that serve the same ports.")
@click.option("--print-settings", is_flag=True, help="Print all settings, without secrets, before the start.")
@click.option(
    "--open", "open_", is_flag=True, help="Allow unauthenticated charge points on a non-loopback address."
)
def serve(
    config: str | None,
    *,
    http_port: int | None,
    http_open: bool,
    plugins: tuple[str, ...],
    open_: bool,
    print_settings: bool,
    redis: str | None,
    **same: Any,
) -> None:
    """Serve charge points until SIGTERM or Ctrl-C.

    Every setting has a default; an option here wins over the environment, and that over the file.
    """
    prepare()

    from .program import serve as run  # noqa: PLC0415 - after the patch

    overrides = same | {
        "http.port": http_port,
        "http.open": http_open or None,
        "plugins": list(plugins) or None,
        "open": open_ or None,
        "redis.url": redis,
    }
    sys.exit(run(config, overrides, print_settings=print_settings))


@click.command(hidden=True)
def serve_worker() -> None:
    """Run one worker process of `serve --workers`, which starts it."""
    prepare()

    from .serve_worker import serve as run  # noqa: PLC0415 - after the patch

    sys.exit(run())


@click.command()
@CONFIG
@click.argument("plugin", metavar="MODULE:CLASS")
@click.option("--redis", metavar="URL", help="Redis URL, the same as that of the nodes.")
@click.option("--group", default="default", show_default=True, help="Group of plugin hosts to join.")
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    help="Maximum number of charge points whose calls are handled concurrently.",
)
def plugin_host(
    config: str | None, plugin: str, *, redis: str | None, group: str, concurrency: int | None
) -> None:
    """Run a plugin for the nodes that forward calls through Redis, until SIGTERM or Ctrl-C.

    The class is the one that `serve --plugin` takes; arguments, name and concurrency come from the settings if
    `plugins` has it there.
    """
    prepare()

    from .plugin_host import work  # noqa: PLC0415 - after the patch

    sys.exit(work(config, plugin, redis=redis, group=group, concurrency=concurrency))
