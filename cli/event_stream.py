"""Server-sent events of a running server, read line by line, as long as the server sends them."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from .api import NoAnswer, no_chargehand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .api import Api

QUIET_S = 45.0
"""Seconds without a line after which a stream counts as lost: the server sends one every 15."""
HEADERS = {"Accept": "text/event-stream"}


class StreamedEvent(NamedTuple):
    """Event of a stream: its name, its data, and the cursor behind it, if it has one."""

    name: str
    data: dict[str, Any]
    cursor: str


def follow(api: Api, *path: str, after: str = "", **query: str) -> Iterator[StreamedEvent | None]:
    """Yield the events of a stream; None once it is open. It ends when the server ends it.

    Raises `NoAnswer` if there is no server or the stream breaks off, and `CommandFailed` if it is refused.
    """
    headers = HEADERS | ({"Last-Event-ID": after} if after else {})
    with api.opened("GET", *path, query=query, headers=headers, timeout_s=QUIET_S) as answer:
        yield None
        try:
            yield from _events(answer)
        except http.client.HTTPException as error:
            raise NoAnswer("the stream has broken off", "see whether the server still runs") from error
        except ValueError as error:
            raise no_chargehand(api.url) from error


def _events(answer: http.client.HTTPResponse) -> Iterator[StreamedEvent]:
    name, cursor, data = "", "", []
    while line := answer.readline():
        member, _, value = line.decode().rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if member == "event":
            name = value
        elif member == "id":
            cursor = value
        elif member == "data":
            data.append(value)
        elif not member and not value and data:
            yield StreamedEvent(name, json.loads("\n".join(data)), cursor)
            name, cursor, data = "", "", []
