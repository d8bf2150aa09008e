"""The bearer token, and files that only their owner may read.

One rule: a generated token is readable by its owner only, and the folder holds no other token.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.settings import Settings

TOKEN_FILE = "token"  # noqa: S105 - a name
TOKEN_BYTES = 32


def choose_token(settings: Settings) -> str | None:
    """Return the token that requests must carry; None if the API is open."""
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


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600. It is never visible half written or with another mode.

    On an OSError the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, if it is not there. One that is keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
