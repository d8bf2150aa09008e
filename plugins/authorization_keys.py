"""Key rotation: keeps the new AuthorizationKey of a charge point that was sent one.

It answers nothing and sends nothing: it hears how each ChangeConfiguration or SetVariables ended, whoever sent it.
Without the new key
the central system would refuse the charge point at its next connection. Security white paper, profile 1.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .. import PasswordChecksBusy, Plugin, Ticket, TicketState, on_outcome, v16, v201

if TYPE_CHECKING:
    from .. import PluginSpec, Settings, Store

logger = logging.getLogger(__name__)

KEY, PASSWORD = "authorizationkey", "basicauthpassword"
MAYBE_TAKEN = frozenset({TicketState.ANSWERED, TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a command whose charge point may have the new key."""
NOT_TAKEN = frozenset({v16.ConfigurationStatus.REJECTED, v16.ConfigurationStatus.NOT_SUPPORTED})
MAY_COUNT = frozenset({v201.SetVariableStatus.ACCEPTED, v201.SetVariableStatus.REBOOT_REQUIRED})
"""Results of a variable that was taken."""


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
        status = ticket.response.status if ticket.response is not None else None
        if status in NOT_TAKEN:
            self._drop(ticket, request.value)
        else:
            self._keep(ticket, request.value, certain=status == v16.ConfigurationStatus.ACCEPTED)

    @on_outcome(v201.SetVariables)
    def set(self, ticket: Ticket[v201.SetVariablesResponse]) -> None:
        """Keep the password that a station was given among other variables. OCPP 2.0.1, A01."""
        request: Any = ticket.request
        credential = request.__action__.credential(request)
        if credential is None:
            return
        results = ticket.response.set_variable_result if ticket.response is not None else ()
        status = next((one.attribute_status for one in results if _is_password(one)), None)
        if status is None or status in MAY_COUNT:
            self._keep(ticket, credential.key, certain=status == v201.SetVariableStatus.ACCEPTED)
        else:
            self._drop(ticket, credential.key)

    def _keep(self, ticket: Ticket[Any], value: str | bytes, *, certain: bool) -> None:
        if ticket.state not in MAYBE_TAKEN and not ticket.unreadable:
            self._drop(ticket, value)
            return
        # A plugin host has no keys to write; the central system that bundles this plugin has.
        try:
            self.system.key_sent(ticket.charge_point_id, value, certain=certain)
        except (PasswordChecksBusy, ValueError) as error:
            logger.error(  # noqa: TRY400
                "new key of charge point %s is not kept: %s",
                ticket.charge_point_id,
                error,
                extra={"fields": {"charge_point": ticket.charge_point_id, "ticket": ticket.id}},
            )

    def _drop(self, ticket: Ticket[Any], value: str | bytes) -> None:
        """Forget a key that was rotated, and not taken."""
        try:
            self.system.key_refused(ticket.charge_point_id, value)
        except PasswordChecksBusy as error:
            logger.error(  # noqa: TRY400
                "new key of charge point %s is not dropped: %s",
                ticket.charge_point_id,
                error,
                extra={"fields": {"charge_point": ticket.charge_point_id, "ticket": ticket.id}},
            )


def _is_password(result: v201.SetVariableResult) -> bool:
    """Return whether a result is that of the password."""
    return result.variable.name.lower() == PASSWORD
