"""Limit of open files, raised for commands that make many connections."""

from __future__ import annotations

import resource

from .failures import CommandMisused

SPARE = 100
"""Open files beside the connections."""


def make_room(connections: int, option: str) -> None:
    """Raise the limit of open files as far as that is allowed and needed.

    Raises `CommandMisused`, which names the option, if that is too little.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise CommandMisused(
            f"{connections} connections need {needed} open files, and {hard} are allowed",
            f"raise `ulimit -Hn`, or lower {option}",
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
