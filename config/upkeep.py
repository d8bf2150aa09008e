"""Settings of the upkeep of the store: how long records are kept, and when backups are made."""

from dataclasses import dataclass

from .setting import Section, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings(Section):
    """Days for which records are kept; older ones are exported as CSV and deleted, in small steps."""

    readings_days: float = setting(
        0.0,
        "Days for which meter readings are kept after they came and their transaction has ended; its energy and costs "
        "are stored before. 0 keeps them for ever.",
        least=0,
    )
    status_days: float = setting(
        0.0,
        "Days for which the status history is kept: boots, connections and states of connectors. 0 keeps it for ever.",
        least=0,
    )
    events_days: float = setting(
        0.0,
        "Days for which other stored events are kept: firmware, logs, security events, data transfers. 0 keeps them "
        "for ever.",
        least=0,
    )
    audit_days: float = setting(
        0.0,
        "Days for which stored events are kept that say what a person has changed by hand, and what was signed. 0 "
        "keeps them for ever.",
        least=0,
    )
    transactions_days: float = setting(
        0.0,
        "Days for which transactions are kept after their start, with their readings; those that have ended. 0 keeps "
        "them for ever.",
        least=0,
    )
    folder: str = setting(
        "",
        "Folder for the exported records; empty is `exports` in `data`. Nodes of a cluster may share one.",
        sample='"/srv/chargehand/exports"',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings(Section):
    """Backups of the store by the running server."""

    every_hours: float = setting(
        0.0, "Hours between two backups of the store that the server makes by itself; 0 makes none.", least=0
    )
    keep: int = setting(7, "Backups kept in the folder; of more the oldest are deleted.", least=1)
    folder: str = setting(
        "",
        "Folder for the backups; empty is `backups` in `data`. Another disk is safer.",
        sample='"/srv/chargehand/backups"',
    )
