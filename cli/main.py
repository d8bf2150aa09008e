"""The command `chargehand`: a group that loads a command when it is used.

One rule: nothing is imported here that makes a socket or a lock. `serve` patches first, and then imports the system.
"""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from .. import __version__
from .plugin_commands import load_command, package_of, plugin_commands

COMMANDS = {
    "backup": ("store:backup", "Have a running server copy its store to FILE."),
    "bulk": ("bulk:bulk", "Show, follow and cancel commands to many charge points."),
    "ca": ("ca:ca", "Make the certificate authority; list and revoke its certificates."),
    "certificates": (
        "certificates:certificates",
        "Show the certificates that charge points have installed, and delete them.",
    ),
    "charge-points": ("charge_points:charge_points", "Show, add and remove charge points."),
    "check-config": (
        "configuration:check_config",
        "Show the settings that `serve` would use, or all their faults.",
    ),
    "check-store": ("store:check_store", "Check a backup, or the store of a data folder not in use."),
    "cluster": ("supervision:cluster", "Show the nodes or worker processes that share the charge points."),
    "completion": ("completion:completion", "Print the script that completes commands in bash, zsh or fish."),
    "display-messages": (
        "station_settings:display_messages",
        "Show the messages on displays of charge points.",
    ),
    "do": ("do:do", "Have a charge point do something, whatever version of OCPP it speaks."),
    "import-steve": (
        "import_steve:import_steve",
        "Take tags, charge points and transactions from a dump of SteVe's database.",
    ),
    "keys": ("keys:keys", "Show which charge points have keys, and give them new ones."),
    "logs": ("logs_command:logs", "Set the level of log lines about charge points while the server runs."),
    "monitors": ("station_settings:monitors", "Show the monitors of variables that charge points have."),
    "network-profiles": (
        "station_settings:network_profiles",
        "Show the network profiles that charge points have accepted.",
    ),
    "new-plugin": ("new_plugin:new_plugin", "Make a package for a plugin, with tests, types and CI."),
    "plugins": ("plugins:plugins", "Show the plugins: installed, loaded, quarantined."),
    "plugin-host": ("serve:plugin_host", "Run a plugin for the nodes that forward calls through Redis."),
    "profiles": ("accepted_state:profiles", "Show the charging profiles that charge points have accepted."),
    "prune-store": ("store:prune_store", "Export and delete the records that are too old."),
    "quarantine": ("supervision:quarantine", "List plugins in quarantine and release them."),
    "recording": ("recordings:recording", "Print the last frames and events of the charge point CP."),
    "replay": ("recordings:replay", "Feed a recording to a fresh session and show the differences."),
    "reports": ("reports:reports", "Show reports that charge points have sent in parts."),
    "reservations": (
        "accepted_state:reservations",
        "Show the reservations that charge points have accepted.",
    ),
    "restore": ("restore:restore", "Put the backup FILE in the place of a store not in use."),
    "security-events": (
        "security_events:security_events",
        "Show security events of charge points, and of the server itself.",
    ),
    "send": ("send:send", "Send the command ACTION to the charge point CP."),
    "serve": ("serve:serve", "Serve charge points until SIGTERM or Ctrl-C."),
    "serve-worker": ("serve:serve_worker", ""),
    "show-store": ("store:show_store", "Show the size of the store, and its growth."),
    "simulate": ("simulation:simulate", "Simulate the charge point CP for one charging session, or a fleet."),
    "spool": ("spool:spool", "Show spooled messages; retry, reattach and forget dead letters."),
    "stress": ("stress:stress", "Put load on a central system, and measure its answers."),
    "tail": ("tail:tail", "Print events, or frames, of charge points as they pass."),
    "tags": ("tags:tags", "Show and change who may charge."),
    "tickets": ("tickets:tickets", "Show and cancel commands to charge points."),
    "tokens": ("tokens:tokens", "Show, make and revoke tokens of the HTTP API."),
    "tls": ("tls:tls", "Show the certificates of the server, and have it read them again."),
    "top": ("top:top", "Show what keeps a server busy: rates, charge points, inboxes, slow handlers."),
    "transactions": ("transactions:transactions", "Show, export and close transactions."),
    "tree": ("supervision:tree", "Show the supervision tree: states, restarts, inboxes, last crashes."),
    "upgrade-store": (
        "upgrade_store:upgrade_store",
        "Bring a store up to date, and take away what is not needed.",
    ),
    "variables": ("variables:variables", "Show, refresh, read and set the variables of a charge point."),
}
"""Module and attribute of each command of ours, and its line in the list of commands; one without a line is hidden."""


class LazyGroup(click.Group):
    """Group whose commands are imported when they are used; their list needs no import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the commands that are shown."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command."""
        if cmd_name not in COMMANDS:
            point = plugin_commands().get(cmd_name)
            return None if point is None else load_command(point)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f".{module}", __package__), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, none of which is imported for it."""
        named = [
            CompletionItem(name, help=line)
            for name, (_, line) in sorted(COMMANDS.items())
            if line and name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items()) if line])
        points = [point for name, point in sorted(plugin_commands().items()) if name not in COMMANDS]
        if points:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(point.name, f"Of {package_of(point)}.") for point in points])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chargehand")
def main() -> None:
    """Run an OCPP central system: charge points connect to it, plugins and programs decide what they do."""
