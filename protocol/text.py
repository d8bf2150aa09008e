"""Text from elsewhere: invisible characters, and a way to show them.

A charge point chooses the characters of its identity and of its messages. A control character could move the cursor or
look like a line of ours, a bidirectional override could turn a name around, and an invisible one make two names look
the same.
"""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
# The categories Cf and the rest of Default_Ignorable_Code_Point (hangul fillers, variation selectors, ...).
_FORMAT: Final = (
    r"\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd"
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_NO_CHARACTERS: Final = r"\ufdd0-\ufdef" + "".join(
    rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(17)
)

INVISIBLE: Final = re.compile(f"[{_CONTROL}{_FORMAT}{_NO_CHARACTERS}]")
"""A control character, a formatting character, a line separator, half of a surrogate pair, or no character at all."""

_PASSWORD_IN_URL: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,19}://[^/\"@:\s]*:)[^/?#\s]*(@)")
HIDDEN: Final = "***"
"""Text that is shown in place of a secret."""


def without_password(text: str) -> str:
    """Return text with the passwords in its URLs hidden; itself if it has none."""
    shown, count = _PASSWORD_IN_URL.subn(rf"\1{HIDDEN}\2", text)
    return shown if count else text


NAME_CHARS: Final = 100
"""Characters of a name from elsewhere that are shown in logs, or kept in tables that count."""


def shortened(text: str) -> str:
    """Return a name from elsewhere as it is, or the beginning of a long one and how long it is."""
    return text if len(text) <= NAME_CHARS else f"{text[:NAME_CHARS]}... ({len(text)} characters)"


def escaped(text: str) -> str:
    """Return text on one line, its invisible characters as Python writes them."""
    return INVISIBLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
