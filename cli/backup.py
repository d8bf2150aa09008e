"""`chargehand backup`: the copy that a running server makes of its store, as a file that is whole or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from .failures import CommandFailed, CommandMisused

if TYPE_CHECKING:
    from .api import Api

COPY_S = 3600.0
"""Seconds that the server has to make the copy, before it sends the first byte; and to send any next one."""


def fetch(api: Api, file: str, *, force: bool) -> int:
    """Have the copy made and write it; how many bytes it has. Raises `CommandFailed`, and has left nothing then."""
    path = Path(file)
    if path.exists() and not force:
        raise CommandMisused(f"{file} is there already; --force replaces it")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandMisused(f"{file} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as target:
            length = 0
            for chunk in api.download("POST", "backup", timeout_s=COPY_S):
                length += target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        _put_in_place(temporary, path, force=force)
    except OSError as error:
        raise CommandFailed(f"{file} was not written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return length


def _put_in_place(temporary: Path, path: Path, *, force: bool) -> None:
    if force:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # fails if somebody else has made it meanwhile
    except FileExistsError:
        raise CommandFailed(f"{path} was made by somebody else meanwhile, and is left as it is") from None
