"""From a request to the ticket of its call: what may be asked for, and how long it may take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...protocol import v16
from ...protocol.actions import Sender
from ...protocol.effects import pair_of
from ...protocol.payload import build
from .tickets import Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.actions import Request
    from ...protocol.message import Message

R = TypeVar("R", bound="Message")


class CommandDefaults(NamedTuple):
    """What counts for a call that does not say: seconds for its answer, until it is sent, and for its effect."""

    timeout_s: float
    expires_in_s: float
    effect_timeout_s: float


def make_ticket(
    new_id: Callable[[], str],
    charge_point: str,
    request: Request[R],
    *,
    limits: CommandDefaults,
    created_at: float,
    cancel: Callable[[Ticket[Any]], None],
    thread: int,
    timeout_s: float | None,
    when_offline: str,
    expires_in_s: float | None,
    until_effect: bool,
    effect_timeout_s: float | None,
) -> Ticket[R]:
    """Check a request and its times as `CentralSystem.send` has them, and make its ticket. Raises what that raises."""
    _check_seconds(timeout_s=timeout_s, expires_in_s=expires_in_s, effect_timeout_s=effect_timeout_s)
    if when_offline not in ("fail", "queue"):
        raise ValueError('when_offline is "fail" or "queue"')
    row = v16.VERSION.row_of(request)
    if not row.sender.allows(Sender.CENTRAL_SYSTEM):
        raise ValueError(f"{row.name} is sent by charge points, not to them")
    if until_effect and pair_of(row.name, request) is None:
        raise ValueError(f"OCPP has no message that shows the effect of {row.name}")
    if until_effect and effect_timeout_s is None:
        effect_timeout_s = limits.effect_timeout_s
    return Ticket(
        new_id(),
        charge_point,
        row.name,
        request,
        build(row.request, request),
        timeout_s=limits.timeout_s if timeout_s is None else timeout_s,
        created_at=created_at,
        when_offline=when_offline,
        expires_in_s=limits.expires_in_s if expires_in_s is None else expires_in_s,
        cancel=cancel,
        thread=thread,
        effect_timeout_s=effect_timeout_s if until_effect else None,
    )


def _check_seconds(**given: Any) -> None:
    # Here, for the session could only crash of it; and a call without an end would break what a ticket promises.
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, int | float) or not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be seconds above 0, not {value!r}")
