"""Passwords and keys as people write them: in settings, over HTTP and on the command line.

`hex:` and `base64:` go before the bytes of a key, which need not be text; `text:` before a text that begins with one of
them. Anything else is its text in UTF-8.
"""

import base64
import binascii
import re

from .errors import ChargehandError

HEX, BASE64, TEXT = "hex:", "base64:", "text:"
_PAIRS = re.compile(r"([0-9A-Fa-f]{2})+")


class InvalidKey(ChargehandError, ValueError):
    """A text that writes out no password and no key."""


def read_key(text: str) -> bytes:
    """Read the bytes of a password or key; raises `InvalidKey`, which does not show them."""
    if text.startswith(HEX):
        digits = text.removeprefix(HEX)
        if not _PAIRS.fullmatch(digits):
            raise InvalidKey(f"behind {HEX} must be pairs of hexadecimal digits and nothing else")
        return bytes.fromhex(digits)
    if text.startswith(BASE64):
        try:
            key = base64.b64decode(text.removeprefix(BASE64), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidKey(f"behind {BASE64} must be base64 with its padding and nothing else") from None
        if not key:
            raise InvalidKey(f"behind {BASE64} must be at least one byte")
        return key
    try:
        key = text.removeprefix(TEXT).encode()
    except UnicodeEncodeError:
        raise InvalidKey("a password is text that UTF-8 has, or bytes behind hex: or base64:") from None
    if not key:
        raise InvalidKey("a password has at least one byte")
    return key
