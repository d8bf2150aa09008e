"""Memory and disks of the machine, as far as it tells."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
KIB = 1024


def memory_in_use(proc: Path = Path("/proc")) -> int | None:
    """Return the resident memory of this process in bytes; None if the machine does not tell."""
    try:
        return int((proc / "self" / "statm").read_bytes().split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def memory_limit(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory in bytes that this process may have; None if the machine does not tell.

    It is the least of the machine's, and of the limits of its control group and of those around that.
    """
    return min((limit for limit in (_of_machine(proc), *_of_groups(proc, groups)) if limit), default=None)


def free_bytes(folder: str) -> int | None:
    """Return the free bytes of the disk with a folder; None if it cannot be looked at."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _of_machine(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    total = next((line.split()[1] for line in lines if line.startswith("MemTotal:")), "")
    return int(total) * KIB if total.isdecimal() else None


def _of_groups(proc: Path, groups: Path) -> list[int]:
    """Return the limits of the control groups of this process, of either version."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be that of the machine, and its own group the root that is seen here.
        inside = PurePosixPath(path.lstrip("/"))
        for one in (inside, *inside.parents):
            limit = _limit_in(root / one / name)
            if limit is not None:
                found.append(limit)
    return found


def _limit_in(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) else None
