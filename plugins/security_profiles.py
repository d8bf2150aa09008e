"""Security profiles that charge points accept: the least profile rises with the first connection on the new one.

It answers nothing and sends nothing: it hears how each ChangeConfiguration, SetNetworkProfile or SetVariables ended,
whoever sent it. Until that connection the old profile still counts. Security white paper, A05; OCPP 2.0.1, A05 and B09.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from .. import Plugin, SecurityProfile, Ticket, TicketState, on_outcome, v16, v201

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import PluginSpec, Settings, Store

logger = logging.getLogger(__name__)

KEY, COMPONENT, PRIORITY = "securityprofile", "ocppcommctrlr", "networkconfigurationpriority"
HIGHEST = 3
MAYBE_TAKEN = frozenset({TicketState.ANSWERED, TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a command whose charge point may have done it."""
NOT_TAKEN = frozenset({v16.ConfigurationStatus.REJECTED, v16.ConfigurationStatus.NOT_SUPPORTED})
TAKEN = frozenset({v201.SetVariableStatus.ACCEPTED, v201.SetVariableStatus.REBOOT_REQUIRED})


class SecurityProfiles(Plugin):
    """Writer of the profiles that charge points have accepted, or may have: a connection on one proves it.

    `least` is the least profile of all charge points; `now` gives the time.
    """

    outcomes_once = True

    def __init__(
        self,
        store: Store,
        *,
        least: int = 0,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        super().__init__()
        self._book = store.collections.security_profiles
        self._least = least
        self._now = now

    @classmethod
    def bundled(cls, settings: Settings, store: Store) -> PluginSpec:
        """Make the spec of this plugin in a system with these settings."""
        return cls.spec(store, least=settings.auth.security_profile, name="security-profiles")

    @on_outcome(v16.ChangeConfiguration)
    def changed(self, ticket: Ticket[v16.ChangeConfigurationResponse]) -> None:
        """Note the profile of a ChangeConfiguration. Security white paper, 6.2.2."""
        request: Any = ticket.request
        status = ticket.response.status if ticket.response is not None else None
        profile = request.value.strip()
        if request.key.lower() != KEY or status in NOT_TAKEN or not self._may_count(ticket):
            return
        if profile.isascii() and profile.isdigit() and int(profile) <= HIGHEST:
            self._note(ticket, int(profile))

    @on_outcome(v201.SetNetworkProfile)
    def network_set(self, ticket: Ticket[v201.SetNetworkProfileResponse]) -> None:
        """Note the profile of a network configuration. OCPP 2.0.1, B09."""
        request: Any = ticket.request
        if ticket.response is not None and ticket.response.status != v201.SetNetworkProfileStatus.ACCEPTED:
            return
        profile = request.connection_data.security_profile
        if self._may_count(ticket) and 0 <= profile <= HIGHEST:
            self._network(ticket, slots={request.configuration_slot: profile})

    @on_outcome(v201.SetVariables)
    def set(self, ticket: Ticket[v201.SetVariablesResponse]) -> None:
        """Note the order in which network configurations are tried. OCPP 2.0.1, B10."""
        request: Any = ticket.request
        wanted = [one for one in request.set_variable_data if _is_priority(one)]
        if not wanted or not self._may_count(ticket):
            return
        results = ticket.response.set_variable_result if ticket.response is not None else ()
        status = next((one.attribute_status for one in results if _is_priority(one)), None)
        slots = [slot.strip() for slot in wanted[-1].attribute_value.split(",")]
        if (status is None or status in TAKEN) and all(slot.isascii() and slot.isdigit() for slot in slots):
            self._network(ticket, priority=tuple(map(int, slots)))

    @staticmethod
    def _may_count(ticket: Ticket[Any]) -> bool:
        return ticket.state in MAYBE_TAKEN or bool(ticket.unreadable)

    def _record(self, ticket: Ticket[Any]) -> SecurityProfile:
        kept = self._book.get(ticket.charge_point_id)
        return kept or SecurityProfile(charge_point_id=ticket.charge_point_id, changed_at=self._now())

    def _note(self, ticket: Ticket[Any], profile: int) -> None:
        kept = self._record(ticket)
        self._keep(kept, kept.accepted(profile, self._now()), profile)

    def _network(
        self, ticket: Ticket[Any], slots: dict[int, int] | None = None, priority: tuple[int, ...] = ()
    ) -> None:
        kept = self._record(ticket)
        changed = kept.network_changed(self._now(), slots, priority)
        tried = changed.tried
        self._keep(kept, changed, kept.least if tried is None else tried)

    def _keep(self, kept: SecurityProfile, changed: SecurityProfile, profile: int) -> None:
        if profile < max(kept.least, self._least):
            logger.warning(
                "charge point %s has accepted the security profile %d, which is less than its least one: it will be "
                "refused, unless a person lowers that (chargehand charge-points set --security-profile)",
                kept.charge_point_id,
                profile,
                extra={"fields": {"charge_point": kept.charge_point_id}},
            )
        if changed != kept:
            self._book.put(changed)


def _is_priority(one: Any) -> bool:
    """Return whether a part of SetVariables, or a result of it, is that of the order of network configurations."""
    names = one.component.name.lower(), one.variable.name.lower()
    return names == (COMPONENT, PRIORITY)
