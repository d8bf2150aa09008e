"""`chargehand plugin-host`: a plugin as a process of its own, fed through Redis."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import click
import gevent

from .. import __version__
from ..actors.plugin.circuit_breaker import CircuitBreakerPolicy
from ..actors.session.commands import CommandDefaults
from ..config.errors import ConfigError
from ..config.settings import PluginSettings
from ..remote.cluster.client import Client
from ..remote.plugins.plugin_host import PluginHost, PluginHostFailed
from ..remote.redis.address import Address, AddressError
from ..supervisor.rules import Policy
from ..supervisor.watchdog import Watchdog
from ..system.plugin_packages import PluginNotFound, load_plugin
from .configuration import find_plugins_here, read_settings, unusable
from .failures import FAILED, CommandFailed, CommandMisused
from .logs import configure
from .program import tune_collector
from .service_manager import ServiceManager
from .stop_signals import SIGNALS

if TYPE_CHECKING:
    from ..config.settings import Settings

logger = logging.getLogger(__name__)

GROUP = re.compile(r"[A-Za-z0-9_-]+")
"""Characters of a group's name, as in `redis.remote_groups`."""


def work(config: str | None, plugin: str, *, redis: str | None, group: str, concurrency: int | None) -> int:
    """Run a plugin host until a signal comes; return the exit status. Raises `CommandFailed`."""
    settings = read_settings(config, {"redis.url": redis}, stores=False)
    if not settings.redis.url:
        raise CommandMisused("no Redis is given", "give --redis URL, or set redis.url as the nodes have it")
    if not GROUP.fullmatch(group):
        raise CommandMisused(
            f"--group must be letters, digits, _ and -, not {group}", "name it as redis.remote_groups does"
        )
    find_plugins_here()
    configure(settings.log, least_free_bytes=settings.resources.disk_free_bytes)
    named = {found.class_name: found for found in settings.plugins}
    supervision = settings.supervision
    try:
        client = Client(
            settings.redis.url,
            prefix=settings.redis.prefix,
            secret=settings.redis.secret,
            limits=_limits(settings),
        )
        spec = load_plugin(named.get(plugin) or PluginSettings(class_name=plugin))
        host = PluginHost(
            spec if concurrency is None else dataclasses.replace(spec, concurrency=concurrency),
            Address(settings.redis.url),
            prefix=settings.redis.prefix,
            group=group,
            node=settings.redis.node,
            policy=Policy.of(supervision),
            breaker_policy=CircuitBreakerPolicy.of(supervision),
            quarantine_s=supervision.quarantine_s,
            shutdown_s=supervision.shutdown_s,
            events_s=settings.deadlines.events_s,
            system=client,
        )
    except (PluginNotFound, AddressError) as error:
        raise CommandMisused(
            f"cannot start: {error}",
            "correct MODULE:CLASS or the URL; modules are found from the current folder",
        ) from error
    except ConfigError as error:
        raise unusable(error) from error
    except Exception as error:  # importing a module may raise anything
        logger.exception("%s cannot be loaded", plugin)
        raise CommandFailed(
            f"cannot start: {plugin}: {type(error).__name__}: {error}",
            "correct the plugin; the traceback is in the log",
        ) from error
    return _run(host, client, spec.name, Watchdog.of(supervision, host.observer))


def _limits(settings: Settings) -> CommandDefaults:
    sessions = settings.sessions
    return CommandDefaults(sessions.command_timeout_s, sessions.command_expires_s, sessions.effect_timeout_s)


def _run(host: PluginHost, client: Client, name: str, watchdog: Watchdog | None) -> int:
    hub: Any = gevent.get_hub()
    manager = ServiceManager()

    def stop(number: int, _frame: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # a second one ends the process at once
        hub.loop.run_callback_threadsafe(gevent.spawn, _stop, host, number)

    for number in SIGNALS:
        signal.signal(number, stop)
    logger.info("chargehand %s, plugin host %s, Python %s", __version__, host.name, sys.version.split()[0])
    try:
        client.start()
        host.start()
    except Exception as error:
        client.stop()
        logger.exception("the start of %s failed", name)
        raise CommandFailed(
            f"cannot start {name}: {type(error).__name__}: {error}",
            "see whether Redis answers at that URL; the traceback is in the log",
        ) from error
    tune_collector()
    with contextlib.ExitStack() as ends:
        ends.callback(manager.close)
        ends.callback(client.stop)
        ends.callback(host.stop)
        if watchdog is not None:
            watchdog.start()
            ends.callback(watchdog.stop)
        ends.callback(manager.stopping)
        click.echo(f"plugin host {host.name}, group {host.group}")
        click.echo("ready")
        manager.ready()
        try:
            host.wait()
        except PluginHostFailed as error:
            logger.critical("the plugin host failed: %s", error)
            return FAILED
    logger.info("stopped")
    return 0


def _stop(host: PluginHost, number: int) -> None:
    logger.info("%s: stopping", signal.Signals(number).name)
    host.stop()
