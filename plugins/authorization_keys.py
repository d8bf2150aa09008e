"""Key rotation: keeps the new AuthorizationKey of a charge point that was sent one.

It answers nothing and sends nothing: it hears how each ChangeConfiguration ended, whoever sent it. Without the new key
the central system would refuse the charge point at its next connection. Security white paper, profile 1.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .. import PasswordChecksBusy, Plugin, Ticket, TicketState, on_outcome, v16

if TYPE_CHECKING:
    from .. import PluginSpec, Settings, Store

logger = logging.getLogger(__name__)

KEY = "authorizationkey"
MAYBE_TAKEN = frozenset({TicketState.ANSWERED, TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a command whose charge point may have the new key."""
NOT_TAKEN = frozenset({v16.ConfigurationStatus.REJECTED, v16.ConfigurationStatus.NOT_SUPPORTED})


class AuthorizationKeys(Plugin):
    """Writer of the keys that charge points have taken, or may have taken.

    Accepted means that the new key counts from the next connection on. RebootRequired, an answer that was lost and one
    that cannot be read mean that both count until the new one is used.
    """

    outcomes_once = True

    @classmethod
    def bundled(cls, _settings: Settings, _store: Store) -> PluginSpec:
        """Make the spec of this plugin in a system with these settings."""
        return cls.spec(name="authorization-keys")

    @on_outcome(v16.ChangeConfiguration)
    def changed(self, ticket: Ticket[v16.ChangeConfigurationResponse]) -> None:
        """Keep the key; one that is not known to be in use is kept beside the one before it."""
        request: Any = ticket.request
        if request.key.lower() != KEY:
            return
        if ticket.state not in MAYBE_TAKEN and not ticket.unreadable:
            return
        status = ticket.response.status if ticket.response is not None else None
        if status in NOT_TAKEN:
            return
        certain = status == v16.ConfigurationStatus.ACCEPTED
        # A plugin host has no keys to write; the central system that bundles this plugin has.
        try:
            self.system.key_sent(ticket.charge_point_id, request.value, certain=certain)
        except (PasswordChecksBusy, ValueError) as error:
            logger.error("new key of charge point %s is not kept: %s", ticket.charge_point_id, error)  # noqa: TRY400
