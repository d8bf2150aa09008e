"""What the figures are made on: its cores, its limits, and the versions of what runs there.

Its one rule: what the machine cannot do is said before anything is measured, in one line.
"""

import os
import platform
import re
import resource
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("chargehand", "gevent", "msgspec", "marshmallow", "pykka", "ocpp", "websockets")
SPARE = 300  # files and ports beside the connections


def cores() -> tuple[int | None, int | None]:
    """The server's core and the generator's, or None where there are not two to pin to."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def make_room(connections: int) -> None:
    """Lift the limit of open files as far as allowed; exits with a clear line if that is too low.

    The servers and the generators inherit it. One generator has one address, so local ports are a limit too.
    """
    needed = connections + SPARE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(
            f"{connections} connections need {needed} open files, but `ulimit -Hn` is {hard}: raise it first"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    # Ports of closed connections rest for a minute, and a server sees two sets of them at the most.
    if last - first < 2 * connections + SPARE:
        raise SystemExit(
            f"{connections} connections need {2 * connections + SPARE} local ports, but "
            f"net.ipv4.ip_local_port_range is {first} to {last}: widen it first"
        )


def description(peer_package: Path) -> dict[str, object]:
    """The machine and the versions, as JSON can take it. `peer_package`: the folder of npm's ocpp-rpc."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "pinned": cores()[0] is not None,
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0],
        "versions": {"Python": platform.python_version(), **packages(), **node(peer_package)},
    }


def packages() -> dict[str, str]:
    """Versions of what was installed with pip."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def node(peer_package: Path) -> dict[str, str]:
    """Versions of node and of the package that runs on it; empty without them."""
    program, manifest = shutil.which("node"), peer_package / "package.json"
    if program is None or not manifest.exists():
        return {}
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r'"version":\s*"([^"]+)"', manifest.read_text())
    return {"node": said.strip().lstrip("v"), "ocpp-rpc": version[1] if version else "?"}
