"""Machine that the figures were made on: its cores, its limits, and the versions of the software.

Rule: a limit of the machine is reported before anything is measured, in one line.
"""

import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("chargehand", "gevent", "msgspec", "marshmallow", "pykka", "ocpp", "websockets")
TICKS = os.sysconf("SC_CLK_TCK")
SPARE = 300  # files and ports in addition to the connections


def cores() -> tuple[int | None, int | None]:
    """Return the server's core and the generator's, or None where there are not two to pin to."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def make_room(connections: int) -> None:
    """Raise the limit of open files as far as allowed; exit with a message if that is too low.

    The servers and the generators inherit it. A generator has one address, so local ports are a limit too.
    """
    needed = connections + SPARE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(
            f"{connections} connections need {needed} open files, but `ulimit -Hn` is {hard}: raise it first"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    # Ports of closed connections are unusable for a minute, so a server sees at most two sets of them.
    if last - first < 2 * connections + SPARE:
        raise SystemExit(
            f"{connections} connections need {2 * connections + SPARE} local ports, but "
            f"net.ipv4.ip_local_port_range is {first} to {last}: widen it first"
        )


def family(*roots: int) -> list[int]:
    """Return processes and all their descendants, the processes first."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(file.parent.name)] = int(
                file.read_text(errors="replace").rpartition(")")[2].split()[1]
            )
    found = dict.fromkeys(roots)
    for pid in parents:
        above: int | None = pid
        while above and above not in roots:
            above = parents.get(above)
        if above:
            found[pid] = None
    return list(found)


def cpu_s(*pids: int) -> float:
    """Return the CPU seconds that processes have used, by the kernel's clock."""
    used = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
    return used / TICKS


def description(peer_package: Path, python: Path | None = None) -> dict[str, object]:
    """Return the machine and the versions for JSON.

    `peer_package`: the folder of npm's ocpp-rpc; `python`: that of a checkout whose servers are measured.
    """
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "pinned": cores()[0] is not None,
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0],
        "versions": {"Python": platform.python_version(), **packages(python), **node(peer_package)},
    }


def packages(python: Path | None = None) -> dict[str, str]:
    """Return the versions of the packages installed with pip; those of another Python come from there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if python is not None:
        for name, version in found.items():
            asked = [str(python), "-c", f"from importlib import metadata; print(metadata.version({name!r}))"]
            said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
            found[name] = said or version
    return found


def node(peer_package: Path) -> dict[str, str]:
    """Return the versions of node and of the package that runs on it; empty without them."""
    program, manifest = shutil.which("node"), peer_package / "package.json"
    if program is None or not manifest.exists():
        return {}
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r'"version":\s*"([^"]+)"', manifest.read_text())
    return {"node": said.strip().lstrip("v"), "ocpp-rpc": version[1] if version else "?"}
