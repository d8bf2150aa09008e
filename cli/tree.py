"""`chargehand tree`: the tree of supervision as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from .tables import plain, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STYLES = {"running": "green", "starting": "yellow", "waiting": "yellow", "vacant": "yellow"}
ALARM = "bold red"


def show_tree(picture: Mapping[str, Any]) -> None:
    """Print what `/api/v1/supervision` tells."""
    show(_branch(picture))
    if picture.get("workers"):
        show(_workers(picture["workers"]))


def _workers(pictures: Sequence[Mapping[str, Any]]) -> Tree:
    """The processes; what stands above is of the one that was asked."""
    tree = Tree(plain("workers", "bold"))
    for one in pictures:
        label = plain(str(one["worker"]), "bold")
        label.append("  ").append_text(plain(one["state"], STYLES.get(one["state"], ALARM)))
        facts = [f"process {one['pid']}"] if one["pid"] else []
        facts += [f"restarts: {one['restarts']}"] if one["restarts"] else []
        facts += ["the tree above"] if one["here"] else []
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
    """What is worth a word: a child that never failed and waits for nothing needs none."""
    facts = [str(node["strategy"])] if "strategy" in node else []
    if "sessions" in node:
        facts.append(f"{node['sessions']} known, {node['connected']} connected")
    if node.get("restarts"):
        facts.append(f"restarts: {node['restarts']}")
    if "time" in node:
        facts.append(f"at {node['time']}")
    if node.get("inbox"):
        facts.append(f"inbox: {node['inbox']}")
    return facts
