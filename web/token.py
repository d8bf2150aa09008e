"""The bearer token: taken from the settings, or made when the endpoint starts and left for `chargehand call` to find.

One rule: a token of ours is readable by its owner only, and no other one lies in the folder.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from .private_file import make_private_folder, write_private

if TYPE_CHECKING:
    from ..config.settings import Settings

TOKEN_FILE = "token"  # noqa: S105 - a name
TOKEN_BYTES = 32


def choose_token(settings: Settings) -> str | None:
    """The token that requests must carry; None if the API is open."""
    if settings.http.open:
        return None
    return settings.http.token or secrets.token_urlsafe(TOKEN_BYTES)


def publish_token(settings: Settings, token: str | None) -> None:
    """Write a token that was made into `<data>/token`; in the other cases remove the one of an earlier start.

    Raises OSError.
    """
    path = Path(settings.data) / TOKEN_FILE
    if token is None or settings.http.token:
        path.unlink(missing_ok=True)
    else:
        make_private_folder(path.parent)
        write_private(path, f"{token}\n")
