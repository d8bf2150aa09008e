"""JSON for a terminal: a charge point chooses the characters of its strings.

One rule: no control or invisible character from elsewhere is printed as it is; it could move the cursor, or look
like a line of ours. Nor is half a surrogate, which cannot be printed at all.
"""

import json
from typing import Any

from ..protocol.text import INVISIBLE


def escaped_json(text: str) -> str:
    """JSON that means the same."""
    # `json` escapes control characters itself; those that stand between values are ours.
    return INVISIBLE.sub(lambda found: found[0] if found[0] < " " else json.dumps(found[0])[1:-1], text)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON for people: readable in every language."""
    return escaped_json(json.dumps(value, indent=indent, ensure_ascii=False))
