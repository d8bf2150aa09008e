"""Cells of CSV that no spreadsheet runs as a formula: their text comes from charge points and from imports.

The one rule: `unguarded` undoes `guarded`, for any text.
"""

from __future__ import annotations

import re

# Some spreadsheets begin a cell behind a semicolon, too. Apostrophes in front may be those of a guard.
_BEGINNING = r"(?='*\s*[=+\-@\t\r\u2212\ufe62-\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20])"
"""Beginning of a formula: =, +, -, @, tab or CR, and their wide, small and minus-sign forms."""
_FORMULA = re.compile(rf"(^|;){_BEGINNING}")
_GUARDED = re.compile(rf"(^|;)'{_BEGINNING}")
_NUMBER = re.compile(r"(?a:[+-]?\d+(\.\d+)?)")


def guarded(text: str) -> str:
    """Return text with an apostrophe wherever a formula would begin; a number stays a number."""
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text)


def unguarded(text: str) -> str:
    """Return text as it was before it was guarded."""
    return _GUARDED.sub(r"\1", text)
