"""`/livez`, `/readyz` and `/healthz`: open to all, so they name no charge point.

They speak for the whole node, and wait for nothing but the other worker processes, those for a second at most.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import falcon
import msgspec
from msgspec import UNSET, UnsetType

from .operations import operation
from .resources import INNER, Resource, answer
from .siblings import PROBE_S, ask_siblings
from .views import View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..system.central_system import CentralSystem

HEALTH, LIVE, READY = PROBES = ("/healthz", "/livez", "/readyz")
RUNNING = "running"
NEW_S = 5.0
"""Seconds that a worker process has after its start until the others can ask it."""
URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+")
STILL_SERVES = frozenset({"coordinator", "lease", "hub"})
"""Checks without which charge points are served all the same: late, or without commands to them."""


class CheckView(msgspec.Struct, frozen=True):
    """Result of one check: `reason` says why it is not ok, or what is worth knowing."""

    ok: bool
    reason: str


class ProcessHealth(msgspec.Struct, frozen=True):
    """Health of one process, as its siblings are told it."""

    worker: int
    connected: int
    quarantined: list[str]
    checks: dict[str, CheckView]


class NodeHealth(msgspec.Struct, frozen=True):
    """Health of all processes of a node."""

    processes: list[ProcessHealth]
    checks: dict[str, CheckView]
    away: int
    """Worker processes that do not run now."""

    @property
    def ready(self) -> bool:
        """True if every check is ok."""
        return all(check.ok for check in self.checks.values())

    @property
    def serves(self) -> bool:
        """True if charge points are served, even if late, or without commands to them."""
        return all(check.ok or name in STILL_SERVES for name, check in self.checks.items())


def health_here(system: CentralSystem) -> ProcessHealth:
    """Return the health of this process; without addresses, which are not for everybody."""
    return ProcessHealth(
        worker=0 if system.worker is None else system.worker.number,
        connected=sum(known.connected for known in system.charge_points()),
        quarantined=[row["plugin"] for row in system.quarantined()],
        checks={check.name: CheckView(check.ok, shown(check.reason)) for check in system.vitals.checks()},
    )


def shown(reason: str) -> str:
    """Return a reason without the URLs in it: those who ask need no token, and the log has the whole."""
    return URL.sub("…", reason)


class NodeWatch:
    """Health of a node; remembers which worker processes have answered once.

    Another process is known to the coordinator a moment after its start, at the next renewal of a lease: until then it
    cannot be asked, and that is no fault of it.
    """

    def __init__(self, system: CentralSystem, clock: Callable[[], float] = time.monotonic) -> None:
        self._system = system
        self._clock = clock
        self._seen_at: dict[int, float] = {}  # by process that has not answered yet, since when it runs
        self._met: set[int] = set()

    def health(self) -> NodeHealth:
        """Return the health of the node; asks the other worker processes."""
        system = self._system
        processes = [health_here(system)]
        processes += [msgspec.json.decode(reply, type=ProcessHealth) for reply in ask_siblings(system, READY)]
        names = dict.fromkeys(name for process in processes for name in process.checks)
        checks = {name: _joined(name, processes) for name in names}
        workers = system.workers()
        if workers:
            checks["workers"] = self.check(workers, {process.worker for process in processes})
        return NodeHealth(processes, checks, sum(view["state"] != RUNNING for view in workers))

    def check(self, workers: Sequence[Any], answered: set[int]) -> CheckView:
        """Check the worker processes: one that runs has to answer; one that is started again is only named."""
        now, silent, named = self._clock(), [], []
        pids = {view["pid"] for view in workers}
        self._met &= pids
        self._seen_at = {pid: at for pid, at in self._seen_at.items() if pid in pids}
        for view in workers:
            number, pid = view["worker"], view["pid"]
            if view["state"] != RUNNING:
                named.append(f"worker {number} is {view['state']}")
            elif number in answered:
                self._met.add(pid)
            elif pid not in self._met and now - self._seen_at.setdefault(pid, now) < NEW_S:
                named.append(f"worker {number} has just started")
            else:
                silent.append(f"worker {number} did not answer within {PROBE_S:g} s")
        return CheckView(not silent, "; ".join([*silent, *named]))


def _joined(name: str, processes: Sequence[ProcessHealth]) -> CheckView:
    """Join the results of one check in all processes."""
    failed: dict[str, list[int]] = {}
    for process in processes:
        check = process.checks.get(name)
        if check is not None and not check.ok:
            failed.setdefault(check.reason, []).append(process.worker)
    reasons = [
        reason if len(numbers) == len(processes) else f"worker {', '.join(map(str, numbers))}: {reason}"
        for reason, numbers in failed.items()
    ]
    return CheckView(not failed, "; ".join(reasons))


class LiveView(View):
    """Sign of life."""

    live: bool


class ReadyView(View):
    """Checks of the node, by name."""

    ready: bool
    checks: dict[str, CheckView]


class HealthView(View):
    """Health of the node: `ok`, `degraded` or `unready`; `failing` has the reasons of the checks that fail."""

    status: str
    connected: int
    failing: dict[str, str] | UnsetType = UNSET
    quarantined_plugins: list[str] | UnsetType = UNSET
    worker: int | UnsetType = UNSET
    workers: dict[str, int] | UnsetType = UNSET
    cluster: dict[str, int | bool] | UnsetType = UNSET


class LiveResource(Resource):
    """`/livez`."""

    @operation("getLiveness", "health", answer=LiveView, public=True)
    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Answer 200: whoever answers is alive."""
        answer(response, {"live": True})

    on_head = on_get


class ReadyResource(Resource):
    """`/readyz`."""

    def __init__(self, system: CentralSystem, watch: NodeWatch) -> None:
        super().__init__(system)
        self._watch = watch

    @operation("getReadiness", "health", answer=ReadyView, answers={503: ReadyView}, public=True)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer 200 if all checks of all processes of the node are ok, else 503; each is named, with its reason."""
        if request.env.get(INNER):
            answer(response, health_here(self._system))
            return
        health = self._watch.health()
        answer(response, {"ready": health.ready, "checks": health.checks})
        if not health.ready:
            response.status = falcon.HTTP_503

    on_head = on_get


class HealthResource(Resource):
    """`/healthz`."""

    def __init__(self, system: CentralSystem, watch: NodeWatch) -> None:
        super().__init__(system)
        self._watch = watch

    @operation("getHealth", "health", answer=HealthView, answers={503: HealthView}, public=True)
    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Answer 200 with `ok` or `degraded`; 503 with `unready` while charge points cannot be served.

        `degraded` means plugins in quarantine, a lost lease, a late hub, or a worker process that is started again.
        """
        system, health = self._system, self._watch.health()
        quarantined = sorted({name for process in health.processes for name in process.quarantined})
        degraded = bool(quarantined or health.away or not health.ready)
        view: dict[str, Any] = {
            "status": "unready" if not health.serves else "degraded" if degraded else "ok",
            "connected": sum(process.connected for process in health.processes),
        }
        failing = {name: check.reason for name, check in health.checks.items() if not check.ok}
        if failing:
            view["failing"] = failing
        if quarantined:
            view["quarantined_plugins"] = quarantined
        if system.worker is not None:
            workers = system.workers()
            view["worker"] = system.worker.number
            view["workers"] = {"running": len(workers) - health.away, "of": len(workers)}
        cluster = system.cluster
        if cluster is not None:
            view["cluster"] = {"lease": cluster.coordinator.held, "nodes": len(cluster.nodes())}
        answer(response, view)
        if not health.serves:
            response.status = falcon.HTTP_503

    on_head = on_get
