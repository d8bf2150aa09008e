"""Paths with ids of any kind in them: `/` as `%2F`, `|`, spaces and non-ASCII must all arrive.

WSGI decodes a path before it is split, and so loses which `/` was an id's. Here it is routed as it was sent, and
decoded segment by segment.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from falcon.routing import BaseConverter

_KEPT = "".join(map(chr, range(0x21, 0x7F)))


def encoded_path(target: str) -> str:
    """The path of a request's target, percent-encoded as it came; bytes over 127 that came raw are encoded too.

    `target` is text as WSGI has it: one character a byte.
    """
    return quote(target.partition("?")[0], safe=_KEPT, encoding="latin-1")


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")


class Segment(BaseConverter):
    """falcon's converter for a segment: percent-decoded as UTF-8; one that is not UTF-8 matches nothing."""

    def convert(self, value: str) -> str | None:
        """Decode a segment."""
        try:
            return unquote(value, errors="strict")
        except UnicodeDecodeError:
            return None
