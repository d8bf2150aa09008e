"""Application that embeds the central system and has subscribers, for `bench/events.py`.

    python bench/events_host.py PORT HTTP_PORT DATA STORE SUBSCRIBERS COUNTS

It writes how many events each subscriber had, and how many it lost, to the file COUNTS when it is stopped.
"""

import json
import signal
import sys
from pathlib import Path

from gevent import monkey

monkey.patch_all()

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from chargehand import CentralSystem, HttpSettings, Settings, serve_http  # noqa: E402
from chargehand.store.events import EVENTS  # noqa: E402


def main() -> None:
    """Run until SIGTERM."""
    port, http_port, data, store, subscribers, counts = sys.argv[1:]
    http = HttpSettings(enabled=True, port=int(http_port), open=True)
    settings = Settings(port=int(port), data=data, http=http, store=store)
    ended = Event()
    gevent.signal_handler(signal.SIGTERM, ended.set)
    with CentralSystem(settings, http=serve_http) as system:
        taken = [0] * int(subscribers)
        subscriptions = []
        for number in range(len(taken)):

            def count(_event: object, number: int = number) -> None:
                taken[number] += 1

            subscriptions.append(system.subscribe(tuple(EVENTS.values()), count))
        ended.wait()
        found = {"taken": taken, "dropped": [one.dropped for one in subscriptions]}
        Path(counts).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
