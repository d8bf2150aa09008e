"""Several processes that share their charge points, and plugins and commands in processes of their own."""

from .cluster.client import Client
from .cluster.coordinator import CoordinatorUnavailable
from .redis.address import AddressError

__all__ = ["AddressError", "Client", "CoordinatorUnavailable"]
