"""Text from elsewhere, made fit for a terminal and a log: a charge point chooses what stands in it.

One rule: no control character of somebody else's is printed as it is; it could move the cursor, or look like a line of
ours. Nor is half a surrogate, which cannot be printed at all.
"""

import json
import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters that `json` does not escape; in JSON they occur only in strings."""


def escaped(text: str) -> str:
    """Text on one line, its control characters as Python writes them."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped_json(text: str) -> str:
    """JSON that means the same."""
    return _CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON for people: readable whatever its language."""
    return escaped_json(json.dumps(value, indent=indent, ensure_ascii=False))
