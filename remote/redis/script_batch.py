"""Script whose runs of one turn of the hub are sent to Redis as one command.

A busy process so asks Redis, and is answered, once for many runs. An idle one sends its only run in the same turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from gevent import get_hub

from .address import RedisAway
from .link import RedisCommandRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link

    Then = Callable[[Any, Exception | None], None]

RUNS_AT_ONCE = 256
"""Runs of one command: Redis serves nobody else meanwhile."""

_pack = msgspec.msgpack.Encoder().encode


class ScriptBatch:
    """Script, and the runs of it that arise in one turn of the hub, in order.

    The script gets each key once in KEYS. ARGV[1] has the runs, packed for `cmsgpack`: each is a list of the places of
    its keys in KEYS, 0 for an empty name, and of its arguments. Then comes the text of each run, and after them
    `settings`. The script returns a list with the result of each run, which may be an error.
    """

    def __init__(self, link: Link, script: str, *settings: str | int) -> None:
        self._link = link
        self._script = script
        self._settings = settings
        self._begin()

    def _begin(self) -> None:
        self._places: dict[str, int] = {"": 0}
        self._runs: list[tuple[Any, ...]] = []
        self._texts: list[bytes] = []
        self._told: list[Then] = []

    def run(
        self,
        keys: tuple[str, ...],
        arguments: tuple[str | int, ...],
        text: bytes,
        then: Then,
    ) -> None:
        """Run the script at the end of this turn; call `then(result, error)` in the hub when Redis has answered."""
        if not self._told:
            get_hub().loop.run_callback(self.flush)
        places = self._places
        self._runs.append((*[places.setdefault(key, len(places)) for key in keys], *arguments))
        self._texts.append(text)
        self._told.append(then)
        if len(self._told) >= RUNS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Send the runs now."""
        if not self._told:
            return
        places, runs, texts, told = self._places, self._runs, self._texts, self._told
        self._begin()
        del places[""]
        # An argument of Redis for each number would cost more than what is done with it.
        sent = self._link.send(
            "EVAL", self._script, len(places), *places, _pack(runs), *texts, *self._settings
        )
        sent.rawlink(lambda result: self._answered(told, result))

    def _answered(self, told: list[Then], result: Any) -> None:
        error = result.exception
        if error is None:
            try:
                with self._link.reading():
                    pairs = list(zip(told, result.value, strict=True))
            except RedisAway as away:
                error = away
        if error is not None:
            pairs = [(then, error) for then in told]
        for then, found in pairs:
            try:
                if not isinstance(found, Exception):
                    then(found, None)
                elif isinstance(found, (RedisAway, RedisCommandRefused)):
                    then(None, found)
                else:
                    then(None, RedisCommandRefused(str(found)))
            except Exception as fault:  # noqa: BLE001 - those of the others are told all the same
                get_hub().handle_error(then, type(fault), fault, fault.__traceback__)
