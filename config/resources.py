"""Settings of what the process may use: memory, file descriptors and disk."""

from dataclasses import dataclass

from .setting import Section, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSettings(Section):
    """Memory, file descriptors and disk, and what is given up before they are used up."""

    memory_bytes: int = setting(
        0,
        "Memory of the server in bytes, shared by its worker processes; 0 takes the limit of its control group, else "
        "the memory of the machine.",
        least=0,
    )
    memory_accept: float = setting(
        0.8,
        "Part of this memory above which a process accepts no new connections of charge points; open ones go on. "
        "0 sets no limit.",
        least=0,
        most=1,
    )
    memory_read: float = setting(
        0.9,
        "Part of this memory above which a process does not read from the connections of charge points. 0 sets no "
        "limit.",
        least=0,
        most=1,
    )
    descriptors_reserved: int = setting(
        32,
        "File descriptors that connections of charge points leave free, for HTTP, the store and logs; at most a "
        "quarter of those that the process may have (`ulimit -n`).",
        least=0,
    )
    disk_free_bytes: int = setting(
        134_217_728,
        "Free bytes of the disk with the data folder below which the history of events, logs below WARNING and backups "
        "are not written any more; transactions are, down to `disk_stop_bytes`. 0 sets no limit.",
        least=0,
    )
    disk_stop_bytes: int = setting(
        33_554_432,
        "Free bytes of the disk with the store's file below which no new record is taken at all: charge points are not "
        "told that one is stored, and keep it. 0 sets no limit.",
        least=0,
    )
    database_folder: str = setting(
        "",
        "Folder on the disk that PostgreSQL writes to, if that is a disk of this machine: it is looked at as that of a "
        "store's file is. Without one it is not known when that disk is full.",
    )
