"""Alerts of the security events that the specification calls critical, of any version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .. import Call, PluginSystem


def raise_if_critical(system: PluginSystem, call: Call[Any], severities: Mapping[str, int]) -> None:
    """Raise an alert if the event of a SecurityEventNotification is critical; `severities` are by type."""
    request = call.request
    severity = severities.get(request.type.strip())
    if severity is not None:
        system.raise_alert(
            call.charge_point.id,
            severity=severity,
            source="security_event",
            subject=request.type.strip(),
            text=request.tech_info or "",
        )
