"""Alerts: a durable event, a line of the log and a count, together.

The one rule: whoever finds a reason for an alert raises it here, so that none is only in the log, or only in the store.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...protocol.events import AlertRaised
from ...protocol.log_fields import about

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...store.store import Receipt, Store
    from ..session.context import SessionContext

logger = logging.getLogger(__name__)


def raise_alert(
    context: SessionContext,
    store: Store,
    charge_point_id: str,
    *,
    severity: int | None,
    source: str,
    subject: str,
    text: str = "",
    data: Mapping[str, Any] | None = None,
) -> Receipt:
    """Raise an alert about a charge point, "" for the central system; the receipt is that of its event."""
    context.observer.count("alert_raised", charge_point_id)
    context.log_limit.log(
        logger,
        logging.WARNING,
        charge_point_id,
        source,
        "%s: alert of severity %s: %s%s",
        f"charge point {charge_point_id}" if charge_point_id else "central system",
        "unknown" if severity is None else severity,
        subject,
        f": {text}" if text else "",
        extra=about(charge_point=charge_point_id),
    )
    return store.publish(
        AlertRaised(
            at=context.now(),
            charge_point_id=charge_point_id,
            severity=severity,
            source=source,
            subject=subject,
            text=text,
            data=dict(data or {}),
        )
    )
