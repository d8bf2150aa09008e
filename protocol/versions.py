"""Versions of OCPP-J that this package speaks."""

from collections.abc import Mapping
from types import MappingProxyType

from . import v16, v201
from .actions import Version

VERSIONS: Mapping[str, Version] = MappingProxyType(
    {version.subprotocol: version for version in (v16.VERSION, v201.VERSION)}
)
"""Versions by subprotocol, the preferred one first."""


def version_named(versions: Mapping[str, Version], name: str) -> Version | None:
    """Find a version by its name, such as "1.6"; None if it is not among them."""
    return next((version for version in versions.values() if version.name == name), None)
