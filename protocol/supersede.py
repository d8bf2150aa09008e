"""Which waiting calls a newer one makes pointless: a table of keys, by action.

Two calls with the same key say the same thing to the same part of a charge point; only the newest is worth sending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


def _profile(request: Any) -> Hashable:
    profile = request.cs_charging_profiles
    purpose, level = str(profile.charging_profile_purpose), profile.stack_level
    return request.connector_id, purpose, level, profile.transaction_id


KEYS: dict[str, Callable[[Any], Hashable]] = {
    "ChangeAvailability": lambda request: request.connector_id,
    "ChangeConfiguration": lambda request: (
        request.key.lower()
    ),  # OCPP 1.6, 7.29: keys are compared without case
    "ClearCache": lambda _: None,
    "ExtendedTriggerMessage": lambda request: (str(request.requested_message), request.connector_id),
    "SetChargingProfile": _profile,  # OCPP 1.6, 3.13.2: a profile replaces the one of its purpose and stack level
    "SignedUpdateFirmware": lambda _: None,
    "TriggerMessage": lambda request: (str(request.requested_message), request.connector_id),
    "UpdateFirmware": lambda _: None,
}
"""By action, what of a request must be the same. Actions that are not here are never superseded."""


def supersede_key(action: str, request: Any) -> Hashable | None:
    """The key of a call; None if every call of its action counts."""
    key = KEYS.get(action)
    return None if key is None else (action, key(request))
