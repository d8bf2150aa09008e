"""The commands that patch first: `serve`, `serve-worker` and `plugin-host`.

One rule: nothing is imported here that makes a socket or a lock; it is imported after the patch.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from .options import CONFIG, DATA


@click.command()
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


@click.command(hidden=True)
def serve_worker() -> None:
    """Be one of the processes of `serve --workers`, which starts them and hands over what they need."""
    from gevent import monkey  # noqa: PLC0415 - only here

    monkey.patch_all()

    from .serve_worker import serve as run  # noqa: PLC0415 - after the patch

    sys.exit(run())


@click.command()
@CONFIG
@click.argument("plugin", metavar="MODULE:CLASS")
@click.option("--redis", metavar="URL", help="Redis, as the nodes have it.")
@click.option(
    "--group", default="default", show_default=True, help="The group of workers that this one is of."
)
@click.option(
    "--concurrency", type=click.IntRange(1), help="Calls of different charge points handled at once."
)
def plugin_host(
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
