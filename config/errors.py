"""Errors of a configuration, all of them at once.

One rule: an error names the setting and says what would be right. Never shows the value of a secret.
"""

from collections.abc import Iterable


class ChargehandError(Exception):
    """Base of every exception that this package raises for its callers."""


class ConfigError(ChargehandError, ValueError):
    """Error: the configuration cannot be used.

    `errors` holds one line for each fault, as `section.key: what is wrong`; `str()` joins them by line ends.
    """

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))
