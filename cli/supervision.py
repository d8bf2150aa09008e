"""The commands `tree`, `cluster` and `quarantine`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text
from rich.tree import Tree

from .api import OK, asks_server, refused
from .output import lists, plain, show, show_facts, show_table, shows, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .api import Api

STYLES = {"running": "green", "starting": "yellow", "waiting": "yellow", "vacant": "yellow"}
ALARM = "bold red"


def show_tree(view: Mapping[str, Any]) -> None:
    """Print the view of `/api/v1/supervision`."""
    show(_branch(view))
    if view.get("workers"):
        show(_workers(view["workers"]))


def _workers(views: Sequence[Mapping[str, Any]]) -> Tree:
    """Build the tree of worker processes; each has a branch of the tree above it."""
    tree = Tree(plain("workers", "bold"))
    for one in views:
        label = plain(str(one["worker"]), "bold")
        label.append("  ").append_text(plain(one["state"], STYLES.get(one["state"], ALARM)))
        facts = [f"process {one['pid']}"] if one["pid"] else []
        facts += [f"restarts: {one['restarts']}"] if one["restarts"] else []
        facts += ["has answered"] if one["here"] else []
        for fact in facts:
            label.append("  ").append_text(plain(fact, "dim"))
        if one["last_exit"]:
            label.append("  ").append_text(plain(f"last exit: {one['last_exit']}", "red"))
        tree.add(label)
    return tree


def _branch(node: Mapping[str, Any]) -> Tree:
    tree = Tree(_label(node))
    for below in [*node.get("children", ()), *node.get("crashed", ()), *node.get("given_up", ())]:
        tree.add(_branch(below))
    return tree


def _label(node: Mapping[str, Any]) -> Text:
    label = plain(node.get("id", "nothing runs"), "bold")
    if "state" in node:
        label.append("  ").append_text(plain(node["state"], STYLES.get(node["state"], ALARM)))
    for fact in _facts(node):
        label.append("  ").append_text(plain(fact, "dim"))
    if node.get("last_crash"):
        label.append("  ").append_text(plain(f"last crash: {node['last_crash']}", "red"))
    return label


def _facts(node: Mapping[str, Any]) -> list[str]:
    """List the facts beside a child's state; there are none for a child without failures and waiting messages."""
    facts = [str(node["strategy"])] if "strategy" in node else []
    if "sessions" in node:
        facts.append(f"{node['sessions']} known, {node['connected']} connected")
    if node.get("restarts"):
        facts.append(f"restarts: {node['restarts']}")
    if "time" in node:
        facts.append(f"at {when(node['time'])}")
    if node.get("inbox"):
        facts.append(f"inbox: {node['inbox']}")
    return facts


LEASES = {True: "held", False: "lost", None: "no answer"}
"""Words for the lease of a node."""


def show_cluster(view: Mapping[str, Any]) -> None:
    """Print the view of `/api/v1/cluster`."""
    show_facts(
        [
            ("this node", view["node"]),
            ("version", view["version"]),
            ("lease", "held" if view["lease"] else "lost: it sends no command"),
            ("charge points here", view["claimed"]),
            ("forwarded commands", view["forwarded_commands"]),
            ("hosted commands", view["hosted_commands"]),
        ]
    )
    held = view.get("charge_points")
    if held is None:
        rows = [
            (one["node"], one["version"] or "unknown", LEASES[one["lease"]], one["claimed"])
            for one in view["members"]
        ]
        show_table(("node", "version", "lease", "charge points"), rows, "no nodes")
    else:
        show_table(("charge point", "node"), sorted(held.items()), "no charge points")


COLUMNS = ("plugin", "restarts", "spooled messages", "last crash")


def quarantined(api: Api) -> list[dict[str, Any]]:
    """List the plugins in quarantine, as the API shows them."""
    return [row for row in api.get("plugins")["plugins"] if row["quarantined"]]


def release_plugin(api: Api, plugin: str) -> dict[str, Any]:
    """Release a plugin; returns its state afterwards. Raises `CommandFailed`."""
    reply = api.ask("POST", "plugins", plugin, "release")
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    return reply.json


def show_plugins(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [(row["name"], row["restarts"], row["spool"], row["last_crash"]) for row in rows]
    show_table(COLUMNS, lines, "no plugin is in quarantine")


@click.command()
@shows(show_tree)
@asks_server
def tree(api: Api) -> Any:
    """Show the supervision tree: states, restarts, inboxes, last crashes."""
    return api.get("supervision")


@click.command()
@click.option(
    "--charge-points", "charge_points_", is_flag=True, help="Also show which node owns each charge point."
)
@shows(show_cluster)
@asks_server
def cluster(api: Api, *, charge_points_: bool) -> Any:
    """Show the nodes or worker processes that share the charge points."""
    return api.get("cluster", charge_points="1" if charge_points_ else "0")


@click.group()
def quarantine() -> None:
    """List plugins in quarantine and release them."""


@quarantine.command("list")
@lists(show_plugins, "", ("name", "restarts", "spool", "last_crash"))
@asks_server
def list_(api: Api) -> Any:
    """List the plugins in quarantine."""
    return quarantined(api)


@quarantine.command()
@click.argument("plugin")
@asks_server
def release(api: Api, plugin: str) -> None:
    """Start PLUGIN again; messages acknowledged meanwhile are redelivered to it."""
    click.echo(f"{plugin} was released and is {release_plugin(api, plugin)['state']}")
