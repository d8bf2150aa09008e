"""Fingerprints of certificates, by which a command knows the server of its machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..protocol.x509 import pem_blocks


def fingerprint(der: bytes) -> str:
    """Return the fingerprint of a certificate in DER."""
    return hashlib.sha256(der).hexdigest()


def fingerprint_of(file: str) -> str:
    """Return the fingerprint of the first certificate in a PEM file; empty if it has none, or cannot be read."""
    try:
        blocks = pem_blocks(Path(file).read_bytes())
    except (OSError, ValueError):
        return ""
    return fingerprint(blocks[0]) if blocks else ""
