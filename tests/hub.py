"""Letting the hub run in tests, without ever sleeping for a set time."""

import time
from collections.abc import Callable
from typing import Any

import gevent

PASSES = 10
TIMEOUT_S = 10.0
PAUSE_S = 0.0005


def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(PASSES):
        gevent.sleep(0)


def until(
    condition: Callable[[], Any], what: str = "the condition holds", timeout_s: float = TIMEOUT_S
) -> Any:
    """Let the hub run until a condition holds, and return what it gave; fails after `timeout_s`, naming `what`."""
    ends_at = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < ends_at, f"not within {timeout_s:g} s: {what}"
        gevent.sleep(PAUSE_S)
    return found
