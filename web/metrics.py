"""`/metrics`: numbers of all worker processes of this node, as Prometheus reads them."""

from __future__ import annotations

import platform
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import gevent
import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .. import __version__
from ..protocol.histogram import Histogram
from ..system.metrics import BOUNDS, FAMILIES, packed, unpacked
from .operations import WORKER, operation
from .requests import Query
from .resources import INNER, Resource, answer
from .siblings import ask_siblings, only_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import falcon
    from prometheus_client.metrics_core import Metric

    from ..system.central_system import CentralSystem
    from ..system.metrics import Family, Sample

METRICS = "/metrics"
NUMBERS_AT_A_TIME, LINES_AT_A_TIME = 20, 200
"""Numbers, of which a histogram has 16 lines, and lines that are made in a turn: about 1 ms."""
ALONE = 1
"""Number of the only process of a node."""


class Unhurried(list[Any]):
    """Lines of a family; whoever goes through them lets other greenlets have their turn now and then."""

    def __iter__(self) -> Iterator[Any]:
        for place, line in enumerate(super().__iter__(), 1):
            yield line
            if place % LINES_AT_A_TIME == 0:
                gevent.sleep(0)


class NodeCollector(Collector):
    """Collector of the samples of the processes of a node, by the number of their worker."""

    def __init__(self, samples: Mapping[int, Sample], *, here: int, missing: tuple[int, ...] = ()) -> None:
        self._samples = samples
        self._here = here
        self._missing = missing

    def collect(self) -> Iterator[Metric]:
        """Yield every family that has numbers; other greenlets run between them."""
        for family in FAMILIES:
            made = self._made(family)
            if made.samples:
                made.samples = Unhurried(made.samples)
                yield made
                gevent.sleep(0)

    def _made(self, family: Family) -> Any:
        if family.name == "chargehand_worker_up":
            return self._workers(family)
        labels = family.labels if family.of_node else ("worker", *family.labels)
        made = new_family(family, labels)
        if family.of_node:
            some = self._samples.get(self._here) or next(iter(self._samples.values()), {})
            for values, number in some.get(family.name, ()):
                add(made, values, number)
            return made
        for worker, sample in sorted(self._samples.items()):
            for place, (values, number) in enumerate(sample.get(family.name, ()), 1):
                add(made, (str(worker), *values), number)
                if place % NUMBERS_AT_A_TIME == 0:
                    gevent.sleep(0)
        return made

    def _workers(self, family: Family) -> Any:
        made = new_family(family, family.labels)
        for worker in sorted({*self._samples, *self._missing}):
            add(made, (str(worker),), int(worker in self._samples))
        return made


def new_family(family: Family, labels: tuple[str, ...]) -> Any:
    """Make an empty family of the right kind."""
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    return kinds[family.kind](family.name, family.meaning, labels=labels)


def add(made: Any, labels: tuple[str, ...], number: float | Histogram) -> None:
    """Add a number to a family."""
    if isinstance(number, Histogram):
        buckets = list(zip(BOUNDS, accumulate(number.counts), strict=True))
        made.add_metric(labels, buckets, number.sum)
    else:
        made.add_metric(labels, number)


class MetricsResource(Resource):
    """`/metrics`."""

    def __init__(self, system: CentralSystem) -> None:
        super().__init__(system)
        worker = system.worker
        self._here = ALONE if worker is None else worker.number

    @operation(
        "getMetrics",
        "health",
        query=(WORKER,),
        content={"text/plain": str, "application/openmetrics-text": str},
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer with the numbers of all worker processes of this node, or of the one that `worker` names.

        As text, or as OpenMetrics if the `Accept` header wants that.
        """
        query = Query(request, "worker")
        if request.env.get(INNER):
            answer(response, {"worker": self._here, "sample": packed(self._sample())})
            return
        only = only_worker(query)
        samples: dict[int, Sample] = {}
        if only in (0, self._here):
            samples[self._here] = self._sample()
        if only != self._here:
            for reply in ask_siblings(self._system, METRICS, only=only):
                told = msgspec.json.decode(reply)
                samples[told["worker"]] = unpacked(told["sample"])
        missing = tuple(
            view["worker"] for view in self._system.workers() if not only or view["worker"] == only
        )
        encode, response.content_type = choose_encoder(request.get_header("Accept") or "")
        response.data = encode(NodeCollector(samples, here=self._here, missing=missing))

    on_head = on_get

    def _sample(self) -> Sample:
        labels = (__version__, platform.python_version())
        return {**self._system.metrics.sample(), "chargehand_build_info": [(labels, 1)]}
