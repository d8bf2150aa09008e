"""Several processes that share their charge points, and plugins and commands in processes of their own."""

from .address import AddressError
from .client import Client
from .switchboard import SwitchboardAway

__all__ = ["AddressError", "Client", "SwitchboardAway"]
