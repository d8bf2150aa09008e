"""Versions of OCPP-J that this package speaks."""

from collections.abc import Mapping
from types import MappingProxyType

from . import v16
from .actions import Version

VERSIONS: Mapping[str, Version] = MappingProxyType({v16.VERSION.subprotocol: v16.VERSION})
"""Versions by subprotocol, the preferred one first."""
